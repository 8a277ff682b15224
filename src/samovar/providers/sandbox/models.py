"""``GET .../models`` and ``.../models/{id}``, in the shape of the client that asks."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from samovar.providers.sandbox.answers import behaviour, model_names
from samovar.providers.sandbox.ask import Ask
from samovar.providers.sandbox.openai_errors import CREATED

_PATH: Final = re.compile(
    r"(?:/(?:openrouter|xai|deepseek|bigmodel|ollama|vllm|mistral|groq|azure))?(?:/api|/openai)?(?:/paas)?"
    r"/(v\d(?:beta|alpha)?)/models(?:/([^:]+))?"
)
_METHODS: Final = ["generateContent", "streamGenerateContent", "countTokens"]
_EMBED: Final = "sandbox/embed"
_encode: Final = msgspec.json.Encoder().encode


def is_models_path(path: str) -> bool:
    """Whether ``path`` asks for the list or for one of it."""
    return _PATH.fullmatch(path) is not None


def models_page(path: str, headers: Mapping[bytes, bytes]) -> bytes:
    """The list, or one model. Raises ``Refused`` (404) for a model that we do not have."""
    found = _PATH.fullmatch(path)
    assert found is not None
    name = unquote(found[2] or "")
    if name and name != _EMBED:
        behaviour(Ask(model=name, digest="", user_text="", said=[]))
    names = [name] if name else [*model_names(), _EMBED]
    if b"anthropic-version" in headers:
        entries = [_anthropic(each) for each in names]
        return _encode(entries[0] if name else _paged(entries))
    if b"x-goog-api-key" in headers or len(found[1]) > 2:
        entries = [_gemini(each) for each in names]
        return _encode(entries[0] if name else {"models": entries})
    entries = [{"id": each, "object": "model", "created": CREATED, "owned_by": "samovar-sandbox"} for each in names]
    return _encode(entries[0] if name else {"object": "list", "data": entries})


def _anthropic(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": f"Sandbox: {name}", "created_at": "2026-01-01T00:00:00Z"}


def _paged(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"data": entries, "has_more": False, "first_id": entries[0]["id"], "last_id": entries[-1]["id"]}


def _gemini(name: str) -> dict[str, Any]:
    methods = ["embedContent", "batchEmbedContents"] if name == _EMBED else _METHODS
    return {"name": f"models/{name}", "displayName": f"Sandbox: {name}", "supportedGenerationMethods": methods}
