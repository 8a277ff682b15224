"""A neutral request in Anthropic's words."""

import json
from typing import Any, get_args

import msgspec
import pytest
from anthropic.types import MessageCreateParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import TypeAdapter

from samovar.ports.dialect import Quirks, Unsupported, Vendor
from samovar.ports.llm import (
    CacheMark,
    ChatRequest,
    Media,
    MediaKind,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningSettings,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from samovar.providers.anthropic import AnthropicMessages
from tests.providers.anthropic.conftest import VENDOR
from tests.providers.anthropic.test_requests_read import body

DIALECT = AnthropicMessages()
HI = Message(role=Role.USER, parts=(Text(text="hi"),))
SCHEMA = msgspec.Raw(b'{"type":"object"}')


def written(*messages: Message, drop: bool = False, **fields: Any) -> dict[str, Any]:
    """What goes out for a request of the chat dialect."""
    request = ChatRequest(model="claude-sonnet-5", messages=messages or (HI,), dialect="openai-chat", **fields)
    sent: dict[str, Any] = json.loads(DIALECT.write_request(request, vendor=VENDOR, drop_params=drop))
    return sent


def user(*parts: Part) -> Message:
    return Message(role=Role.USER, parts=parts)


def refused(*messages: Message, **fields: Any) -> list[str]:
    with pytest.raises(Unsupported) as error:
        written(*messages, **fields)
    return [flaw.where for flaw in error.value.flaws]


def test_a_request_without_a_bound_gets_the_stated_default() -> None:
    assert written()["max_tokens"] == 4096
    assert written(max_output_tokens=7)["max_tokens"] == 7
    larger = AnthropicMessages(default_max_tokens=9000)
    sent = larger.write_request(ChatRequest(model="m", messages=(HI,)), vendor=VENDOR, drop_params=False)
    assert json.loads(sent)["max_tokens"] == 9000


def test_what_is_written_fits_the_types_of_the_sdk() -> None:
    sent = written(
        Message(role=Role.DEVELOPER, parts=(Text(text="Be brief.", cache=CacheMark(ttl="1h")),)),
        user(Text(text="hi"), Media(kind=MediaKind.IMAGE, base64="AAAA", media_type="image/png")),
        Message(role=Role.ASSISTANT, parts=(Text(text="well"), ToolCall(id="a", name="f", arguments=""))),
        Message(role=Role.TOOL, parts=(ToolResult(call_id="a", content=(Text(text="18"),)),)),
        tools=(Tool(name="f"),),
        tool_choice=ToolChoice(mode=ToolMode.NAMED, name="f"),
        parallel_tool_calls=False,
        stream=True,
        stop=("END",),
        user="u1",
        service_tier="auto",
        reasoning=ReasoningSettings(effort="high"),
        output=OutputFormat(kind="json_schema", name="answer", schema=SCHEMA),
    )
    TypeAdapter(MessageCreateParamsStreaming).validate_python(sent)
    assert set(get_args(MessageCreateParams)) == {MessageCreateParamsNonStreaming, MessageCreateParamsStreaming}
    assert sent["system"] == [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]
    assert sent["tool_choice"] == {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
    assert sent["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert sent["thinking"] == {"type": "adaptive"}
    assert sent["metadata"] == {"user_id": "u1"}


def test_results_of_several_calls_are_one_turn_of_the_user() -> None:
    sent = written(
        HI,
        Message(
            role=Role.ASSISTANT,
            parts=tuple(ToolCall(id=name, name="f", arguments='{"x":1}') for name in "ab"),
        ),
        *(Message(role=Role.TOOL, parts=(ToolResult(call_id=name, content=(Text(text=name),)),)) for name in "ab"),
        user(Text(text="and?")),
        user(Text(text="go on")),
    )
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in sent["messages"][2]["content"]] == ["tool_result", "tool_result", "text", "text"]


def test_results_of_tools_come_first_in_their_turn() -> None:
    sent = written(user(Text(text="wait")), Message(role=Role.TOOL, parts=(ToolResult(call_id="a", content=()),)))
    assert [block["type"] for block in sent["messages"][0]["content"]] == ["tool_result", "text"]


def test_empty_texts_are_left_out() -> None:
    sent = written(HI, Message(role=Role.ASSISTANT, parts=(Text(text=""), ToolCall(id="a", name="f", arguments="{}"))))
    assert [block["type"] for block in sent["messages"][1]["content"]] == ["tool_use"]


@pytest.mark.parametrize(
    ("arguments", "input_"),
    [
        ("", {}),
        ("null", {}),
        ('{"x": 1}', {"x": 1}),
        ('{"x": ', {"INVALID_JSON": '{"x": '}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_arguments_are_an_object_and_broken_ones_are_wrapped(arguments: str, input_: Any) -> None:
    sent = written(HI, Message(role=Role.ASSISTANT, parts=(ToolCall(id="a", name="f", arguments=arguments),)))
    assert sent["messages"][1]["content"][0]["input"] == input_


def test_what_the_api_cannot_do_is_refused_all_at_once() -> None:
    where = refused(
        choices=2,
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logprobs=True,
        top_logprobs=3,
        temperature=1.5,
        service_tier="flex",
        metadata=msgspec.Raw(b'{"a":"b"}'),
        output=OutputFormat(kind="json_object"),
        extensions={"logit_bias": msgspec.Raw(b"{}")},
    )
    assert set(where) == {
        "n",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "temperature",
        "service_tier",
        "metadata",
        "response_format",
        "logit_bias",
    }


def test_dropping_params_leaves_them_out() -> None:
    sent = written(drop=True, choices=2, seed=1, temperature=1.5, logprobs=True, extensions={"x": SCHEMA})
    assert set(sent) == {"model", "max_tokens", "messages"}


def test_settings_that_ask_for_nothing_are_no_loss() -> None:
    sent = written(choices=1, presence_penalty=0.0, frequency_penalty=0.0, logprobs=False, top_logprobs=0)
    assert set(sent) == {"model", "max_tokens", "messages"}


@pytest.mark.parametrize(
    "part",
    [
        Media(kind=MediaKind.AUDIO, base64="AAAA", media_type="audio/wav"),
        Media(kind=MediaKind.VIDEO, url="u"),
        Media(kind=MediaKind.IMAGE, base64="AAAA", media_type="image/tiff"),
        Media(kind=MediaKind.FILE, base64="AAAA", media_type="application/zip"),
        Media(kind=MediaKind.FILE, file_id="file-of-openai"),
        Opaque(dialect="openai-responses", raw=SCHEMA),
    ],
)
def test_a_part_that_cannot_be_sent_is_named(part: Part) -> None:
    assert refused(user(Text(text="look"), part)) == ["messages[0].content[1]"]
    assert len(written(user(Text(text="look"), part), drop=True)["messages"][0]["content"]) == 1


def test_only_system_messages_are_no_conversation() -> None:
    assert refused(Message(role=Role.SYSTEM, parts=(Text(text="s"),))) == ["messages"]


def test_what_a_vendor_rejects_is_refused_here() -> None:
    quirky = Vendor(
        name="x",
        title="X",
        base_url="",
        paths={},
        key_env=None,
        base_url_env=None,
        quirks=Quirks(rejects=frozenset({"top_k"})),
    )
    request = ChatRequest(model="m", messages=(HI,), top_k=3)
    with pytest.raises(Unsupported, match="top_k"):
        DIALECT.write_request(request, vendor=quirky, drop_params=False)
    assert "top_k" not in json.loads(DIALECT.write_request(request, vendor=quirky, drop_params=True))


def test_thinking_goes_back_only_to_its_maker() -> None:
    parts = (
        Reasoning(text="mine", signature="s1", origin="anthropic"),
        Reasoning(encrypted="e1", origin="anthropic"),
        Reasoning(text="of another", signature="s2", origin="google"),
        Reasoning(text="unsigned"),
        Refusal(text="I will not."),
    )
    sent = written(HI, Message(role=Role.ASSISTANT, parts=parts))
    assert sent["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "mine", "signature": "s1"},
        {"type": "redacted_thinking", "data": "e1"},
        {"type": "text", "text": "I will not."},
    ]


@pytest.mark.parametrize(
    ("model", "settings", "limit", "thinking", "max_tokens"),
    [
        ("claude-sonnet-5", ReasoningSettings(effort="high"), None, {"type": "adaptive"}, 4096),
        ("claude-sonnet-5", ReasoningSettings(effort="none"), None, {"type": "disabled"}, 4096),
        ("claude-sonnet-5", ReasoningSettings(enabled=False), None, {"type": "disabled"}, 4096),
        (
            "claude-sonnet-4-5",
            ReasoningSettings(effort="high"),
            None,
            {"type": "enabled", "budget_tokens": 16384},
            20480,
        ),
        ("claude-haiku-4-5", ReasoningSettings(effort="high"), 3000, {"type": "enabled", "budget_tokens": 2999}, 3000),
        (
            "claude-opus-5",
            ReasoningSettings(budget_tokens=2000),
            9000,
            {"type": "enabled", "budget_tokens": 2000},
            9000,
        ),
    ],
)
def test_effort_becomes_what_the_model_understands(
    model: str, settings: ReasoningSettings, limit: int | None, thinking: Any, max_tokens: int
) -> None:
    request = ChatRequest(model=model, messages=(HI,), reasoning=settings, max_output_tokens=limit)
    sent = json.loads(DIALECT.write_request(request, vendor=VENDOR, drop_params=False))
    assert (sent["thinking"], sent["max_tokens"]) == (thinking, max_tokens)


def test_thinking_that_does_not_fit_the_limit_is_refused() -> None:
    request = ChatRequest(
        model="claude-haiku-4-5", messages=(HI,), reasoning=ReasoningSettings(effort="low"), max_output_tokens=500
    )
    with pytest.raises(Unsupported, match="reasoning"):
        DIALECT.write_request(request, vendor=VENDOR, drop_params=False)
    assert "thinking" not in json.loads(DIALECT.write_request(request, vendor=VENDOR, drop_params=True))


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "stop_sequences": ["E"], "stream": True},
        {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}, "max_tokens": 4000},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "between_tools"}},
        {"output_config": {"effort": "low"}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"output_config": {"effort": "low", "of_next_year": 1}},
        {"metadata": {"user_id": "u"}},
        {"metadata": {"user_id": "u", "more": 1}},
        {"service_tier": "auto", "container": "c", "cache_control": {"type": "ephemeral"}, "speed": "fast"},
        {"service_tier": "standard_only"},
        {
            "tools": [
                {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            ],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
        },
        {
            "tools": [{"name": "f", "description": "d", "input_schema": {"$ref": "#"}, "strict": True}],
            "tool_choice": {"type": "tool", "name": "f"},
        },
        {"tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "none"}},
        {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "t", "signature": "s"},
                        {"type": "redacted_thinking", "data": "d"},
                        {"type": "text", "text": "x", "citations": [{"type": "char_location", "cited_text": "c"}]},
                        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                        {"type": "tool_use", "id": "a", "name": "f", "input": {"q": [1, {"z": None}]}},
                        {"type": "tool_use", "id": "b", "name": "f", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "a", "content": "1", "is_error": True},
                        {
                            "type": "tool_result",
                            "tool_use_id": "b",
                            "content": [
                                {"type": "text", "text": "y"},
                                {
                                    "type": "image",
                                    "source": {"type": "base64", "media_type": "image/png", "data": "AA"},
                                },
                            ],
                        },
                        {"type": "document", "source": {"type": "text", "data": "z", "media_type": "text/plain"}},
                        {"type": "document", "source": {"type": "url", "url": "u"}, "citations": {"enabled": True}},
                        {"type": "text", "text": "go"},
                    ],
                },
                {"role": "system", "content": [{"type": "text", "text": "later"}]},
                {"role": "user", "content": [{"type": "text", "text": "on"}]},
            ]
        },
    ],
)
def test_a_round_trip_loses_nothing(fields: dict[str, Any]) -> None:
    fields = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], **fields}
    sent = body(**fields)
    again = DIALECT.write_request(DIALECT.read_request(sent), vendor=VENDOR, drop_params=False)
    assert json.loads(again) == json.loads(sent)
