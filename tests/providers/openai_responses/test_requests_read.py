"""Requests: read as a surface, and written again for a vendor of the same dialect."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.kernel.errors import Malformed
from samovar.ports.llm import (
    ChatRequest,
    Media,
    MediaKind,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    ReasoningSettings,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tests.providers.openai_responses.conftest import OPENAI
from tests.providers.openai_responses.requests import DIALECT, read, written

WHOLE: dict[str, Any] = {
    "model": "gpt-5-mini",
    "instructions": "Be brief.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Speak Russian."}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "high"},
                {"type": "input_image", "image_url": "https://example.org/a.png"},
                {"type": "input_image", "file_id": "file-1"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
                {"type": "input_file", "file_url": "https://example.org/a.pdf"},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Let me look."}],
            "encrypted_content": "gAAAA",
        },
        {
            "type": "message",
            "role": "assistant",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "Looking.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at": '},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "item_reference", "id": "msg_9"},
        {"type": "function_call_output", "call_id": "call_1", "output": "a cat"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "https://example.org/b.png"},
            ],
        },
        {"type": "custom_tool_call_output", "call_id": "call_3", "output": "rows"},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "message", "role": "user", "content": [{"type": "computer_screenshot", "file_id": "f"}]},
    ],
    "tools": [
        {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True},
        {"type": "web_search"},
        {"type": "custom", "name": "sql", "format": {"type": "text"}},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
    "parallel_tool_calls": False,
    "text": {
        "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True},
        "verbosity": "low",
    },
    "reasoning": {"effort": "high", "summary": "auto", "context": "all_turns"},
    "max_output_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_logprobs": 3,
    "metadata": {"a": "b"},
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
    "service_tier": "flex",
    "store": False,
    "previous_response_id": "resp_0",
    "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    "truncation": "auto",
    "background": False,
    "conversation": "conv_1",
    "stream": True,
}


def test_everything_that_a_request_can_say_comes_back_as_it_was() -> None:
    assert written(DIALECT.read_request(json.dumps(WHOLE).encode())) == WHOLE


def test_a_spliced_request_changes_its_model_and_loses_our_own_fields_only() -> None:
    body = json.dumps({**WHOLE, "drop_params": True}).encode()
    assert json.loads(DIALECT.splice(body, model="gpt-5", vendor=OPENAI)) == {**WHOLE, "model": "gpt-5"}


def test_items_become_messages_in_their_order() -> None:
    request = DIALECT.read_request(json.dumps(WHOLE).encode())
    assert [message.role.value for message in request.messages] == [
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "tool",
        "tool",
        "assistant",
        "user",
    ]
    assert request.messages[3].parts[:3] == (
        Reasoning(text="Let me look.", encrypted="gAAAA", id="rs_1", origin="openai"),
        Text(text="Looking.", phase="commentary"),
        ToolCall(id="call_1", name="look", arguments='{"at": '),
    )
    assert all(isinstance(part, Opaque) for part in request.messages[3].parts[3:])
    assert request.messages[5].parts == (
        ToolResult(
            call_id="call_2",
            content=(Text(text="see"), Media(kind=MediaKind.IMAGE, url="https://example.org/b.png")),
        ),
    )
    assert request.messages[7].parts == (Refusal(text="No."),)


def test_what_only_this_api_knows_is_told_apart_from_what_changes_nothing() -> None:
    request = DIALECT.read_request(json.dumps(WHOLE).encode())
    assert set(request.extensions) == {
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "previous_response_id",
        "include",
        "truncation",
        "conversation",
    }
    assert set(request.hints) == {"prompt_cache_key", "safety_identifier", "store", "background"}


def test_a_client_that_keeps_nothing_asks_for_nothing_special() -> None:
    request = read(
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="k",
        text={"verbosity": "medium"},
        reasoning={"effort": "low", "summary": "auto"},
    )
    assert request.extensions == {}
    assert request.reasoning == ReasoningSettings(effort="low", summary="auto")


def test_a_text_alone_is_a_message_of_the_user() -> None:
    assert read().messages == (Message(role=Role.USER, parts=(Text(text="Чай?"),)),)


def test_a_bare_message_needs_no_type() -> None:
    request = read(input=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}])
    assert [message.role for message in request.messages] == [Role.USER, Role.ASSISTANT]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{", "$"),
        (b'{"input": "x"}', "$.model"),
        (b'{"model": "m"}', "$.input"),
        (b'{"model": "m", "input": 7}', "$.input"),
        (b'{"model": "m", "input": "\xff"}', "$"),
        (b'{"model": "m", "input": "x", "temperature": "hot"}', "$.temperature"),
        (b'{"model": "m", "input": "x", "max_output_tokens": 0}', "$.max_output_tokens"),
    ],
)
def test_the_head_names_the_flaw(body: bytes, where: str) -> None:
    with pytest.raises(Malformed) as raised:
        DIALECT.read_head(body)
    assert raised.value.flaws[0].where == where


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "$.input[0].call_id"),
        ({"input": [{"role": "robot", "content": "x"}]}, "$.input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "$.input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "$.input[0].content[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "file:///a"}]}]},
            "$.input[0].content[0].image_url",
        ),
        ({"tools": [{"type": "function"}]}, "$.tools[0].name"),
        ({"tool_choice": "perhaps"}, "$.tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "$.text.format.type"),
    ],
)
def test_a_malformed_request_names_the_flaw(fields: dict[str, object], where: str) -> None:
    with pytest.raises(Malformed) as raised:
        read(**fields)
    assert raised.value.flaws[0].where == where


def test_the_head_tells_what_routing_needs() -> None:
    head = DIALECT.read_head(b'{"model":"m","input":[],"stream":true,"max_output_tokens":9,"drop_params":true}')
    assert (head.model, head.stream, head.max_output_tokens, head.drop_params, head.wants_usage) == (
        "m",
        True,
        9,
        True,
        True,
    )


def test_a_prompt_or_a_former_response_may_stand_for_the_input() -> None:
    for field in ({"prompt": {"id": "pmpt_1"}}, {"previous_response_id": "resp_1"}, {"conversation": "conv_1"}):
        body = msgspec.json.encode({"model": "m", **field})
        assert DIALECT.read_head(body).model == "m"
        assert written(DIALECT.read_request(body)) == {"model": "m", **field}


WORDS = st.text(min_size=1, max_size=20)
SAID = st.builds(Text, text=WORDS)
SHOWN = st.builds(
    Media,
    kind=st.just(MediaKind.IMAGE),
    base64=st.just("aGk="),
    media_type=st.sampled_from(["image/png", "image/jpeg"]),
    detail=st.sampled_from([None, "low", "high"]),
)
CALLS = st.builds(ToolCall, id=WORDS, name=WORDS, arguments=st.text(max_size=20))
RESULTS = st.builds(ToolResult, call_id=WORDS, content=st.lists(SAID | SHOWN, min_size=1, max_size=3).map(tuple))
THOUGHTS = st.builds(Reasoning, text=st.text(max_size=9), encrypted=WORDS, id=WORDS, origin=st.just("openai"))
MESSAGES = st.one_of(
    st.builds(Message, role=st.just(Role.USER), parts=st.lists(SAID | SHOWN, min_size=1, max_size=3).map(tuple)),
    st.builds(
        Message,
        role=st.just(Role.ASSISTANT),
        parts=st.lists(SAID | CALLS | THOUGHTS, min_size=1, max_size=4).map(tuple),
    ),
    st.builds(Message, role=st.just(Role.TOOL), parts=st.tuples(RESULTS)),
)
REQUESTS = st.builds(
    ChatRequest,
    model=WORDS,
    messages=st.lists(MESSAGES, min_size=1, max_size=5).map(tuple),
    stream=st.booleans(),
    wants_usage=st.just(True),
    tools=st.lists(
        st.builds(Tool, name=WORDS, description=st.none() | WORDS, strict=st.none() | st.booleans()), max_size=2
    ).map(tuple),
    max_output_tokens=st.none() | st.integers(1, 9999),
    temperature=st.none() | st.floats(0, 2),
    output=st.none() | st.builds(OutputFormat, kind=st.sampled_from(["text", "json_object"])),
    reasoning=st.none() | st.builds(ReasoningSettings, effort=st.sampled_from(["low", "high"])),
    user=st.none() | WORDS,
    dialect=st.just("openai-responses"),
)


@settings(deadline=None)
@given(request=REQUESTS)
def test_a_request_comes_back_from_the_wire_as_it_was(request: ChatRequest) -> None:
    back = DIALECT.read_request(DIALECT.write_request(request, vendor=OPENAI, drop_params=False))
    # Messages of the model in a row are one run of items.
    assert _runs(back.messages) == _runs(request.messages)
    assert msgspec.structs.replace(back, messages=()) == msgspec.structs.replace(request, messages=())


def _runs(messages: tuple[Message, ...]) -> list[tuple[Role, list[object]]]:
    runs: list[tuple[Role, list[object]]] = []
    for message in messages:
        if runs and runs[-1][0] is message.role is Role.ASSISTANT:
            runs[-1][1].extend(message.parts)
        else:
            runs.append((message.role, list(message.parts)))
    return runs
