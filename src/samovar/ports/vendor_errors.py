"""What is alike in the errors of all vendors: when to come back, what must not be repeated, OpenAI's table of types.

Vendors' folders never import one another, so what two of them share stands here. All of it is pure.
"""

import math
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from samovar.kernel.errors import SamovarError
from samovar.ports.dialect import UpstreamError

MAX_RETRY_AFTER_S: Final = 86_400.0
_MAX_MESSAGE_CHARS: Final = 2_000
# What vendors echo of a key when they refuse it: prefixed keys, Google's, BigModel's "id.secret", and whatever follows
# Bearer or a key in a URL.
_SECRETS: Final = re.compile(
    r"\b(?:sk|pk|rk|xai|gsk|key|sess)-[\w*.\-]{6,}"
    r"|\b(?:AIza|ya29\.|AQ\.)[\w*.\-]{8,}"
    r"|\b[0-9a-f]{32}\.\w{8,}"
    r"|(?<=Bearer )\S{6,}"
    r"|(?<=[?&]key=)[^&\s\"']+",
    re.ASCII,
)
_OPENAI_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_OPENAI_STATUSES: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "data_residency_mismatch": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    "overloaded_error": 503,
    "server_is_overloaded": 503,
    "service_unavailable_error": 503,
    "timeout_error": 504,
    "vector_store_timeout": 504,
}


CONTEXT_CODE: Final = "context_length_exceeded"
# OpenAI and its imitators; Anthropic; Gemini; xAI; BigModel.
_CONTEXT: Final = re.compile(
    r"maximum context length|context[_ ]length|reduce the length of the messages"
    r"|prompt is too long|exceed context limit"
    r"|token count .{0,40}exceeds the maximum|maximum prompt length|\b1261\b",
    re.IGNORECASE,
)


def says_context_too_long(error: SamovarError) -> bool:
    """Whether a vendor refused a prompt for its length: there is no status for it, and each has its own words."""
    if not isinstance(error, UpstreamError) or error.upstream_status not in (400, 413, 422):
        return False
    return error.upstream_code in (CONTEXT_CODE, "1261") or _CONTEXT.search(error.detail) is not None


def safe_message(message: str) -> str:
    """A vendor's words for our callers: bounded, and without the key of ours that a refusal may repeat."""
    text = _SECRETS.sub("[redacted]", message)
    return text if len(text) <= _MAX_MESSAGE_CHARS else text[: _MAX_MESSAGE_CHARS - 1] + "…"


def message_with_flaws(error: SamovarError) -> str:
    """What was wrong and where, in one text, nothing twice: for shapes that have no place for a list, or SDKs that do not
    show it."""
    untold = [flaw for flaw in error.flaws if flaw.what not in error.detail]
    if not untold:
        return error.detail
    return f"{error.detail} ({'; '.join(f'{flaw.where}: {flaw.what}' for flaw in untold)})"


# --- when to come back -------------------------------------------------------------------------------------------------


def retry_after_s(header: Callable[[str], str | None]) -> float | None:
    """Seconds to wait, a day at most: ``retry-after-ms``, else ``retry-after`` in seconds or as a date (RFC 9110, 10.2.3).
    A date counts from the answer's own ``Date``, so that no clock of ours and no skew come into it."""
    millis = _number(header("retry-after-ms"))
    if millis is not None:
        return _bounded(millis / 1000)
    text = header("retry-after")
    seconds = _number(text)
    return _seconds_until(text, header("date")) if seconds is None else _bounded(seconds)


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def _seconds_until(text: str | None, date: str | None) -> float | None:
    try:
        return _bounded((parsedate_to_datetime(text or "") - parsedate_to_datetime(date or "")).total_seconds())
    except (ValueError, TypeError, OverflowError):  # TypeError: one of the two says no zone
        return None


# --- OpenAI's words, which both of its APIs and all their imitators use ---------------------------------------------------


def openai_error_type(status: int) -> str:
    """OpenAI's ``type`` for an HTTP status."""
    return _OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


def openai_status(word: str | None) -> int | None:
    """The HTTP status that a code or type stands for; ``None`` for one not known. Some vendors write the status itself."""
    if word is not None and word.isdecimal() and len(word) == 3:
        return int(word) if 400 <= int(word) <= 599 else None
    return _OPENAI_STATUSES.get(word or "")


def openai_error_fields(error: SamovarError, *, status: int) -> dict[str, object]:
    """The error object as the openai SDK reads it; ``param`` is the first flaw's path without its ``$.``"""
    flaw = error.flaws[0].where if error.flaws else None
    code = error.upstream_code if isinstance(error, UpstreamError) and error.upstream_code else error.code
    if says_context_too_long(error):
        code = CONTEXT_CODE
    return {
        "message": error.detail,
        "type": openai_error_type(status),
        "param": flaw.removeprefix("$.") if flaw else None,
        "code": code,
    }
