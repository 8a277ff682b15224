"""Conversations that one vendor began and another goes on with."""

from typing import Any

import pytest

from tests.e2e.conftest import Samovar

ARGUMENTS = '{"city": "Oslo"}'
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "parameters": SCHEMA}
CHAT = {
    "messages": [
        {"role": "user", "content": "The weather, please"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": name, "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
                for name in ("call_1", "call_2")
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_2", "content": "windy"},
    ],
    "tools": [{"type": "function", "function": FUNCTION}],
}
RESPONSES = {
    "input": [
        {"role": "user", "content": "The weather, please"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": ARGUMENTS},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ],
    "tools": [{"type": "function", **FUNCTION}],
}
MESSAGES = {
    "max_tokens": 500,
    "messages": [
        {"role": "user", "content": "The weather, please"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]},
    ],
    "tools": [{"name": "weather", "input_schema": SCHEMA}],
}


def ask(samovar: Samovar, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    return samovar.request("POST", path, body, {"Authorization": f"Bearer {samovar.key}"})[:2]


@pytest.mark.parametrize("model", ["gemini/gemini-2.5-flash", "gemini/gemini-3-pro-preview", "gemini/sandbox/tools"])
@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", CHAT), ("/v1/responses", RESPONSES), ("/v1/messages", MESSAGES)],
    ids=["chat", "responses", "messages"],
)
def test_gemini_goes_on_from_a_call_that_another_vendor_made(
    samovar: Samovar, path: str, body: dict[str, Any], model: str
) -> None:
    status, said = ask(samovar, path, {"model": model, **body})
    assert status == 200, said
    assert "sunny" in str(said)


TALK = [
    {"role": "user", "content": "hello"},
    {"role": "system", "content": "in Russian from here on"},
    {"role": "assistant", "content": "ok"},
    {"role": "user", "content": "tea, please"},
]


@pytest.mark.parametrize("model", ["anthropic/claude-opus-4-8", "anthropic/claude-opus-5", "openai/gpt-4o"])
def test_a_system_message_in_mid_conversation_reaches_the_models_that_take_it(samovar: Samovar, model: str) -> None:
    status, said = ask(samovar, "/v1/chat/completions", {"model": model, "messages": TALK})
    assert status == 200, said


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"])
def test_others_say_that_they_take_none_and_move_it_to_the_head_on_request(samovar: Samovar, model: str) -> None:
    body = {"model": model, "messages": TALK}
    status, said = ask(samovar, "/v1/chat/completions", body)
    assert (status, said["error"]["code"]) == (400, "unsupported_by_provider"), said
    assert said["error"]["param"] == "messages[1]"
    status, said = ask(samovar, "/v1/chat/completions", {**body, "drop_params": True})
    assert status == 200, said


def test_anthropic_s_own_callers_hear_anthropic_s_own_refusal(samovar: Samovar) -> None:
    for model, answer in (("anthropic/claude-opus-5", 200), ("anthropic/claude-sonnet-4-5", 400)):
        body = {"model": model, "max_tokens": 100, "messages": TALK}
        status, said = ask(samovar, "/v1/messages", body)
        assert status == answer, said
        assert status == 200 or "role 'system' is not supported on this model" in said["error"]["message"]
