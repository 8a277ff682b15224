"""System messages in mid-conversation, written for Anthropic."""

import json
from itertools import pairwise
from typing import Any

import pytest

from samovar.ports.dialect import Unsupported
from samovar.ports.llm import ChatRequest, Message, Role, Text
from samovar.providers.anthropic import AnthropicMessages
from tests.providers.anthropic.conftest import VENDOR

HI = Message(role=Role.USER, parts=(Text(text="hi"),))
NOW = Message(role=Role.SYSTEM, parts=(Text(text="now in Russian"),))
OK = Message(role=Role.ASSISTANT, parts=(Text(text="ok"),))
NEW = (
    "claude-opus-4-8",
    "claude-opus-4-8-20260528",
    "claude-opus-4-10",
    "claude-opus-5",
    "claude-sonnet-5-5",
    "sandbox/echo",
)
OLD = (
    "claude-2.1",
    "claude-3-5-haiku-latest",
    "claude-opus-4-20250514",
    "claude-opus-4-7",
    "claude-sonnet-4-5",
    "claude-haiku-4-5-20251001",
    "anthropic.claude-opus-4-1",
)


def written(*messages: Message, model: str, drop: bool = False) -> dict[str, Any]:
    request = ChatRequest(model=model, messages=messages, dialect="openai-chat")
    sent: dict[str, Any] = json.loads(AnthropicMessages().write_request(request, vendor=VENDOR, drop_params=drop))
    return sent


@pytest.mark.parametrize("model", NEW)
def test_a_later_system_message_stays_where_it_was_said(model: str) -> None:
    for after in ((), (OK, HI)):
        sent = written(NOW, HI, NOW, NOW, *after, model=model)
        assert sent["system"] == [{"type": "text", "text": "now in Russian"}]
        assert [turn["role"] for turn in sent["messages"]] == ["user", "system", "assistant", "user"][: 2 + len(after)]


@pytest.mark.parametrize("model", OLD)
def test_older_models_are_told_no_system_message_in_mid_conversation(model: str) -> None:
    with pytest.raises(Unsupported) as refused:
        written(HI, NOW, OK, HI, model=model)
    assert refused.value.flaws[0].where == "messages[1]"
    assert "Opus 4.8" in refused.value.flaws[0].what


@pytest.mark.parametrize("messages", [(HI, NOW, HI), (HI, OK, NOW, HI), (HI, OK, NOW)])
def test_a_system_message_where_none_may_stand_is_refused_or_moved_on_request(messages: tuple[Message, ...]) -> None:
    with pytest.raises(Unsupported, match="mid-conversation"):
        written(*messages, model="claude-opus-5")
    moved = written(*messages, model="claude-opus-5", drop=True)
    assert moved["system"] == [{"type": "text", "text": "now in Russian"}]
    roles = [turn["role"] for turn in moved["messages"]]
    assert "system" not in roles
    assert all(one != other for one, other in pairwise(roles))
