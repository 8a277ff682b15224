"""OpenAI's errors, the same on each of its endpoints.

https://platform.openai.com/docs/guides/error-codes.
"""

from typing import Final

import msgspec

from samovar.providers.sandbox.errors import Problem

CREATED: Final = 1_767_225_600
"""2026-01-01: the same request must give the same answer."""
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "requests",
}
_ERROR_CODES: Final = {401: "invalid_api_key", 429: "rate_limit_exceeded", 503: "overloaded"}
_encode: Final = msgspec.json.Encoder().encode


def error_fields(problem: Problem) -> dict[str, str | None]:
    """``{message, type, param, code}``."""
    kind = _ERROR_TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
    code = problem.code or _ERROR_CODES.get(problem.status)
    if code == "insufficient_quota":
        kind = code
    return {"message": problem.message, "type": kind, "param": problem.param, "code": code}


def error_body(problem: Problem) -> bytes:
    """``{"error": {message, type, param, code}}``."""
    return _encode({"error": error_fields(problem)})


def request_id(digest: str) -> bytes:
    """The header line ``x-request-id``."""
    return b"x-request-id: req_" + digest.encode() + b"\r\n"
