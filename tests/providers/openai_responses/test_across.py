"""Calls whose caller speaks this dialect and whose vendor another one, and the other way round."""

import json

import msgspec
import pytest

from samovar.ports.dialect import Dialect, Unsupported
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.openai import OpenAIChat
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.vendors import VENDORS

DIALECT = OpenAIResponses()
OTHERS = [
    pytest.param(AnthropicMessages(), "anthropic", id="anthropic"),
    pytest.param(OpenAIChat(), "openai", id="chat"),
]
# What coding agents send: they keep the conversation themselves.
AGENT: dict[str, object] = {
    "model": "any",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather in Tula?"}]},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Tula"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "snow"},
        {"role": "assistant", "phase": "final_answer", "content": [{"type": "output_text", "text": "Snow."}]},
        {"role": "user", "content": "And tomorrow?"},
    ],
    "tools": [
        {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "max_output_tokens": 400,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "session",
    "stream": True,
}


@pytest.mark.parametrize(("other", "vendor"), OTHERS)
def test_what_an_agent_sends_can_be_said_to_any_vendor(other: Dialect, vendor: str) -> None:
    request = DIALECT.read_request(msgspec.json.encode(AGENT))
    body = json.loads(other.write_request(request, vendor=VENDORS[vendor], drop_params=False))
    assert "snow" in json.dumps(body["messages"])
    assert not {"store", "include", "prompt_cache_key"} & body.keys()


@pytest.mark.parametrize("field", [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}, {"store": True}])
@pytest.mark.parametrize(("other", "vendor"), OTHERS)
def test_what_stands_at_openai_is_refused_elsewhere(other: Dialect, vendor: str, field: dict[str, object]) -> None:
    request = DIALECT.read_request(msgspec.json.encode({**AGENT, **field}))
    [name] = field
    with pytest.raises(Unsupported, match=name):
        other.write_request(request, vendor=VENDORS[vendor], drop_params=False)
    other.write_request(request, vendor=VENDORS[vendor], drop_params=True)


@pytest.mark.parametrize(("other", "vendor"), OTHERS)
def test_a_tool_of_the_vendors_own_is_refused_elsewhere(other: Dialect, vendor: str) -> None:
    request = DIALECT.read_request(msgspec.json.encode({**AGENT, "tools": [{"type": "web_search"}]}))
    with pytest.raises(Unsupported, match="tools"):
        other.write_request(request, vendor=VENDORS[vendor], drop_params=False)


def test_a_chat_with_tools_can_be_said_here() -> None:
    chat = {
        "model": "gpt-5-mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "w", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "snow"},
        ],
        "tools": [{"type": "function", "function": {"name": "w", "parameters": {"type": "object"}}}],
        "reasoning_effort": "low",
        "max_completion_tokens": 300,
    }
    request = OpenAIChat().read_request(msgspec.json.encode(chat))
    assert json.loads(DIALECT.write_request(request, vendor=VENDORS["openai"], drop_params=False)) == {
        "model": "gpt-5-mini",
        "input": [
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "function_call", "call_id": "call_1", "name": "w", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "snow"},
        ],
        "tools": [{"type": "function", "name": "w", "parameters": {"type": "object"}, "strict": False}],
        "reasoning": {"effort": "low"},
        "max_output_tokens": 300,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


def test_anthropics_thinking_survives_a_caller_of_this_dialect() -> None:
    anthropic = AnthropicMessages()
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xxx"},
        {"type": "text", "text": "Snow."},
    ]
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": blocks,
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    vendor = VENDORS["anthropic"]
    told = DIALECT.write_response(anthropic.read_response(msgspec.json.encode(answer), vendor=vendor))
    history = [*json.loads(told)["output"], {"role": "user", "content": "And?"}]
    request = DIALECT.read_request(msgspec.json.encode({"model": "claude", "input": history}))
    body = json.loads(anthropic.write_request(request, vendor=vendor, drop_params=False))
    assert body["messages"][0] == {"role": "assistant", "content": blocks}
