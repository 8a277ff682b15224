"""Gemini's ``generateContent`` as a :class:`samovar.ports.dialect.Dialect`."""

from collections.abc import Callable, Mapping

from samovar.kernel.errors import SamovarError
from samovar.ports.dialect import Head, Tapped, UpstreamError, Vendor
from samovar.ports.json_requests import bounded_nesting
from samovar.ports.llm import ChatRequest, ChatResponse
from samovar.providers.gemini import failures, passthrough
from samovar.providers.gemini import response as answers
from samovar.providers.gemini.framing import StreamForm, framing
from samovar.providers.gemini.relay import GeminiRelay
from samovar.providers.gemini.request.read import read_head, read_request
from samovar.providers.gemini.request.write import write_request
from samovar.providers.gemini.stream.read import GeminiStreamReader
from samovar.providers.gemini.stream.write import GeminiStreamWriter
from samovar.providers.gemini.wire import DIALECT


class GeminiContent:
    """Both a surface and a vendor's language. The model and whether it streams stand in the URL: what is read from a body
    has ``model=""`` and ``stream=False``, and the entrance fills them in. ``form`` is how a surface's streams are framed; a
    caller who does not ask for ``alt=sse`` gets ``StreamForm.ARRAY``. Vendors are always asked for events."""

    name = DIALECT
    forwarded_headers = frozenset({b"x-server-timeout", b"x-vertex-ai-llm-request-type"})
    default_headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, *, form: StreamForm = StreamForm.SSE) -> None:
        self.form = form

    # -- as a surface

    @bounded_nesting
    def read_head(self, body: bytes) -> Head:
        """``model`` is empty and ``stream`` false. Raises ``Malformed`` with the path of the flaw."""
        return read_head(body)

    @bounded_nesting
    def read_request(self, body: bytes) -> ChatRequest:
        """``model`` is empty and ``stream`` false. Raises ``Malformed`` with the path of the flaw."""
        return read_request(body)

    @bounded_nesting
    def amended(self, body: bytes, *, max_output_tokens: int | None, drop_params: bool) -> bytes:
        """See :meth:`samovar.ports.dialect.Dialect.amended`."""
        return passthrough.amended(body, max_output_tokens=max_output_tokens, drop_params=drop_params)

    def write_response(self, response: ChatResponse, *, extra: Mapping[str, object] | None = None) -> bytes:
        """Raises ``Unsupported`` for media that say neither what nor where they are."""
        return answers.write_response(response, extra=extra)

    def stream_writer(self, request: ChatRequest) -> GeminiStreamWriter:
        """One for each stream."""
        return GeminiStreamWriter(request=request, framing=framing(self.form))

    def write_error(self, error: SamovarError, *, status: int, request_id: str) -> bytes:
        """Google's error shape; its ``status`` follows the HTTP status."""
        return failures.write_error(error, status=status, request_id=request_id)

    def keep_alive(self) -> bytes:
        """Nothing: Google's own clients break on comments, and white space could break the array."""
        return b""

    # -- as a vendor's language

    @bounded_nesting
    def write_request(self, request: ChatRequest, *, vendor: Vendor, drop_params: bool) -> bytes:
        """Raises ``Unsupported`` with a flaw for each thing that this API cannot say."""
        return write_request(request, vendor=vendor, drop_params=drop_params)

    def read_response(self, body: bytes, *, vendor: Vendor) -> ChatResponse:
        """Raises ``BadAnswer``, or ``UpstreamError`` for an error in a 200."""
        return answers.read_response(body, vendor=vendor)

    def stream_reader(self, *, vendor: Vendor) -> GeminiStreamReader:
        """One for each stream."""
        return GeminiStreamReader(vendor=vendor)

    def read_error(self, status: int, body: bytes, *, header: Callable[[str], str | None]) -> UpstreamError:
        """Never raises."""
        return failures.read_error(status, body, header=header)

    # -- as both at once

    @bounded_nesting
    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        """The caller's bytes without our own fields and thinking of other vendors. ``model`` belongs into the
        URL and is not put in. Raises
        ``Malformed``, ``Unsupported``."""
        return passthrough.splice(body, vendor=vendor)

    def tap(self, body: bytes, *, vendor: Vendor) -> Tapped:
        """Raises as :meth:`read_response`."""
        return answers.tap(body)

    def relay(self, *, vendor: Vendor, wants_usage: bool, maker: str = "") -> GeminiRelay:
        """One for each stream. Usage is part of every stream of this dialect, so ``wants_usage`` changes nothing."""
        return GeminiRelay(form=self.form)
