"""OpenAI's chat API as a :class:`samovar.ports.dialect.Dialect`."""

from collections.abc import Callable, Mapping

from samovar.kernel.errors import SamovarError
from samovar.ports.dialect import Head, Tapped, UpstreamError, Vendor
from samovar.ports.json_requests import bounded_nesting
from samovar.ports.llm import ChatRequest, ChatResponse
from samovar.providers.openai import errors, passthrough
from samovar.providers.openai import response as answers
from samovar.providers.openai.relay import ChatRelay
from samovar.providers.openai.request import read_request, write_request
from samovar.providers.openai.stream import KEEP_ALIVE, ChatStreamReader, ChatStreamWriter
from samovar.providers.openai.wire import DIALECT


class OpenAIChat:
    """Both a surface and a vendor's language; where vendors differ, their ``quirks`` say so."""

    name = DIALECT
    # openai-organization and openai-project name the caller's own account; ours is another.
    forwarded_headers: frozenset[bytes] = frozenset()
    default_headers: tuple[tuple[str, str], ...] = ()

    # -- as a surface

    @bounded_nesting
    def read_head(self, body: bytes) -> Head:
        """Raises ``Malformed`` with the path of the flaw."""
        return passthrough.read_head(body)

    @bounded_nesting
    def read_request(self, body: bytes) -> ChatRequest:
        """Raises ``Malformed`` with the path of the flaw."""
        return read_request(body)

    @bounded_nesting
    def amended(self, body: bytes, *, max_output_tokens: int | None, drop_params: bool) -> bytes:
        """See :meth:`samovar.ports.dialect.Dialect.amended`."""
        return passthrough.amended(body, max_output_tokens=max_output_tokens, drop_params=drop_params)

    def write_response(self, response: ChatResponse, *, extra: Mapping[str, object] | None = None) -> bytes:
        """One choice, with ``extra`` as its ``samovar`` field."""
        return answers.write_response(response, extra=extra)

    def stream_writer(self, request: ChatRequest) -> ChatStreamWriter:
        """One for each stream."""
        return ChatStreamWriter(request=request)

    def write_error(self, error: SamovarError, *, status: int, request_id: str) -> bytes:
        """``{"error": {"message", "type", "param", "code"}}``."""
        return errors.write_error(error, status=status, request_id=request_id)

    def keep_alive(self) -> bytes:
        """A comment: the SDKs skip it."""
        return KEEP_ALIVE

    # -- as a vendor's language

    @bounded_nesting
    def write_request(self, request: ChatRequest, *, vendor: Vendor, drop_params: bool) -> bytes:
        """Raises ``Unsupported`` with a flaw for each thing that this vendor cannot be told."""
        return write_request(request, vendor=vendor, drop_params=drop_params)

    def read_response(self, body: bytes, *, vendor: Vendor) -> ChatResponse:
        """Raises ``BadAnswer``, or ``UpstreamError`` for an error in a 200."""
        return answers.read_response(body, vendor=vendor)

    def stream_reader(self, *, vendor: Vendor) -> ChatStreamReader:
        """One for each stream."""
        return ChatStreamReader(vendor=vendor)

    def read_error(self, status: int, body: bytes, *, header: Callable[[str], str | None]) -> UpstreamError:
        """Never raises."""
        return errors.read_error(status, body, header=header)

    # -- as both at once

    @bounded_nesting
    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        """Raises ``Malformed``."""
        return passthrough.splice(body, model=model, vendor=vendor)

    def tap(self, body: bytes, *, vendor: Vendor) -> Tapped:
        """Raises as :meth:`read_response`."""
        return passthrough.tap(body, vendor=vendor)

    def relay(self, *, vendor: Vendor, wants_usage: bool, maker: str = "") -> ChatRelay:
        """One for each stream."""
        return ChatRelay(vendor=vendor, wants_usage=wants_usage)
