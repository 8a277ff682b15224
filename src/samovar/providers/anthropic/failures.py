"""Errors of the messages API, both ways (https://platform.claude.com/docs/en/api/errors)."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import sse_bytes
from samovar.ports.dialect import UpstreamError
from samovar.ports.json_requests import UNREADABLE
from samovar.ports.vendor_errors import message_with_flaws, retry_after_s, safe_message, says_context_too_long
from samovar.providers.anthropic.wire import ErrorWire

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUSES: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


_TOO_LONG: Final = "prompt is too long"


class _ErrorBody(msgspec.Struct):
    error: ErrorWire


def error_type(status: int) -> str:
    """Anthropic's error type for an HTTP status."""
    named = _TYPES.get(status)
    if named is not None:
        return named
    return "invalid_request_error" if 400 <= status < 500 else "api_error"


def error_status(kind: str) -> int:
    """The HTTP status that an error type would have had; 500 for a type not known."""
    return _STATUSES.get(kind, 500)


def error_body(message: str, *, status: int) -> dict[str, object]:
    """The error shape without a request id, as it stands in an ``error`` event."""
    return {"type": "error", "error": {"type": error_type(status), "message": message}}


def upstream_error(wire: ErrorWire) -> UpstreamError:
    """An error that came inside a 200: an ``error`` event, or an error body."""
    return UpstreamError(
        safe_message(wire.message) or wire.type, upstream_status=error_status(wire.type), upstream_code=wire.type
    )


def read_error(status: int, body: bytes, *, header: Callable[[str], str | None]) -> UpstreamError:
    """Never raises: HTML, an empty body or broken text becomes a general message without any of the body in it."""
    try:
        wire = msgspec.json.decode(body, type=_ErrorBody).error
    except UNREADABLE:
        return UpstreamError(
            f"The provider answered with status {status} and no readable error.",
            upstream_status=status,
            retry_after_s=retry_after_s(header),
        )
    return UpstreamError(
        safe_message(wire.message) or f"The provider answered with status {status} ({wire.type}).",
        upstream_status=status,
        upstream_code=wire.type,
        retry_after_s=retry_after_s(header),
    )


def words_of(error: SamovarError) -> str:
    """What the caller reads. Anthropic's clients know a prompt that is too long by these words alone."""
    words = message_with_flaws(error)
    return f"prompt is too long: {words}" if says_context_too_long(error) and _TOO_LONG not in words else words


def error_event(error: SamovarError) -> bytes:
    """The typed ``error`` event that ends a stream."""
    return sse_bytes(msgspec.json.encode(error_body(words_of(error), status=error.http_status)), "error")
