"""Streams of other vendors, written for a messages client; streams of this dialect, read where they go wrong."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.sse import SseEvent, SseParser
from samovar.ports.dialect import BadAnswer, UpstreamError, Vendor
from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    ChatRequest,
    Delta,
    Failed,
    KeepAlive,
    Opaque,
    Opened,
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
    ToolCall,
    Usage,
    UsageSeen,
)
from samovar.providers.anthropic import AnthropicMessages
from tests.providers.anthropic.conftest import VENDOR
from tests.providers.anthropic.streaming import as_sdk_message
from tests.support.streams import gather, read_all

DIALECT = AnthropicMessages()
OPENED = Opened(id="chatcmpl-1", model="gpt-5")
END = Stopped(stop=Stop(kind=StopKind.END))


def written(*deltas: Delta, extra: dict[str, object] | None = None) -> bytes:
    writer = DIALECT.stream_writer(ChatRequest(model="m", messages=()))
    return b"".join(map(writer.write, deltas)) + writer.end(extra)


def tool(index: int) -> PartOpened:
    return PartOpened(index=index, part=ToolCall(id=f"call_{index}", name="f", arguments=""))


def kinds(stream: bytes) -> list[str]:
    return [event.event for event in SseParser().feed(stream)]


def contents(stream: bytes) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = as_sdk_message(stream).to_dict()["content"]  # type: ignore[assignment]
    return content


def test_a_text_is_written_in_the_order_of_the_protocol() -> None:
    stream = written(
        OPENED, PartOpened(index=0, part=Text(text="")), TextDelta(0, "Good "), TextDelta(0, "tea"), PartClosed(0), END
    )
    assert kinds(stream) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = as_sdk_message(stream)
    assert (message.id, message.model, message.stop_reason) == ("chatcmpl-1", "gpt-5", "end_turn")
    assert contents(stream)[0]["text"] == "Good tea"


def test_usage_that_comes_after_the_stop_is_still_told() -> None:
    usage = Usage(input_tokens=100, cached_input_tokens=60, cache_write_tokens=10, output_tokens=7)
    told = as_sdk_message(written(OPENED, END, UsageSeen(usage=usage))).usage
    assert (told.input_tokens, told.cache_read_input_tokens, told.cache_creation_input_tokens) == (30, 60, 10)
    assert told.output_tokens == 7


def test_usage_known_at_the_start_stands_in_the_first_event() -> None:
    stream = written(OPENED, UsageSeen(usage=Usage(input_tokens=5)), PartOpened(index=0, part=Text(text="a")), END)
    start = msgspec.json.decode(SseParser().feed(stream)[0].data)
    assert start["message"]["usage"]["input_tokens"] == 5


def test_a_tool_call_without_arguments_is_an_empty_object() -> None:
    assert contents(written(OPENED, tool(0), PartClosed(0), END))[0]["input"] == {}


def test_calls_open_side_by_side_are_written_one_after_the_other() -> None:
    stream = written(
        OPENED,
        PartOpened(index=0, part=Text(text="")),
        TextDelta(0, "both"),
        tool(1),
        tool(2),
        ArgumentsDelta(1, '{"a":'),
        ArgumentsDelta(2, '{"b":'),
        ArgumentsDelta(1, "1}"),
        ArgumentsDelta(2, "2}"),
        PartClosed(2),
        PartClosed(1),
        TextDelta(0, " done"),
        PartClosed(0),
        Stopped(stop=Stop(kind=StopKind.TOOL_CALLS)),
    )
    assert [(block["type"], block.get("input", block.get("text"))) for block in contents(stream)] == [
        ("text", "both"),
        ("tool_use", {"a": 1}),
        ("tool_use", {"b": 2}),
        ("text", " done"),
    ]
    assert_one_block_at_a_time(stream)


def assert_one_block_at_a_time(stream: bytes) -> None:
    """Indexes count up, and nothing is open when the next begins."""
    live, last = None, -1
    for event in SseParser().feed(stream):
        fields = msgspec.json.decode(event.data)
        match event.event:
            case "content_block_start":
                assert live is None
                assert fields["index"] == last + 1
                live = last = fields["index"]
            case "content_block_delta":
                assert fields["index"] == live
            case "content_block_stop":
                assert fields["index"] == live
                live = None
            case "message_delta":
                assert live is None


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b"]), st.booleans()), max_size=30))
def test_parts_mixed_in_any_order_lose_nothing(script: list[tuple[int, str, bool]]) -> None:
    """Parts 0 and 1 are texts, 2 and 3 tool calls; each line says more of one, and may close it."""
    deltas: list[Delta] = [OPENED]
    opened: set[int] = set()
    closed: set[int] = set()
    said = {index: "" for index in range(4)}
    for index, words, closes in script:
        if index in closed:
            continue
        if index not in opened:
            opened.add(index)
            deltas.append(PartOpened(index=index, part=Text(text="")) if index < 2 else tool(index))
        deltas.append(TextDelta(index, words) if index < 2 else ArgumentsDelta(index, words))
        said[index] += words
        if closes:
            closed.add(index)
            deltas.append(PartClosed(index))
    stream = written(*deltas, END)
    assert_one_block_at_a_time(stream)
    read = gather(read_all(DIALECT.stream_reader(vendor=VENDOR), [stream]))
    texts = "".join(part.text for part in read.parts if isinstance(part, Text))
    assert sorted(texts) == sorted(said[0] + said[1])
    calls = {part.id: part.arguments for part in read.parts if isinstance(part, ToolCall)}
    assert calls == {f"call_{index}": said[index] for index in (2, 3) if index in opened}


def test_what_the_call_cost_stands_in_the_last_event() -> None:
    last = SseParser().feed(written(OPENED, END, extra={"cost_credits": "0.1"}))[-1]
    assert last.event == "message_stop"
    assert msgspec.json.decode(last.data) == {"type": "message_stop", "samovar": {"cost_credits": "0.1"}}


@pytest.mark.parametrize(
    "part",
    [
        Reasoning(text="", origin="google"),
        Reasoning(text="", origin="openai", id="rs_1"),
        Reasoning(text="", origin="anthropic"),
    ],
)
@pytest.mark.parametrize("encrypted", [False, True])
def test_the_thinking_of_any_vendor_comes_back_as_it_was(part: Reasoning, encrypted: bool) -> None:
    stream = written(
        OPENED,
        PartOpened(index=0, part=part),
        TextDelta(0, "hm"),
        SignatureDelta(0, "sig", encrypted),
        PartClosed(0),
        END,
    )
    content = [block for block in contents(stream) if block["type"] == "thinking"]
    sent_back = msgspec.json.encode(
        {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}
    )
    (back,) = DIALECT.read_request(sent_back).messages[0].parts
    field = "encrypted" if encrypted else "signature"
    assert back == msgspec.structs.replace(part, text="hm", **{field: "sig"})


def test_a_refusal_in_words_is_the_detail_of_the_stop() -> None:
    stream = written(
        OPENED, PartOpened(index=0, part=Refusal(text="")), TextDelta(0, "I will not."), PartClosed(0), END
    )
    message = as_sdk_message(stream)
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert message.stop_details.explanation == "I will not."
    read = gather(read_all(DIALECT.stream_reader(vendor=VENDOR), [stream]))
    assert read.parts == (Refusal(text="I will not."),)


def test_only_citations_that_the_client_knows_are_written() -> None:
    known = msgspec.Raw(
        b'{"type":"char_location","cited_text":"c","document_index":0,"start_char_index":0,"end_char_index":1}'
    )
    stream = written(
        OPENED,
        PartOpened(index=0, part=Text(text="x")),
        AnnotationDelta(0, known),
        AnnotationDelta(0, msgspec.Raw(b'{"type":"url_citation"}')),
        PartClosed(0),
        END,
    )
    assert [citation["cited_text"] for citation in contents(stream)[0]["citations"]] == ["c"]


def test_the_trace_of_another_vendors_tool_is_left_out() -> None:
    foreign = PartOpened(
        index=0, part=Opaque(dialect="openai-responses", raw=msgspec.Raw(b'{"type":"web_search_call"}'))
    )
    stream = written(OPENED, foreign, PartClosed(0), PartOpened(index=1, part=Text(text="x")), PartClosed(1), END)
    assert [block["type"] for block in contents(stream)] == ["text"]


def test_keep_alives_are_pings() -> None:
    assert DIALECT.keep_alive() == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert kinds(written(OPENED, KeepAlive(), END))[0] == "ping"


def test_nothing_follows_a_failure() -> None:
    writer = DIALECT.stream_writer(ChatRequest(model="m", messages=()))
    writer.write(OPENED)
    (event,) = SseParser().feed(writer.write(Failed(status=529, code="overloaded_error", message="busy")))
    assert event.event == "error"
    assert msgspec.json.decode(event.data)["error"] == {"type": "overloaded_error", "message": "busy"}
    assert writer.write(PartOpened(index=0, part=Text(text="x"))) + writer.end() == b""


def test_a_failure_of_ours_is_an_error_event() -> None:
    writer = DIALECT.stream_writer(ChatRequest(model="m", messages=()))
    (event,) = SseParser().feed(writer.fail(UpstreamError("too much", upstream_status=429)))
    assert msgspec.json.decode(event.data) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "too much"},
    }
    assert writer.end() == b""


# --- reading what is not as it should be ---------------------------------------------------------------------------


def event(kind: str, **fields: Any) -> SseEvent:
    return SseEvent(kind, msgspec.json.encode({"type": kind, **fields}))


START = event("message_start", message={"id": "m1", "type": "message", "model": "c", "usage": {"input_tokens": 3}})
TEXT = event("content_block_start", index=0, content_block={"type": "text", "text": ""})


@pytest.mark.parametrize(
    "events",
    [
        [TEXT],
        [event("message_delta", delta={"stop_reason": "end_turn"})],
        [event("message_stop")],
        [event("message_start")],
        [START, event("content_block_delta", index=0, delta={"type": "text_delta", "text": "a"})],
        [START, event("content_block_stop", index=4)],
        [START, TEXT, TEXT],
        [START, event("content_block_start", index=0)],
        [START, SseEvent("content_block_delta", b'{"type":"content_block_delta","ind')],
        [START, SseEvent("ping", b"\xff\xfe")],
        [START, event("message_delta", delta={}, usage={"output_tokens": "many"})],
    ],
)
def test_an_event_out_of_order_or_broken_is_a_bad_answer(vendor: Vendor, events: list[SseEvent]) -> None:
    reader = DIALECT.stream_reader(vendor=vendor)
    with pytest.raises(BadAnswer):
        list(map(reader.read, events))


def test_a_stream_without_its_end_was_cut(vendor: Vendor) -> None:
    reader = DIALECT.stream_reader(vendor=vendor)
    reader.read(START)
    with pytest.raises(BadAnswer, match="message_stop"):
        reader.end()


def test_events_and_deltas_of_next_year_are_skipped_and_counted(vendor: Vendor) -> None:
    reader = DIALECT.stream_reader(vendor=vendor)
    unknown_delta = event("content_block_delta", index=0, delta={"type": "smell_delta"})
    for item in (START, event("of_next_year"), TEXT, unknown_delta):
        reader.read(item)
    assert reader.unknown_events == 2


def test_an_error_event_is_a_failure(vendor: Vendor) -> None:
    reader = DIALECT.stream_reader(vendor=vendor)
    reader.read(START)
    error = {"type": "overloaded_error", "message": "Overloaded"}
    assert reader.read(event("error", error=error)) == (
        Failed(status=529, code="overloaded_error", message="Overloaded"),
    )
    assert reader.read(TEXT) == ()
    assert reader.end() == ()


def test_a_later_event_revises_the_usage(vendor: Vendor) -> None:
    usage = {"output_tokens": 9, "input_tokens": 5, "cache_read_input_tokens": 2}
    deltas: list[Delta] = []
    reader = DIALECT.stream_reader(vendor=vendor)
    for item in (
        START,
        event("message_delta", delta={"stop_reason": "pause_turn"}, usage=usage),
        event("message_stop"),
    ):
        deltas += reader.read(item)
    whole = gather(deltas)
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (7, 9)
    assert whole.stop == Stop(kind=StopKind.PAUSE, raw="pause_turn")


def test_blocks_still_open_at_the_stop_are_closed(vendor: Vendor) -> None:
    reader = DIALECT.stream_reader(vendor=vendor)
    reader.read(START)
    reader.read(TEXT)
    assert reader.read(event("message_delta", delta={"stop_reason": "max_tokens"})) == [
        PartClosed(0),
        Stopped(stop=Stop(kind=StopKind.MAX_TOKENS, raw="max_tokens")),
    ]


def test_every_kind_of_part_survives_write_and_read() -> None:
    parts: list[Part] = [
        Reasoning(text="t", signature="s", origin="anthropic"),
        Reasoning(encrypted="e", origin="anthropic"),
        Text(text="x"),
        ToolCall(id="a", name="f", arguments='{"q":1}'),
        Opaque(
            dialect="anthropic-messages",
            raw=msgspec.Raw(b'{"type":"server_tool_use","id":"s","name":"n","input":{"q":1}}'),
        ),
    ]
    deltas: list[Delta] = [OPENED]
    for index, part in enumerate(parts):
        deltas += [PartOpened(index=index, part=part), PartClosed(index)]
    read = gather(read_all(DIALECT.stream_reader(vendor=VENDOR), [written(*deltas, END)]))
    assert list(read.parts) == parts
