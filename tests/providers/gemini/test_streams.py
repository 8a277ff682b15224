"""Streams that are not recordings: read, written in both forms, and passed through."""

import json
from typing import Any

import pytest
from google.genai.errors import ServerError
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.errors import Unavailable
from samovar.kernel.sse import SseEvent
from samovar.ports.dialect import BadAnswer, UpstreamError
from samovar.ports.llm import (
    ArgumentsDelta,
    ChatRequest,
    Delta,
    Failed,
    KeepAlive,
    Media,
    MediaKind,
    Opaque,
    Opened,
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
from samovar.providers.gemini import GeminiContent, StreamForm
from samovar.providers.gemini.relay import GeminiRelay
from tests.providers.gemini.conftest import VENDOR, served
from tests.support.streams import Whole, cut, gather, read_all

DIALECT = GeminiContent()
ARRAY = GeminiContent(form=StreamForm.ARRAY)


def chunk(*parts: dict[str, Any], reason: str | None = None, **fields: Any) -> bytes:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    body = {"candidates": [candidate], "modelVersion": "g", "responseId": "r", **fields}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\r\n\r\n"


HELLO = chunk({"text": "Сам"}, usageMetadata={"promptTokenCount": 3, "cachedContentTokenCount": 2})
MORE = chunk({"text": "овар"}, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 4})
LAST = chunk({"text": ""}, reason="STOP", usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 5})
STREAM = HELLO + MORE + LAST
OVERLOADED = b'data: {"error":{"code":503,"message":"Overloaded","status":"UNAVAILABLE"}}\r\n\r\n'


def read(*blocks: bytes) -> Whole:
    return gather(read_all(DIALECT.stream_reader(vendor=VENDOR), blocks))


# --- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@given(places=st.lists(st.integers(0, 5000), max_size=60))
def test_a_stream_cut_anywhere_is_one_answer(line_end: bytes, places: list[int]) -> None:
    whole = read(*cut(STREAM.replace(b"\r\n", line_end), places))
    assert whole.parts == (Text(text="Самовар"),)
    assert (whole.usage.input_tokens, whole.usage.output_tokens, whole.usage.cached_input_tokens) == (3, 5, 2)


def test_every_single_byte_may_come_alone() -> None:
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == read(STREAM)
    relay = DIALECT.relay(vendor=VENDOR, wants_usage=True)
    assert b"".join(relay.feed(STREAM[at : at + 1]) for at in range(len(STREAM))) + relay.end() == STREAM


def test_thoughts_words_media_and_code_are_parts_in_their_order() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    whole = read(
        chunk({"text": "a", "thought": True}),
        chunk({"text": "b", "thought": True, "thoughtSignature": "YQ=="}, {"text": "c"}),
        chunk(code, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "Yg=="}),
        chunk({"text": "d", "thoughtSignature": "Yw=="}, reason="STOP"),
    )
    thought, text, opaque, *rest = whole.parts
    assert (thought, text) == (Reasoning(text="ab", signature="YQ==", origin="gemini"), Text(text="c"))
    assert isinstance(opaque, Opaque)
    assert rest == [
        Media(kind=MediaKind.IMAGE, base64="AAAA", media_type="image/png"),
        Reasoning(signature="Yg==", origin="gemini"),
        Text(text="d"),
        Reasoning(signature="Yw==", origin="gemini"),
    ]


def test_a_signed_thought_is_still_signed_after_a_way_through_the_core() -> None:
    stream = [chunk({"text": "a", "thought": True, "thoughtSignature": "YQ=="}, {"text": "b"}), LAST]
    deltas = read_all(DIALECT.stream_reader(vendor=VENDOR), stream)
    assert read(wrote(DIALECT, deltas)).parts == read(*stream).parts
    assert read(*stream).parts[0] == Reasoning(text="a", signature="YQ==", origin="gemini")


def test_usage_that_has_not_changed_is_not_said_again() -> None:
    deltas = read_all(DIALECT.stream_reader(vendor=VENDOR), [HELLO, HELLO, LAST])
    assert len([delta for delta in deltas if isinstance(delta, UsageSeen)]) == 2


