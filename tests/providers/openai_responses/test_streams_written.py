"""Streams of other vendors told in this dialect, read by the real SDK over a socket."""

import json
from collections.abc import Sequence

import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ParsedResponse
from pydantic import BaseModel

from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    ChatRequest,
    Delta,
    Failed,
    KeepAlive,
    Media,
    MediaKind,
    Opaque,
    Opened,
    OutputFormat,
    Part,
    PartClosed,
    PartOpened,
    Reasoning,
    Refusal,
    SignatureDelta,
    Stop,
    StopKind,
    Stopped,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    Usage,
    UsageSeen,
)
from samovar.providers.openai_responses import OpenAIResponses
from tests.providers.openai_responses.conftest import OPENAI
from tests.providers.openai_responses.replay import replaying
from tests.providers.openai_responses.streaming import as_sdk_response, check_events, events_of
from tests.support.streams import cut, gather, read_all

DIALECT = OpenAIResponses()
REQUEST = ChatRequest(model="claude", messages=())
OPENING = Opened(id="msg_01", model="claude-sonnet-5")
USAGE = UsageSeen(usage=Usage(input_tokens=9, cached_input_tokens=4, output_tokens=5, reasoning_tokens=2))
ENDING = Stopped(stop=Stop(kind=StopKind.END))


def told(*deltas: Delta, request: ChatRequest = REQUEST) -> bytes:
    """What the writer makes of a whole answer."""
    writer = DIALECT.stream_writer(request)
    written = [writer.write(delta) for delta in (OPENING, *deltas, USAGE)]
    return b"".join(written) + writer.end({"cost_credits": "0.1"})


def text(index: int, *words: str, part: Part | None = None) -> list[Delta]:
    return [
        PartOpened(index=index, part=part or Text(text="")),
        *(TextDelta(index=index, text=word) for word in words),
        PartClosed(index=index),
    ]


async def accumulated(stream: bytes, **fields: object) -> ParsedResponse[object]:
    """The final response of ``client.responses.stream``."""
    blocks = cut(stream, range(0, len(stream), 97))
    async with (
        replaying(blocks, kind="text/event-stream") as url,
        openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client,
        client.responses.stream(model="m", input="x", **fields) as events,  # type: ignore[call-overload]
    ):
        async for _ in events:
            pass
        final: ParsedResponse[object] = await events.get_final_response()
        return final


async def test_the_sdk_accumulates_thinking_words_and_calls() -> None:
    stream = told(
        PartOpened(index=0, part=Reasoning(text="", origin="anthropic")),
        TextDelta(index=0, text="Let me "),
        TextDelta(index=0, text="think"),
        SignatureDelta(index=0, signature="sig"),
        PartClosed(index=0),
        *text(1, "Чай ", "готов"),
        PartOpened(index=2, part=ToolCall(id="call_1", name="pour", arguments="")),
        ArgumentsDelta(index=2, json='{"cups"'),
        ArgumentsDelta(index=2, json=":2}"),
        PartClosed(index=2),
        Stopped(stop=Stop(kind=StopKind.TOOL_CALLS)),
    )
    check_events(stream)
    final = await accumulated(stream)
    thinking, message, call = final.output
    assert thinking.type == "reasoning"
    assert thinking.summary[0].text == "Let me think"
    assert thinking.encrypted_content is not None
    assert final.output_text == "Чай готов"
    assert call.type == "function_call"
    assert (call.call_id, call.name, call.arguments) == ("call_1", "pour", '{"cups":2}')
    assert (final.id, final.model, final.status) == ("msg_01", "claude-sonnet-5", "completed")
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (9, 5)
    # What the caller sends back is again the other vendor's.
    [back] = DIALECT.read_request(
        msgspec.json.encode({"model": "m", "input": [json.loads(thinking.to_json())]})
    ).messages
    assert back.parts == (Reasoning(text="Let me think", signature="sig", origin="anthropic"),)
    assert message.type == "message"


class Cups(BaseModel):
    cups: int


async def test_the_sdk_parses_structured_output() -> None:
    final = await accumulated(told(*text(0, '{"cups"', ":2}"), ENDING), text_format=Cups)
    assert final.output_parsed == Cups(cups=2)


async def test_the_events_come_in_the_order_that_the_api_documents() -> None:
    stream = told(*text(0, "a"), PartOpened(index=1, part=ToolCall(id="c", name="f", arguments="")), ENDING)
    assert [fields["type"] for fields in events_of(stream)] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]


async def test_a_refusal_is_content_of_its_own() -> None:
    final = await accumulated(told(*text(0, "I ", "won't", part=Refusal(text="")), ENDING))
    [message] = final.output
    assert message.type == "message"
    [refusal] = message.content
    assert refusal.type == "refusal"
    assert refusal.refusal == "I won't"


async def test_parts_may_be_open_side_by_side() -> None:
    stream = told(
        PartOpened(index=0, part=Text(text="")),
        PartOpened(index=1, part=ToolCall(id="a", name="f", arguments="")),
        PartOpened(index=2, part=ToolCall(id="b", name="g", arguments="")),
        ArgumentsDelta(index=2, json="{}"),
        TextDelta(index=0, text="late"),
        ArgumentsDelta(index=1, json="[]"),
        PartClosed(index=0),
        PartClosed(index=2),
        PartClosed(index=1),
        *text(3, "after"),
        ENDING,
    )
    final = await accumulated(stream)
    assert [item.type for item in final.output] == ["message", "function_call", "function_call", "message"]
    assert [getattr(item, "arguments", None) for item in final.output] == [None, "[]", "{}", None]
    assert final.output_text == "lateafter"


