"""Errors of Google's APIs, both ways (https://cloud.google.com/apis/design/errors)."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import SamovarError
from samovar.ports.dialect import UpstreamError
from samovar.ports.vendor_errors import message_with_flaws, retry_after_s, safe_message
from samovar.providers.gemini.wire import ErrorDetail, ErrorWire, said

_NAMES: Final[Mapping[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_STATUSES: Final[Mapping[str, int]] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_BAD_KEY: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_TYPE: Final = "type.googleapis.com/google.rpc."


class _ErrorBody(msgspec.Struct):
    error: ErrorWire


_BODIES: Final = msgspec.json.Decoder(_ErrorBody | list[_ErrorBody])


def error_name(status: int) -> str:
    """Google's canonical name for an HTTP status."""
    named = _NAMES.get(status)
    if named is not None:
        return named
    return "INVALID_ARGUMENT" if 400 <= status < 500 else "INTERNAL"


def error_body(message: str, *, status: int, details: list[dict[str, Any]] | None = None) -> bytes:
    """The error shape of Google's APIs."""
    error: dict[str, Any] = {"code": status, "message": message, "status": error_name(status)}
    if details:
        error["details"] = details
    return msgspec.json.encode({"error": error})


def write_error(error: SamovarError, *, status: int, request_id: str | None = None) -> bytes:
    """Flaws become field violations, a ``Retry-After`` a ``RetryInfo``."""
    details: list[dict[str, Any]] = []
    if error.flaws:
        violations = [{"field": flaw.where, "description": flaw.what} for flaw in error.flaws]
        details.append({"@type": _TYPE + "BadRequest", "fieldViolations": violations})
    retry_after = error.headers.get("Retry-After", "")
    if retry_after.isdecimal():
        details.append({"@type": _TYPE + "RetryInfo", "retryDelay": f"{retry_after}s"})
    if request_id is not None:
        details.append({"@type": _TYPE + "RequestInfo", "requestId": request_id})
    return error_body(message_with_flaws(error), status=status, details=details)


def upstream_error(wire: ErrorWire) -> UpstreamError:
    """An error that came inside a 200."""
    status = wire.code if 400 <= wire.code <= 599 else _STATUSES.get(wire.status, 500)
    return _upstream_error(wire, status=status, wait_s=None)


def read_error(status: int, body: bytes, *, header: Callable[[str], str | None]) -> UpstreamError:
    """Never raises: HTML, an empty body or broken text becomes a general message without any of the body in it. A stream
    that was asked for as an array has its error in an array."""
    wait_s = retry_after_s(header)
    try:
        bodies = _BODIES.decode(body)
        wire = (bodies[0] if isinstance(bodies, list) else bodies).error
    except (msgspec.MsgspecError, UnicodeDecodeError, IndexError, RecursionError):
        return UpstreamError(
            f"The provider answered with status {status} and no readable error.",
            upstream_status=status,
            retry_after_s=wait_s,
        )
    return _upstream_error(wire, status=status, wait_s=wait_s)


def _upstream_error(wire: ErrorWire, *, status: int, wait_s: float | None) -> UpstreamError:
    details = [detail for raw in wire.details or () if (detail := _detail(raw)) is not None]
    delay = next((_seconds(detail.retry_delay) for detail in details if detail.kind.endswith(".RetryInfo")), None)
    if status == 400 and any(_text(detail.reason) in _BAD_KEY for detail in details):
        # Google calls a bad key a bad request; it is our key, not the caller's request.
        status = 401
    return UpstreamError(
        safe_message(wire.message) or f"The provider answered with status {status} ({wire.status}).",
        upstream_status=status,
        upstream_code=wire.status or None,
        retry_after_s=wait_s if delay is None else delay,
    )


def _detail(raw: Raw) -> ErrorDetail | None:
    try:
        return msgspec.json.decode(raw, type=ErrorDetail)
    except msgspec.MsgspecError:
        return None


def _text(raw: Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=str) if said(raw) else ""
    except msgspec.MsgspecError:
        return ""


def _seconds(raw: Raw) -> float | None:
    """A ``google.protobuf.Duration`` in JSON: ``"34.4s"``."""
    found = _DURATION.fullmatch(_text(raw))
    return None if found is None else float(found[1])