def test_what_follows_the_reason_to_stop_still_counts() -> None:
    late = b'data: {"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":8}}\r\n\r\n'
    whole = read(STREAM + late)
    assert (whole.stop.kind, whole.usage.output_tokens) == (StopKind.END, 8)
    relay = DIALECT.relay(vendor=VENDOR, wants_usage=True)
    assert relay.feed(STREAM + late) + relay.end() == STREAM + late
    assert relay.usage == whole.usage


def test_a_blocked_prompt_ends_the_stream() -> None:
    whole = read(b'data: {"promptFeedback":{"blockReason":"SAFETY"},"responseId":"r"}\r\n\r\n')
    assert whole.stop == Stop(kind=StopKind.CONTENT_FILTER, raw="SAFETY")


def test_a_stream_without_a_reason_to_stop_was_cut() -> None:
    with pytest.raises(BadAnswer, match="cut"):
        read(HELLO + MORE)
    relay = DIALECT.relay(vendor=VENDOR, wants_usage=True)
    relay.feed(HELLO + MORE)
    with pytest.raises(BadAnswer, match="cut"):
        relay.end()


def test_an_error_event_ends_the_stream() -> None:
    deltas = read_all(DIALECT.stream_reader(vendor=VENDOR), [HELLO + OVERLOADED + MORE])
    assert deltas[-1] == Failed(status=503, code="UNAVAILABLE", message="Overloaded")


@pytest.mark.parametrize("data", [b"<html>", b"\xff", b"[]", b'{"candidates":[{"content":{"parts":[{"text":1}]}}]}'])
def test_an_event_that_is_no_chunk_is_a_bad_answer(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        DIALECT.stream_reader(vendor=VENDOR).read(SseEvent("message", data))
    with pytest.raises(BadAnswer):
        DIALECT.relay(vendor=VENDOR, wants_usage=True).feed(b"data: " + data + b"\n\n")


def piece(path: str, **value: Any) -> dict[str, Any]:
    return {"functionCall": {"partialArgs": [{"jsonPath": path, **value}], "willContinue": True}}


def arguments(*pieces: dict[str, Any]) -> Any:
    begun = {"functionCall": {"name": "f", "willContinue": True}}
    (call,) = read(*(chunk(part) for part in (begun, *pieces, {"functionCall": {}})), chunk(reason="STOP")).parts
    assert isinstance(call, ToolCall)
    return json.loads(call.arguments)


def test_streamed_arguments_of_every_type_find_their_place() -> None:
    assert arguments(
        piece("$.a.b[0].c", stringValue="x", willContinue=True),
        piece("$.a.b[0].c", stringValue="y"),
        piece("$.a.b[1]", numberValue=3),
        piece("$.a.n", numberValue=0.5),
        piece("$['odd key'].t", boolValue=False),
        piece('$["q\\"q"]', nullValue="NULL_VALUE"),
        piece("$.list[0][1]", stringValue=""),
    ) == {"a": {"b": [{"c": "xy"}, 3], "n": 0.5}, "odd key": {"t": False}, 'q"q': None, "list": [[None, ""]]}


@pytest.mark.parametrize(
    "pieces",
    [
        [piece("a", stringValue="x")],
        [piece("$", stringValue="x")],
        [piece("$..", stringValue="x")],
        [piece("$.a[99999999]", stringValue="x")],
        [piece("$" + ".a" * 100, stringValue="x")],
        [piece("$.a", stringValue="x"), piece("$.a.b", stringValue="x")],
        [piece("$.a[0]", stringValue="x"), piece("$.a.b", stringValue="x")],
        [piece("$[0]", stringValue="x")],
    ],
)
def test_arguments_that_fit_nowhere_are_a_bad_answer(pieces: list[dict[str, Any]]) -> None:
    with pytest.raises(BadAnswer):
        arguments(*pieces)


_NAMES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=4)
_LEAVES = st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=6)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(_NAMES, inner, min_size=1, max_size=3),
    max_leaves=8,
)


def leaves(value: Any, path: str) -> list[dict[str, Any]]:
    """Arguments taken to pieces, texts in two."""
    match value:
        case dict():
            quoted = {name: name.replace("\\", "\\\\").replace("'", "\\'") for name in value}
            return [one for name in value for one in leaves(value[name], f"{path}['{quoted[name]}']")]
        case list():
            return [one for at, item in enumerate(value) for one in leaves(item, f"{path}[{at}]")]
        case bool():
            return [piece(path, boolValue=value)]
        case int():
            return [piece(path, numberValue=value)]
    return [piece(path, stringValue=value[:2], willContinue=True), piece(path, stringValue=value[2:])]


