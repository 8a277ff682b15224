"""What tests ask of Gemini's surface."""

import json
from typing import Any

import msgspec

from samovar.ports.llm import ChatRequest
from samovar.providers.gemini import GeminiContent

DIALECT = GeminiContent()
HELLO: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "Привет"}]}]


def loaded(raw: msgspec.Raw) -> Any:
    return json.loads(bytes(raw))


def read(*contents: dict[str, Any], **fields: Any) -> ChatRequest:
    return DIALECT.read_request(json.dumps({"contents": contents or HELLO, **fields}).encode())
