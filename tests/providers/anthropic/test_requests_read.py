"""A caller's request on the messages surface."""

from typing import Any

import msgspec
import pytest

from samovar.kernel.errors import Malformed
from samovar.ports.llm import (
    CacheMark,
    Media,
    MediaKind,
    Opaque,
    OutputFormat,
    Reasoning,
    ReasoningSettings,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from samovar.providers.anthropic import AnthropicMessages


def body(**fields: Any) -> bytes:
    """A request with the least that the API demands."""
    least = {"model": "claude", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
    return msgspec.json.encode({**least, **fields})


def asked(content: Any, role: str = "user") -> bytes:
    return body(messages=[{"role": role, "content": content}])


def test_the_head_says_what_routing_needs(dialect: AnthropicMessages) -> None:
    head = dialect.read_head(body(stream=True, drop_params=True))
    assert (head.model, head.stream, head.wants_usage, head.max_output_tokens, head.drop_params) == (
        "claude",
        True,
        True,
        64,
        True,
    )


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        (b"", "$"),
        (b"{", "$"),
        (b'{"model": "\xff"}', "$"),
        (b"[]", "$"),
        (b'{"model":"m","messages":[1]}', "$.max_tokens"),
        (body(model=7), "$.model"),
        (body(model=""), "$.model"),
        (body(messages=[]), "$.messages"),
        (body(messages="hi"), "$.messages"),
        (body(max_tokens=-1), "$.max_tokens"),
        (body(max_tokens="many"), "$.max_tokens"),
        (body(stream="yes"), "$.stream"),
    ],
)
def test_a_bad_head_is_refused_with_its_path(dialect: AnthropicMessages, sent: bytes, where: str) -> None:
    with pytest.raises(Malformed) as refused:
        dialect.read_head(sent)
    assert [flaw.where for flaw in refused.value.flaws] == [where]
    with pytest.raises(Malformed):
        dialect.read_request(sent)


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        (asked(7), "$.messages[0].content"),
        (asked([{"type": "text", "text": 7}]), "$.messages[0].content[0].text"),
        (asked([{"type": "text", "text": "a"}, {"type": "image"}]), "$.messages[0].content[1].source"),
        (asked([{"text": "a"}]), "$.messages[0].content[0].type"),
        (asked("hi", role="tool"), "$.messages[0].role"),
        (body(system=[{"type": "text"}]), "$.system[0].text"),
        (body(tools=[{"name": "t"}]), "$.tools[0].input_schema"),
        (body(tool_choice={"type": "tool"}), "$.tool_choice.name"),
        (body(temperature="hot"), "$.temperature"),
        (body(thinking={"type": "enabled", "budget_tokens": "many"}), "$.thinking.budget_tokens"),
    ],
)
def test_a_flaw_deep_inside_is_named_by_its_path(dialect: AnthropicMessages, sent: bytes, where: str) -> None:
    with pytest.raises(Malformed) as refused:
        dialect.read_request(sent)
    assert [flaw.where for flaw in refused.value.flaws] == [where]


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_system_is_the_first_message(dialect: AnthropicMessages, system: Any) -> None:
    first, second = dialect.read_request(body(system=system)).messages
    assert (first.role, first.parts) == (Role.SYSTEM, (Text(text="Be brief."),))
    assert (second.role, second.parts) == (Role.USER, (Text(text="hi"),))


def test_a_system_message_in_mid_conversation_stays_there(dialect: AnthropicMessages) -> None:
    messages = [{"role": role, "content": role} for role in ("user", "assistant", "system", "user")]
    read = dialect.read_request(body(messages=messages))
    assert [message.role for message in read.messages] == [Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.USER]


def test_images_and_documents_are_media(dialect: AnthropicMessages) -> None:
    sources: list[Any] = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {
            "type": "image",
            "source": {"type": "url", "url": "https://x.test/a.png"},
            "cache_control": {"type": "ephemeral"},
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"},
            "title": "a",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    ]
    assert dialect.read_request(asked(sources)).messages[0].parts == (
        Media(kind=MediaKind.IMAGE, base64="AAAA", media_type="image/png"),
        Media(kind=MediaKind.IMAGE, url="https://x.test/a.png", cache=CacheMark()),
        Media(kind=MediaKind.FILE, base64="BBBB", media_type="application/pdf", filename="a"),
        Media(kind=MediaKind.FILE, base64="YWJj", media_type="text/plain"),
        Media(kind=MediaKind.FILE, file_id="file_1"),
    )