@given(st.dictionaries(_NAMES, _VALUES, max_size=3))
def test_arguments_taken_to_pieces_come_together(value: dict[str, Any]) -> None:
    assert arguments(*leaves(value, "$")) == value


# --- writing -------------------------------------------------------------------------------------------------------

ANSWER: list[Delta] = [
    Opened(id="r1", model="claude"),
    UsageSeen(usage=Usage(input_tokens=9)),
    KeepAlive(),
    PartOpened(index=0, part=Reasoning(origin="anthropic")),
    TextDelta(index=0, text="hm"),
    SignatureDelta(index=0, signature="sig"),
    PartClosed(index=0),
    PartOpened(index=1, part=Text(text="")),
    PartOpened(index=2, part=ToolCall(id="t1", name="f", arguments="")),
    ArgumentsDelta(index=2, json='{\n "a":'),
    TextDelta(index=1, text="words"),
    ArgumentsDelta(index=2, json=" 1}"),
    PartClosed(index=2),
    PartClosed(index=1),
    PartOpened(index=3, part=Refusal(text="no")),
    PartClosed(index=3),
    PartOpened(index=4, part=ToolCall(id="t2", name="g", arguments="")),
    UsageSeen(usage=Usage(input_tokens=9, output_tokens=5, reasoning_tokens=2)),
    Stopped(stop=Stop(kind=StopKind.TOOL_CALLS)),
]


def wrote(dialect: GeminiContent, deltas: list[Delta], extra: dict[str, object] | None = None) -> bytes:
    writer = dialect.stream_writer(ChatRequest(model="m", messages=()))
    return b"".join(map(writer.write, deltas)) + writer.end(extra)


def test_each_chunk_is_one_line_with_crlf_and_nothing_else_is_on_the_wire() -> None:
    events = wrote(DIALECT, ANSWER).split(b"\r\n\r\n")
    assert events.pop() == b""
    assert all(event.startswith(b'data: {"candidates":[') and b"\n" not in event for event in events)
    assert DIALECT.keep_alive() == b""


