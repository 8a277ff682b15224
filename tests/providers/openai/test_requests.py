"""Chat requests, read and written."""

import json
from typing import Any

import pytest
from msgspec import Raw

from samovar.kernel.errors import Malformed
from samovar.ports.dialect import Unsupported, Vendor
from samovar.ports.llm import (
    ChatRequest,
    Media,
    MediaKind,
    Message,
    OutputFormat,
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
from samovar.providers.openai import OpenAIChat
from samovar.providers.vendors import VENDORS

EVERYTHING: dict[str, Any] = {
    "model": "gpt-x",
    "messages": [
        {"role": "system", "content": "Коротко."},
        {"role": "developer", "content": "Be kind.", "name": "dev"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "hologram", "hologram": {"depth": 3}},
            ],
        },
        {
            "role": "assistant",
            "content": "",
            "audio": {"id": "audio_1"},
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "sun", "arguments": '{"city": "Тула"}'}},
                {"id": "c2", "type": "function", "function": {"name": "moon", "arguments": "not json"}},
                {"id": "c3", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "warm"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        {"role": "assistant", "content": None, "function_call": {"name": "old", "arguments": "{}"}},
        {"role": "function", "name": "old", "content": "1"},
        {"role": "user", "content": "So?", "name": "anna"},
    ],
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "sun",
                "description": "The sun.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                "strict": True,
            },
        },
        {"type": "function", "function": {"name": "moon"}},
        {"type": "custom", "custom": {"name": "sh"}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "sun"}},
    "parallel_tool_calls": False,
    "max_completion_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["a", "b"],
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "logprobs": True,
    "top_logprobs": 2,
    "n": 2,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "s", "description": "d", "schema": {"type": "object"}, "strict": True},
    },
    "reasoning_effort": "low",
    "user": "u1",
    "service_tier": "flex",
    "metadata": {"a": "b"},
    "logit_bias": {"50256": -100},
    "store": True,
    "functions": [{"name": "old"}],
    "function_call": "auto",
    "something_new": [1, {"two": 2}],
}


def test_a_request_read_and_written_again_loses_nothing(dialect: OpenAIChat, openai: Vendor) -> None:
    read = dialect.read_request(json.dumps(EVERYTHING).encode())
    assert json.loads(dialect.write_request(read, vendor=openai, drop_params=False)) == EVERYTHING


@pytest.mark.parametrize(
    "field",
    [
        {"tool_choice": "none"},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "grammar", "grammar": "x"}},
        {"reasoning_effort": "none"},
        {"stop": ["."]},
    ],
)
def test_each_variant_survives_the_round_trip(dialect: OpenAIChat, openai: Vendor, field: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **field}
    read = dialect.read_request(json.dumps(body).encode())
    assert json.loads(dialect.write_request(read, vendor=openai, drop_params=False)) == body


def test_media_and_tools_are_read_into_neutral_parts(dialect: OpenAIChat) -> None:
    read = dialect.read_request(json.dumps(EVERYTHING).encode())
    media = [part for part in read.messages[2].parts if isinstance(part, Media)]
    assert media == [
        Media(kind=MediaKind.IMAGE, url="https://example.com/a.png", detail="low"),
        Media(kind=MediaKind.IMAGE, base64="iVBORw==", media_type="image/png"),
        Media(kind=MediaKind.AUDIO, base64="UklGRg==", media_type="audio/wav"),
        Media(kind=MediaKind.FILE, base64="JVBERg==", media_type="application/pdf", filename="a.pdf"),
        Media(kind=MediaKind.FILE, file_id="file-1"),
    ]
    assert read.messages[3].parts[1] == ToolCall(id="c1", name="sun", arguments='{"city": "Тула"}')
    assert read.messages[4].parts == (ToolResult(call_id="c1", content=(Text(text="warm"),)),)
    assert read.messages[6].parts == (Refusal(text="I cannot."),)
    assert set(read.extensions) >= {"logit_bias", "store", "functions", "function_call", "something_new"}
    assert read.wants_usage


def test_null_means_not_said(dialect: OpenAIChat) -> None:
    read = dialect.read_request(
        b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stop":null,"tools":null,"tool_choice":null,'
        b'"response_format":null,"metadata":null,"stream_options":null,"logit_bias":null,"temperature":null}'
    )
    assert read == ChatRequest(
        model="m", messages=(Message(role=Role.USER, parts=(Text(text="hi"),)),), dialect="openai-chat"
    )


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"role": "king", "content": "x"}, "$.messages[0].role"),
        ({"role": "user"}, "$.messages[0].content"),
        ({"role": "user", "content": 7}, "$.messages[0].content"),
        ({"role": "user", "content": [{"text": "x"}]}, "$.messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "$.messages[0].content[0].text"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]},
            "$.messages[0].content[0].image_url.url",
        ),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "$.messages[0].content[0].file"),
        ({"role": "tool", "content": "x"}, "$.messages[0].tool_call_id"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "$.messages[0].tool_calls[0].function.name"),
    ],
)
def test_a_bad_message_names_the_place(dialect: OpenAIChat, message: dict[str, Any], where: str) -> None:
    with pytest.raises(Malformed) as caught:
        dialect.read_request(json.dumps({"model": "m", "messages": [message]}).encode())
    assert caught.value.flaws[0].where == where


def ask(*parts: Any, **fields: Any) -> ChatRequest:
    """A request of another surface."""
    role = fields.pop("role", Role.USER)
    return ChatRequest(model="m", messages=(Message(role=role, parts=parts),), dialect="anthropic-messages", **fields)


def written(dialect: OpenAIChat, request: ChatRequest, vendor: str, *, drop_params: bool = False) -> Any:
    return json.loads(dialect.write_request(request, vendor=VENDORS[vendor], drop_params=drop_params))


