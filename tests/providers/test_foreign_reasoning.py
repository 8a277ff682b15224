"""Reasoning that one vendor made and another one gets."""

import pytest

from samovar.ports.dialect import Dialect, Unsupported
from samovar.ports.foreign_reasoning import opened, opened_base64, sealed, sealed_as_base64
from samovar.ports.llm import ChatRequest, Message, Reasoning, Role, Text
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.gemini import GeminiContent
from samovar.providers.openai import OpenAIChat
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.vendors import VENDORS

WRITERS = [
    (AnthropicMessages(), "anthropic"),
    (GeminiContent(), "gemini"),
    (OpenAIChat(), "openai"),
    (OpenAIChat(), "bigmodel"),
    (OpenAIResponses(), "openai"),
]
NAMES = ["anthropic", "gemini", "chat", "chat with thinking", "responses"]


def conversation(thought: Reasoning) -> ChatRequest:
    return ChatRequest(
        model="m",
        messages=(
            Message(role=Role.USER, parts=(Text(text="Tea?"),)),
            Message(role=Role.ASSISTANT, parts=(thought, Text(text="Please."))),
            Message(role=Role.USER, parts=(Text(text="With lemon?"),)),
        ),
    )


@pytest.mark.parametrize(("dialect", "vendor"), WRITERS, ids=NAMES)
def test_what_another_vendor_encrypted_is_refused_by_name_or_dropped_on_request(dialect: Dialect, vendor: str) -> None:
    request = conversation(Reasoning(encrypted="c2VjcmV0", origin="somebody"))
    with pytest.raises(Unsupported) as refused:
        dialect.write_request(request, vendor=VENDORS[vendor], drop_params=False)
    (flaw,) = refused.value.flaws
    assert flaw.where.startswith("messages[1].")
    assert flaw.what == "encrypted reasoning that somebody made and only somebody can read"
    assert b"c2VjcmV0" not in dialect.write_request(request, vendor=VENDORS[vendor], drop_params=True)


@pytest.mark.parametrize(("dialect", "vendor"), WRITERS, ids=NAMES)
def test_what_another_vendor_thought_in_the_open_is_no_hindrance(dialect: Dialect, vendor: str) -> None:
    request = conversation(Reasoning(text="hm", signature="c2lnbmVk", origin="somebody"))
    assert b"c2lnbmVk" not in dialect.write_request(request, vendor=VENDORS[vendor], drop_params=False)


def test_both_envelopes_give_back_what_was_put_in() -> None:
    thought = Reasoning(text="hm", signature="s?>", encrypted="e", id="i", origin="somebody")
    for envelope in (
        opened(sealed(thought, signature=thought.signature, encrypted=thought.encrypted)),
        opened_base64(sealed_as_base64(thought, signature=thought.signature, encrypted=thought.encrypted)),
    ):
        assert envelope is not None
        assert envelope.reasoning("hm") == thought


@pytest.mark.parametrize("text", ["", "samovar.", "samovar.!!", "c2Ftb3Zhci57", "samovar.W1tbW1tbW10", "EqoBCkgI"])
def test_what_is_no_envelope_of_ours_is_nobody_elses_reasoning(text: str) -> None:
    assert opened(text) is None
    assert opened_base64(text) is None