async def test_the_sdk_reads_what_another_vendor_streamed() -> None:
    async with served(wrote(DIALECT, ANSWER, {"cost_credits": "1"}), kind="text/event-stream") as it:
        chunks = [one async for one in await it.client.aio.models.generate_content_stream(model="m", contents="?")]
    parts = [part for one in chunks for part in one.candidates[0].content.parts]
    assert [part.text for part in parts if part.text] == ["hm", "words", "no"]
    assert [(part.function_call.id, part.function_call.args) for part in parts if part.function_call] == [
        ("t1", {"a": 1}),
        ("t2", {}),
    ]
    assert all(one.usage_metadata.prompt_token_count == 9 for one in chunks)
    usage = chunks[-1].usage_metadata
    assert (usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (3, 2, 14)
    # The client keeps every chunk as a turn of its own; sent back, they are the answer again.
    back = {"contents": [one.candidates[0].content.model_dump(mode="json", exclude_none=True) for one in chunks]}
    (message,) = DIALECT.read_request(json.dumps(back).encode()).messages
    assert message.parts == (
        Reasoning(text="hm", signature="sig", origin="anthropic"),
        Text(text="words"),
        ToolCall(id="t1", name="f", arguments='{"a": 1}'),
        Text(text="no"),
        ToolCall(id="t2", name="g", arguments="{}"),
    )


def test_the_array_holds_the_chunks_of_the_events() -> None:
    extra: dict[str, object] = {"cost_credits": "1"}
    events = wrote(DIALECT, ANSWER, extra).split(b"\r\n\r\n")[:-1]
    array = json.loads(wrote(ARRAY, ANSWER, extra))
    assert array == [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert array[-1]["samovar"] == extra
    assert [one["candidates"][0].get("finishReason") for one in array[-2:]] == [None, "STOP"]


def test_nothing_follows_an_error() -> None:
    for failure in (Failed(status=503, code="x", message="Gone"), None):
        writer = ARRAY.stream_writer(ChatRequest(model="m", messages=()))
        out = b"".join(map(writer.write, ANSWER[:5]))
        out += writer.fail(Unavailable("Gone")) if failure is None else writer.write(failure)
        out += writer.write(ANSWER[10]) + writer.end({"x": 1}) + writer.fail(Unavailable("Gone"))
        assert json.loads(out)[-1]["error"] == {"code": 503, "message": "Gone", "status": "UNAVAILABLE"}


async def test_the_sdk_raises_an_error_in_mid_stream() -> None:
    writer = DIALECT.stream_writer(ChatRequest(model="m", messages=()))
    body = b"".join(map(writer.write, ANSWER[:5])) + writer.fail(Unavailable("Gone"))
    async with served(body, kind="text/event-stream") as it:
        stream = await it.client.aio.models.generate_content_stream(model="m", contents="?")
        assert (await anext(stream)).candidates[0].content.parts[0].text == "hm"
        with pytest.raises(ServerError, match="Gone"):
            await anext(stream)


# --- passing through -----------------------------------------------------------------------------------------------


def relay() -> GeminiRelay:
    return DIALECT.relay(vendor=VENDOR, wants_usage=True)


def test_whole_events_are_passed_on_at_once_and_the_last_is_held_back() -> None:
    it = relay()
    assert it.feed(HELLO) == HELLO
    assert it.feed(MORE) == MORE
    assert it.feed(LAST) == b""
    assert it.stop == Stop(kind=StopKind.END, raw="STOP")
    assert it.end() == LAST


def test_the_cost_is_put_into_the_last_event() -> None:
    it = relay()
    out = it.feed(STREAM) + it.end({"cost_credits": "1"})
    assert out.startswith(HELLO + MORE)
    last = json.loads(out.removeprefix(HELLO + MORE).removeprefix(b"data: "))
    assert last.pop("samovar") == {"cost_credits": "1"}
    assert last == json.loads(LAST.removeprefix(b"data: "))


def test_it_has_started_with_the_first_content_and_not_before() -> None:
    def started(*blocks: bytes) -> bool:
        it = relay()
        for block in blocks:
            it.feed(block)
        return it.started

    assert not started(chunk({"text": ""}))
    assert started(chunk({"text": ""}), HELLO)
    assert started(chunk({"functionCall": {"name": "f"}}))
    # An empty answer is an answer too.
    assert started(LAST)


def test_characters_are_counted_for_an_estimate() -> None:
    it = relay()
    it.feed(HELLO + MORE)
    assert it.output_chars == len("Самовар")


def test_comments_are_dropped_because_googles_clients_break_on_them() -> None:
    it = relay()
    assert it.feed(b": waiting\n\n" + STREAM) + it.end() == STREAM


def test_an_error_before_any_content_is_raised() -> None:
    with pytest.raises(UpstreamError) as raised:
        relay().feed(OVERLOADED)
    assert (raised.value.upstream_status, raised.value.detail) == (503, "Overloaded")


def test_an_error_after_content_is_passed_on_and_ends_it() -> None:
    it = relay()
    assert it.feed(HELLO + OVERLOADED + MORE) + it.end({"x": 1}) == HELLO + OVERLOADED
    assert it.failed is not None
    assert it.fail(Unavailable("Gone")) == b""


def test_our_own_error_ends_a_stream_and_closes_the_array() -> None:
    it = ARRAY.relay(vendor=VENDOR, wants_usage=True)
    out = it.feed(HELLO + MORE[:20]) + it.fail(Unavailable("Gone")) + it.feed(LAST)
    assert [next(iter(one)) for one in json.loads(out)] == ["candidates", "error"]


@pytest.mark.parametrize("body", [b"<html>no</html>\n\n", b'[{"candidates":[]}]\n\n', b""])
def test_what_is_no_event_stream_is_a_bad_answer(body: bytes) -> None:
    it = relay()

    def whole() -> None:
        it.feed(body)
        it.end()

    with pytest.raises(BadAnswer, match="not an event stream"):
        whole()


def test_an_endless_event_is_refused() -> None:
    it = GeminiRelay(max_event_bytes=100)
    with pytest.raises(BadAnswer, match="more than 100"):
        it.feed(b"data: " + b"x" * 200)


def test_a_stream_without_its_last_blank_line_is_whole() -> None:
    it = relay()
    assert it.feed(STREAM[:-4]) + it.end() == STREAM