async def test_an_answer_cut_short_is_incomplete() -> None:
    stream = told(
        PartOpened(index=0, part=Text(text="")),
        TextDelta(index=0, text="Once"),
        Stopped(stop=Stop(kind=StopKind.MAX_TOKENS)),
    )
    check_events(stream)
    response = as_sdk_response(stream)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == "Once"
    assert getattr(response.output[0], "status", None) == "incomplete"


async def test_an_error_after_content_is_raised_by_the_sdk() -> None:
    writer = DIALECT.stream_writer(REQUEST)
    deltas: Sequence[Delta] = (OPENING, PartOpened(index=0, part=Text(text="x")), Failed(429, "tokens", "Slow down"))
    stream = b"".join(map(writer.write, deltas))
    assert [fields["type"] for fields in events_of(stream)][-2:] == ["error", "response.failed"]
    assert writer.end() == b""
    with pytest.raises(openai.APIError, match="Slow down") as raised:
        await accumulated(stream)
    assert raised.value.code == "tokens"


def test_nothing_is_written_before_the_first_content() -> None:
    writer = DIALECT.stream_writer(REQUEST)
    assert writer.write(OPENING) + writer.write(USAGE) == b""
    assert writer.write(KeepAlive()).startswith(b":")
    assert writer.write(PartOpened(index=0, part=Text(text=""))).startswith(b"event: response.created\n")


def test_the_answer_repeats_what_was_asked() -> None:
    request = ChatRequest(
        model="claude",
        messages=(),
        tools=(Tool(name="f", schema=msgspec.Raw(b'{"type":"object"}')),),
        tool_choice=ToolChoice(mode=ToolMode.NAMED, name="f"),
        output=OutputFormat(kind="json_schema", name="answer", schema=msgspec.Raw(b'{"type":"object"}')),
        max_output_tokens=7,
    )
    stream = told(*text(0, "{}"), ENDING, request=request)
    check_events(stream)
    response = as_sdk_response(stream)
    assert response.max_output_tokens == 7
    assert response.tools[0].to_dict()["name"] == "f"
    assert events_of(stream)[-1]["samovar"] == {"cost_credits": "0.1"}


def test_traces_pictures_and_citations_find_their_place() -> None:
    own = Opaque(
        dialect="openai-responses", raw=msgspec.Raw(b'{"id":"ws","type":"web_search_call","status":"completed"}')
    )
    other = Opaque(dialect="anthropic-messages", raw=msgspec.Raw(b"{}"))
    picture = Media(kind=MediaKind.IMAGE, base64="aGk=", media_type="image/png")
    parts: tuple[Part, ...] = (own, other, picture)
    citation = msgspec.Raw(b'{"type":"url_citation","url":"u","title":"t","start_index":0,"end_index":1}')
    stream = told(
        *(delta for at, part in enumerate(parts) for delta in (PartOpened(at, part), PartClosed(at))),
        PartOpened(index=3, part=Text(text="x")),
        AnnotationDelta(index=3, raw=citation),
        AnnotationDelta(index=3, raw=msgspec.Raw(b'{"type":"char_location"}')),
        PartClosed(index=3),
        ENDING,
    )
    output = json.loads(as_sdk_response(stream).to_json())["output"]
    assert [item["type"] for item in output] == ["web_search_call", "image_generation_call", "message"]
    assert output[2]["content"][0]["annotations"] == [json.loads(bytes(citation))]


PARTS = st.one_of(
    st.builds(Text, text=st.just("")),
    st.builds(ToolCall, id=st.text(min_size=1), name=st.just("f"), arguments=st.just("")),
    st.builds(Reasoning, origin=st.just("openai"), id=st.uuids().map(str)),
)


@settings(deadline=None)
@given(parts=st.lists(PARTS, max_size=5), words=st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=3))
def test_what_is_written_is_read_again_as_it_was(parts: list[Part], words: list[str]) -> None:
    deltas: list[Delta] = [OPENING]
    for at, part in enumerate(parts):
        deltas.append(PartOpened(index=at, part=part))
        for word in words:
            deltas.append(ArgumentsDelta(at, word) if isinstance(part, ToolCall) else TextDelta(at, word))
        deltas.append(PartClosed(index=at))
    kind = StopKind.TOOL_CALLS if any(isinstance(part, ToolCall) for part in parts) else StopKind.END
    deltas += [USAGE, Stopped(stop=Stop(kind=kind, raw="completed"))]
    writer = DIALECT.stream_writer(REQUEST)
    stream = b"".join(map(writer.write, deltas)) + writer.end()
    check_events(stream)
    before, after = gather(deltas), gather(read_all(DIALECT.stream_reader(vendor=OPENAI), [stream]))
    assert (after.id, after.model, after.parts, after.usage, after.stop) == (
        before.id,
        before.model,
        before.parts,
        before.usage,
        before.stop,
    )
