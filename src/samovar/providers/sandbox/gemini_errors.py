"""Gemini's errors, the same on each of its endpoints.

https://google.aip.dev/193, https://ai.google.dev/gemini-api/docs/troubleshooting.
"""

from typing import Any, Final

import msgspec

from samovar.providers.sandbox.errors import RATE_LIMITED, Problem
from samovar.providers.sandbox.exchange import Request
from samovar.providers.sandbox.surface import Manners, bearer

MANNERS: Final = Manners(
    no_key_status=403,
    bad_key_status=400,
    says_retry_after=False,
    has_opening=False,
    context_message="The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
)
_STATUSES: Final = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TYPES: Final = "type.googleapis.com/google.rpc."
_encode: Final = msgspec.json.Encoder().encode


def error_body(problem: Problem) -> bytes:
    """``{"error": {code, message, status, details}}``."""
    status = _STATUSES.get(problem.status, "INVALID_ARGUMENT" if problem.status < 500 else "UNKNOWN")
    error: dict[str, Any] = {"code": problem.status, "message": problem.message, "status": status}
    details = _details(problem)
    if details:
        error["details"] = details
    return _encode({"error": error})


def _details(problem: Problem) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    if problem.code == "invalid_api_key":
        details.append({"@type": f"{_TYPES}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"})
    if problem.code == "insufficient_quota":
        quota = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}
        details.append({"@type": f"{_TYPES}QuotaFailure", "violations": [quota]})
    elif problem.status == RATE_LIMITED:
        details.append({"@type": f"{_TYPES}RetryInfo", "retryDelay": f"{problem.retry_after_s or 1}s"})
    return details


def gemini_key(request: Request) -> bytes:
    """``x-goog-api-key``, ``?key=`` or a bearer token."""
    named = request.headers.get(b"x-goog-api-key", b"")
    if named:
        return named
    for field in request.query.split("&"):
        if field.startswith("key="):
            return field[4:].encode("latin-1")
    return bearer(request.headers)
