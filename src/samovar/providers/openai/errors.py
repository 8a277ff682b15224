"""Errors: OpenAI's shape written, and every shape read that its imitators send."""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from samovar.kernel.errors import SamovarError
from samovar.ports.dialect import UpstreamError
from samovar.ports.vendor_errors import openai_error_fields, openai_status, retry_after_s, safe_message
from samovar.providers.openai.wire import encode, is_null

_TITLE: Final = re.compile(r"<title[^>]*>\s*([^<]{1,200}?)\s*</title>", re.IGNORECASE)


def write_error(error: SamovarError, *, status: int, request_id: str) -> bytes:
    """The body of an error answer."""
    return encode({"error": openai_error_fields(error, status=status), "request_id": request_id})


class _Said(Struct, frozen=True):
    """What could be found out of an error body."""

    message: str = ""
    code: str | None = None
    status: int | None = None


def read_error(status: int, body: bytes, *, header: Callable[[str], str | None]) -> UpstreamError:
    """Any body whatever: JSON of any of the known shapes, HTML, nothing, bytes that are no text. Never raises."""
    said = _said(_json(body))
    message = said.message or _page(status, body)
    return UpstreamError(
        safe_message(message),
        upstream_status=status,
        upstream_code=said.code,
        retry_after_s=retry_after_s(header),
    )


def error_event(raw: Raw | bytes) -> UpstreamError:
    """An error that came with HTTP 200, alone or in mid-stream. Its status is told by its code or its type."""
    said = _said(_json(bytes(raw)))
    return UpstreamError(
        safe_message(said.message or "the provider ended the answer with an error that it did not describe"),
        upstream_status=said.status or openai_status(said.code) or 500,
        upstream_code=said.code,
    )


def is_error(*, error: Raw, kind: str | None) -> bool:
    """Whether a body or chunk is an error: OpenAI's ``error`` member, or vLLM's ``"object": "error"``."""
    return kind == "error" or not is_null(error)


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


def _said(value: object) -> _Said:
    if isinstance(value, list) and value:  # Google wraps its error in an array
        value = value[0]
    if isinstance(value, str):
        return _Said(message=value)
    if not isinstance(value, dict):
        return _Said()
    inner = value.get("error")
    if isinstance(inner, dict):
        return _described(inner)
    if isinstance(inner, str):  # Ollama, xAI
        return _Said(message=inner, code=_word(value.get("code")))
    return _described(value)


def _described(error: dict[object, object]) -> _Said:
    """The error object itself."""
    message = error.get("message") or error.get("msg") or error.get("detail")
    text = message if isinstance(message, str) else encode(message).decode() if message else ""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if isinstance(raw, str) and raw:  # OpenRouter: what the vendor behind it said
        text = f"{text}: {raw}"
    code, kind = error.get("code"), _word(error.get("type"))
    if isinstance(code, int) and not isinstance(code, bool):
        return _Said(message=text, code=kind or str(code), status=code if 400 <= code <= 599 else openai_status(kind))
    return _Said(message=text, code=_word(code) or kind, status=openai_status(_word(code)) or openai_status(kind))


def _word(value: object) -> str | None:
    if isinstance(value, str) and value:
        return value[:100]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _page(status: int, body: bytes) -> str:
    text = body[:10_000].decode("utf-8", "replace").strip()
    if not text:
        return f"the provider answered with status {status} and an empty body"
    title = _TITLE.search(text)
    if title:
        return f"the provider answered with status {status} and a page titled {title[1]!r}"
    if text.startswith(("<", "{", "[")):
        return f"the provider answered with status {status} and a body that says nothing of the error"
    return text