def test_tool_results_become_messages_of_their_own_in_order(dialect: AnthropicMessages) -> None:
    image = {"type": "image", "source": {"type": "url", "url": "u"}}
    read = dialect.read_request(
        asked(
            [
                {"type": "tool_result", "tool_use_id": "a", "content": "18"},
                {"type": "tool_result", "tool_use_id": "b", "content": [image], "is_error": True},
                {"type": "tool_result", "tool_use_id": "c"},
                {"type": "text", "text": "so?"},
            ]
        )
    )
    assert [message.role for message in read.messages] == [Role.TOOL, Role.TOOL, Role.TOOL, Role.USER]
    assert [message.parts[0] for message in read.messages[:3]] == [
        ToolResult(call_id="a", content=(Text(text="18"),)),
        ToolResult(call_id="b", content=(Media(kind=MediaKind.IMAGE, url="u"),), is_error=True),
        ToolResult(call_id="c", content=()),
    ]


def test_a_tool_call_keeps_its_arguments_as_written(dialect: AnthropicMessages) -> None:
    sent = asked([{"type": "tool_use", "id": "a", "name": "f", "input": msgspec.Raw(b'{"x" :  1.0}')}], "assistant")
    assert dialect.read_request(sent).messages[0].parts == (ToolCall(id="a", name="f", arguments='{"x" :  1.0}'),)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "tea"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "code_execution_20250825"}},
        {"type": "document", "source": {"type": "url", "url": "u"}, "citations": {"enabled": True}},
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "tool_reference", "tool_name": "f"}]},
        {"type": "image", "source": {"type": "hologram", "data": "?"}},
        {"type": "of_next_year", "field": [1, {"a": None}]},
    ],
)
def test_a_block_that_says_more_than_the_core_is_kept_whole(dialect: AnthropicMessages, block: Any) -> None:
    part = dialect.read_request(asked([block], "assistant")).messages[0].parts[0]
    assert isinstance(part, Opaque)
    assert part.dialect == "anthropic-messages"
    assert bytes(part.raw) == msgspec.json.encode(block)


def test_thinking_comes_back_with_its_signature(dialect: AnthropicMessages) -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
    ]
    assert dialect.read_request(asked(blocks, "assistant")).messages[0].parts == (
        Reasoning(text="hm", signature="sig", origin="anthropic"),
        Reasoning(encrypted="xyz", origin="anthropic"),
    )


def test_settings_find_their_fields(dialect: AnthropicMessages) -> None:
    read = dialect.read_request(
        body(
            temperature=0.5,
            top_p=0.9,
            top_k=5,
            stop_sequences=["END"],
            metadata={"user_id": "u1"},
            service_tier="standard_only",
            thinking={"type": "adaptive", "display": "summarized"},
            output_config={"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
        )
    )
    assert (read.temperature, read.top_p, read.top_k, read.stop, read.user) == (0.5, 0.9, 5, ("END",), "u1")
    assert read.service_tier == "default"
    assert read.reasoning == ReasoningSettings(enabled=True, effort="high", summary="auto")
    assert read.output == OutputFormat(kind="json_schema", schema=msgspec.Raw(b'{"type":"object"}'))
    assert read.tools == (Tool(name="f", description="d", schema=msgspec.Raw(b'{"type":"object"}'), strict=True),)
    assert read.tool_choice == ToolChoice(mode=ToolMode.REQUIRED)
    assert read.parallel_tool_calls is False
    assert read.extensions == {}


def test_what_the_core_has_no_field_for_is_an_extension(dialect: AnthropicMessages) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    plain = {"name": "f", "input_schema": {"type": "object"}}
    read = dialect.read_request(
        body(
            container="c1",
            tools=[plain, search],
            thinking={"type": "between_tools"},
            drop_params=False,
            mcp_servers=None,
        )
    )
    assert set(read.extensions) == {"container", "tools", "thinking"}
    assert [tool.name for tool in read.tools] == ["f"]
    assert msgspec.json.decode(read.extensions["tools"]) == [plain, search]