def test_tool_results_come_before_what_was_said_with_them(dialect: OpenAIChat) -> None:
    result = ToolResult(call_id="c", content=(Text(text="warm"),), is_error=True)
    assert written(dialect, ask(Text(text="and?"), result), "openai")["messages"] == [
        {"role": "tool", "tool_call_id": "c", "content": "warm"},
        {"role": "user", "content": "and?"},
    ]


def test_what_cannot_be_said_is_refused_thing_by_thing(dialect: OpenAIChat, openai: Vendor) -> None:
    request = ask(
        Text(text="x"),
        Media(kind=MediaKind.FILE, url="https://example.com/a.pdf"),
        Media(kind=MediaKind.VIDEO, url="https://example.com/a.mp4"),
        top_k=3,
        extensions={"container": Raw(b"{}")},
    )
    with pytest.raises(Unsupported) as caught:
        dialect.write_request(request, vendor=openai, drop_params=False)
    assert {flaw.where for flaw in caught.value.flaws} == {
        "messages[0].parts[1]",
        "messages[0].parts[2]",
        "top_k",
        "container",
    }
    assert written(dialect, request, "openai", drop_params=True) == {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
    }


def test_a_vendors_default_is_not_refused(dialect: OpenAIChat) -> None:
    request = ask(Text(text="x"), choices=1, parallel_tool_calls=True, tool_choice=ToolChoice(mode=ToolMode.AUTO))
    assert set(written(dialect, request, "ollama")) == {"model", "messages"}
    with pytest.raises(Unsupported):
        written(dialect, ask(Text(text="x"), tool_choice=ToolChoice(mode=ToolMode.NONE)), "ollama")


def test_a_schema_is_refused_where_it_would_be_ignored(dialect: OpenAIChat) -> None:
    request = ask(Text(text="x"), output=OutputFormat(kind="json_schema", schema=Raw(b'{"type":"object"}')))
    with pytest.raises(Unsupported) as caught:
        written(dialect, request, "bigmodel")
    assert caught.value.flaws[0].where == "output"
    assert written(dialect, request, "openai")["response_format"]["json_schema"]["name"]


@pytest.mark.parametrize(
    ("vendor", "settings", "field"),
    [
        ("openai", ReasoningSettings(effort="high"), {"reasoning_effort": "high"}),
        ("openai", ReasoningSettings(enabled=True, budget_tokens=1_024), {"reasoning_effort": "low"}),
        ("openai", ReasoningSettings(enabled=True, budget_tokens=31_999), {"reasoning_effort": "high"}),
        ("openai", ReasoningSettings(enabled=False), {"reasoning_effort": "none"}),
        ("bigmodel", ReasoningSettings(enabled=True), {"thinking": {"type": "enabled"}}),
        ("bigmodel", ReasoningSettings(effort="none"), {"thinking": {"type": "disabled"}}),
        ("openrouter", ReasoningSettings(budget_tokens=2_000), {"reasoning": {"max_tokens": 2_000}}),
        ("openrouter", ReasoningSettings(effort="low"), {"reasoning": {"effort": "low"}}),
    ],
)
def test_thinking_is_asked_for_in_the_vendors_words(
    dialect: OpenAIChat, vendor: str, settings: ReasoningSettings, field: dict[str, Any]
) -> None:
    body = written(dialect, ask(Text(text="x"), reasoning=settings), vendor)
    assert {name: body[name] for name in field} == field


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ({"thinking": {"type": "enabled"}}, ReasoningSettings(enabled=True)),
        ({"thinking": {"type": "disabled"}}, ReasoningSettings(enabled=False)),
        ({"reasoning": {"effort": "high"}}, ReasoningSettings(effort="high")),
        ({"reasoning": {"max_tokens": 9}}, ReasoningSettings(budget_tokens=9)),
        ({"reasoning_effort": "none"}, ReasoningSettings(enabled=False, effort="none")),
    ],
)
def test_thinking_is_understood_in_every_vendors_words(
    dialect: OpenAIChat, field: dict[str, Any], settings: ReasoningSettings
) -> None:
    read = dialect.read_request(
        json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], **field}).encode()
    )
    assert read.reasoning == settings
    assert not read.extensions


def test_earlier_thinking_goes_back_where_the_vendor_takes_it(dialect: OpenAIChat) -> None:
    thought = Reasoning(text="Hmm", signature="s", origin="anthropic")
    request = ask(thought, Text(text="so"), role=Role.ASSISTANT)
    assert "reasoning_content" not in written(dialect, request, "openai")["messages"][0]
    assert written(dialect, request, "bigmodel")["messages"][0]["reasoning_content"] == "Hmm"
    sent = written(dialect, request, "openrouter")["messages"][0]
    assert sent["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hmm", "signature": "s", "format": "anthropic"}
    ]
    back = dialect.read_request(json.dumps({"model": "m", "messages": [sent]}).encode())
    assert back.messages[0].parts == (thought, Text(text="so"))


def test_the_bound_is_called_as_the_vendor_calls_it(dialect: OpenAIChat) -> None:
    request = ask(Text(text="x"), max_output_tokens=5, stream=True)
    assert written(dialect, request, "openai")["max_completion_tokens"] == 5
    body = written(dialect, request, "bigmodel")
    assert body["max_tokens"] == 5
    assert "stream_options" not in body


def test_a_tool_without_schema_or_words_is_written_bare(dialect: OpenAIChat) -> None:
    body = written(dialect, ask(Text(text="x"), tools=(Tool(name="t", schema=Raw(b'{"type": "object"}')),)), "openai")
    assert body["tools"] == [{"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}}]
