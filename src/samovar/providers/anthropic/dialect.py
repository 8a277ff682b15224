"""Anthropic's messages API as a :class:`samovar.ports.dialect.Dialect`."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from samovar.kernel.errors import SamovarError
from samovar.ports.dialect import Head, Tapped, UpstreamError, Vendor
from samovar.ports.json_requests import bounded_nesting
from samovar.ports.llm import ChatRequest, ChatResponse
from samovar.providers.anthropic import failures, passthrough
from samovar.providers.anthropic import response as answers
from samovar.providers.anthropic.relay import AnthropicRelay
from samovar.providers.anthropic.request.read import read_head, read_request
from samovar.providers.anthropic.request.write import write_request
from samovar.providers.anthropic.stream.read import AnthropicStreamReader
from samovar.providers.anthropic.stream.write import PING, AnthropicStreamWriter
from samovar.providers.anthropic.wire import DIALECT

DEFAULT_MAX_TOKENS: Final = 4096


class AnthropicMessages:
    """Both a surface and a vendor's language. ``default_max_tokens`` is asked for where a request of another dialect
    names no bound: this API demands one."""

    name = DIALECT
    forwarded_headers = frozenset({b"anthropic-version", b"anthropic-beta"})
    default_headers: tuple[tuple[str, str], ...] = (("anthropic-version", "2023-06-01"),)

    def __init__(self, *, default_max_tokens: int = DEFAULT_MAX_TOKENS) -> None:
        self._default_max_tokens = default_max_tokens

    # -- as a surface

    @bounded_nesting
    def read_head(self, body: bytes) -> Head:
        """Raises ``Malformed`` with the path of the flaw."""
        return read_head(body)

    @bounded_nesting
    def read_request(self, body: bytes) -> ChatRequest:
        """Raises ``Malformed`` with the path of the flaw."""
        return read_request(body)

    @bounded_nesting
    def amended(self, body: bytes, *, max_output_tokens: int | None, drop_params: bool) -> bytes:
        """See :meth:`samovar.ports.dialect.Dialect.amended`."""
        return passthrough.amended(body, max_output_tokens=max_output_tokens, drop_params=drop_params)

    def write_response(self, response: ChatResponse, *, extra: Mapping[str, object] | None = None) -> bytes:
        """Raises ``Unsupported`` for sound and video, which an answer here cannot hold."""
        return answers.write_response(response, extra=extra)

    def stream_writer(self, request: ChatRequest) -> AnthropicStreamWriter:
        """One for each stream."""
        return AnthropicStreamWriter(request=request)

    def write_error(self, error: SamovarError, *, status: int, request_id: str) -> bytes:
        """Anthropic's error shape; its type follows the status."""
        body = failures.error_body(failures.words_of(error), status=status)
        return msgspec.json.encode({**body, "request_id": request_id})

    def keep_alive(self) -> bytes:
        """The ``ping`` event."""
        return PING

    # -- as a vendor's language

    @bounded_nesting
    def write_request(self, request: ChatRequest, *, vendor: Vendor, drop_params: bool) -> bytes:
        """Raises ``Unsupported`` with a flaw for each thing that this API cannot say."""
        return write_request(
            request, vendor=vendor, drop_params=drop_params, default_max_tokens=self._default_max_tokens
        )

    def read_response(self, body: bytes, *, vendor: Vendor) -> ChatResponse:
        """Raises ``BadAnswer``, or ``UpstreamError`` for an error in a 200."""
        return answers.read_response(body, vendor=vendor)

    def stream_reader(self, *, vendor: Vendor) -> AnthropicStreamReader:
        """One for each stream."""
        return AnthropicStreamReader(vendor=vendor)

    def read_error(self, status: int, body: bytes, *, header: Callable[[str], str | None]) -> UpstreamError:
        """Never raises."""
        return failures.read_error(status, body, header=header)

    # -- as both at once

    @bounded_nesting
    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        """The caller's bytes with the vendor's model name, without our own fields and without thinking of other vendors.
        Raises ``Malformed``, ``Unsupported``."""
        return passthrough.splice(body, model=model, vendor=vendor)

    def tap(self, body: bytes, *, vendor: Vendor) -> Tapped:
        """Raises as :meth:`read_response`."""
        return answers.tap(body)

    def relay(self, *, vendor: Vendor, wants_usage: bool, maker: str = "") -> AnthropicRelay:
        """One for each stream. Usage is part of every stream of this dialect, so ``wants_usage`` changes nothing."""
        return AnthropicRelay()
