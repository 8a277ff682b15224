"""What the tests of requests share: reading, writing, and a call of another dialect."""

import json
from typing import Any

import msgspec

from samovar.ports.dialect import Vendor
from samovar.ports.llm import (
    ChatRequest,
    Message,
    Role,
    Text,
)
from samovar.providers.openai_responses import OpenAIResponses
from tests.providers.openai_responses.conftest import OPENAI

DIALECT = OpenAIResponses()


def read(**fields: object) -> ChatRequest:
    return DIALECT.read_request(msgspec.json.encode({"model": "gpt-5-mini", "input": "Чай?", **fields}))


def written(request: ChatRequest, *, vendor: Vendor = OPENAI, drop_params: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(DIALECT.write_request(request, vendor=vendor, drop_params=drop_params))
    return body


def asked(*messages: Message, **fields: Any) -> ChatRequest:
    """A request of another dialect."""
    said = messages or (Message(role=Role.USER, parts=(Text(text="Чай?"),)),)
    return ChatRequest(model="gpt-5-mini", messages=said, dialect="openai-chat", **fields)
