"""Errors of the Responses API, both ways: in an answer's body, inside a 200, and as events of a stream."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from samovar.ports.dialect import UpstreamError
from samovar.ports.vendor_errors import openai_status, retry_after_s, safe_message
from samovar.providers.openai_responses.wire import ErrorWire

# The API's codes for pictures that it cannot take: the caller's fault, all of them.
_PICTURE: Final = re.compile(r"image")


class _Body(msgspec.Struct):
    error: ErrorWire | str | None = None
    code: str | int | None = None
    message: str | None = None
    detail: str | None = None


_BODIES: Final = msgspec.json.Decoder(_Body)


def upstream_error(wire: ErrorWire) -> UpstreamError:
    """An error that came inside a 200 or in mid-stream. Its status is told by its code, else by its type."""
    code = None if wire.code is None else str(wire.code)[:100]
    named = code or wire.type
    return UpstreamError(
        safe_message(wire.message or "") or f"The provider ended the answer with the error {named or 'unknown'}.",
        upstream_status=_status(code) or _status(wire.type) or 500,
        upstream_code=named,
    )


def _status(word: str | None) -> int | None:
    return openai_status(word) or (400 if word is not None and _PICTURE.search(word) else None)


def read_error(status: int, body: bytes, *, header: Callable[[str], str | None]) -> UpstreamError:
    """Never raises: HTML, an empty body or broken text becomes a general message without any of the body in it."""
    message, code = _described(body)
    return UpstreamError(
        safe_message(message) or f"The provider answered with status {status} and no readable error.",
        upstream_status=status,
        upstream_code=code,
        retry_after_s=retry_after_s(header),
    )


def _described(body: bytes) -> tuple[str, str | None]:
    """The message, and the code or else the type."""
    try:
        said = _BODIES.decode(body)
    except (ValueError, RecursionError):
        return "", None
    if isinstance(said.error, ErrorWire):
        code = said.error.type if said.error.code is None else str(said.error.code)
        return said.error.message or "", code
    # xAI: {"code": "...", "error": "..."}
    code = None if said.code is None else str(said.code)[:100]
    return said.error or said.message or said.detail or "", code


def body_error(body: bytes) -> UpstreamError | None:
    """The error that a body given in place of a stream tells of, if it tells of any."""
    message, code = _described(body)
    return upstream_error(ErrorWire(message=message, code=code)) if message else None
