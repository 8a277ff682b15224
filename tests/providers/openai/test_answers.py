"""Whole answers, read and written, and parsed by the openai SDK."""

import json
from typing import Any

from openai.types.chat import ChatCompletion

from samovar.ports.dialect import Vendor
from samovar.ports.llm import (
    ChatResponse,
    Reasoning,
    Refusal,
    Stop,
    StopKind,
    Text,
    ToolCall,
    Usage,
)
from samovar.providers.openai import OpenAIChat
from tests.providers.openai.samples import USAGE

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "gpt-x",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Привет",
                "refusal": None,
                "reasoning_content": "Hmm",
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {"start_index": 0, "end_index": 1, "title": "t", "url": "https://example.com"},
                    }
                ],
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "sun", "arguments": "{"}}],
                "audio": {"id": "a", "data": "", "expires_at": 1, "transcript": "x"},
            },
            "logprobs": {
                "content": [{"token": "x", "logprob": -0.1, "bytes": [1], "top_logprobs": []}],
                "refusal": None,
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": USAGE,
    "service_tier": "default",
}


def test_an_answer_is_read_into_neutral_parts(dialect: OpenAIChat, openai: Vendor) -> None:
    read = dialect.read_response(json.dumps(ANSWER).encode(), vendor=openai)
    assert read.parts[0] == Reasoning(text="Hmm")
    assert isinstance(read.parts[1], Text)
    assert read.parts[2] == ToolCall(id="c", name="sun", arguments="{")
    assert read.stop == Stop(kind=StopKind.TOOL_CALLS, raw="tool_calls")
    assert read.usage == Usage(
        input_tokens=9, output_tokens=5, cached_input_tokens=4, reasoning_tokens=2, service_tier="default"
    )


def test_an_answer_read_and_written_again_loses_nothing(dialect: OpenAIChat, openai: Vendor) -> None:
    read = dialect.read_response(json.dumps(ANSWER).encode(), vendor=openai)
    again = json.loads(dialect.write_response(read))
    assert again.pop("usage")["completion_tokens_details"]["reasoning_tokens"] == 2
    assert again == {name: value for name, value in ANSWER.items() if name != "usage"}


def test_the_sdk_understands_what_we_write(dialect: OpenAIChat) -> None:
    response = ChatResponse(
        id="msg_1",
        model="claude",
        parts=(
            Reasoning(text="Hmm", signature="sig", origin="anthropic"),
            Text(text="a"),
            Text(text="b"),
            ToolCall(id="t", name="sun", arguments='{"a":1}'),
        ),
        stop=Stop(kind=StopKind.PAUSE, raw="pause_turn"),
        usage=Usage(input_tokens=10, output_tokens=3, cached_input_tokens=8),
    )
    answer = ChatCompletion.model_validate_json(dialect.write_response(response, extra={"cost": "1"}), strict=True)
    message = answer.choices[0].message
    assert message.content == "ab"
    assert message.tool_calls is not None
    assert message.tool_calls[0].type == "function"
    assert message.tool_calls[0].function.arguments == '{"a":1}'
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 13
    assert answer.model_extra == {"samovar": {"cost": "1"}}
    assert message.model_extra is not None
    assert message.model_extra["reasoning_details"][0]["signature"] == "sig"


def test_a_refusal_stands_in_its_field(dialect: OpenAIChat) -> None:
    response = ChatResponse(
        id="1", model="m", parts=(Refusal(text="No."),), stop=Stop(kind=StopKind.REFUSAL), usage=Usage()
    )
    choice = ChatCompletion.model_validate_json(dialect.write_response(response)).choices[0]
    assert (choice.message.refusal, choice.message.content, choice.finish_reason) == ("No.", None, "content_filter")


def test_an_answer_without_usage_says_that_it_must_be_estimated(dialect: OpenAIChat, openai: Vendor) -> None:
    read = dialect.read_response(b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}', vendor=openai)
    assert read.usage.estimated
