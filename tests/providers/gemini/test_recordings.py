"""What the API really answered, read, written again, cut anywhere, and read by Google's own SDK."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.ports.llm import ChatRequest, Reasoning, StopKind, Text, ToolCall
from samovar.providers.gemini import GeminiContent, StreamForm
from tests.providers.gemini.conftest import VENDOR, served
from tests.providers.gemini.recordings import ABSENT, FOLDER, answers, stream, streams
from tests.support.streams import Whole, cut, gather, read_all

DIALECT = GeminiContent()


def without_ids(content: dict[str, Any]) -> dict[str, Any]:
    """Ids that we made up stand on what we write and not on what came."""
    for part in content["parts"]:
        part.get("functionCall", {}).pop("id", None)
    return content


def read_stream(blocks: list[bytes]) -> Whole:
    return gather(read_all(DIALECT.stream_reader(vendor=VENDOR), blocks))


def rewritten(source: bytes) -> bytes:
    """The stream through the neutral core and out again."""
    writer = DIALECT.stream_writer(ChatRequest(model="m", messages=()))
    deltas = read_all(DIALECT.stream_reader(vendor=VENDOR), [source])
    return b"".join(map(writer.write, deltas)) + writer.end()


@pytest.mark.parametrize("body", answers())
def test_an_answer_read_and_written_says_the_same(body: bytes) -> None:
    theirs, read = json.loads(body), DIALECT.read_response(body, vendor=VENDOR)
    ours = json.loads(DIALECT.write_response(read))
    assert without_ids(ours["candidates"][0]["content"]) == theirs["candidates"][0]["content"]
    assert ours["candidates"][0]["finishReason"] == theirs["candidates"][0]["finishReason"]
    assert ours["usageMetadata"] == theirs["usageMetadata"]
    assert (ours["responseId"], ours["modelVersion"]) == (theirs["responseId"], theirs["modelVersion"])


@pytest.mark.parametrize("body", answers())
def test_usage_is_inclusive_and_the_tap_sees_the_same(body: bytes) -> None:
    read, tapped = DIALECT.read_response(body, vendor=VENDOR), DIALECT.tap(body, vendor=VENDOR)
    wire = json.loads(body)["usageMetadata"]
    assert read.usage.output_tokens == wire["candidatesTokenCount"] + wire["thoughtsTokenCount"]
    assert read.usage.input_tokens + read.usage.output_tokens == wire["totalTokenCount"]
    assert (tapped.model, tapped.usage, tapped.stop) == (read.model, read.usage, read.stop)


@pytest.mark.parametrize("source", streams())
def test_a_stream_through_the_core_and_back_is_the_same_answer(source: bytes) -> None:
    whole, again = read_stream([source]), read_stream([rewritten(source)])
    assert again.usage.output_tokens == whole.usage.output_tokens > 0
    assert [part for part in again.parts if not isinstance(part, ToolCall)] == [
        part for part in whole.parts if not isinstance(part, ToolCall)
    ]
    assert [
        (part.name, json.loads(part.arguments), part.signature) for part in again.parts if isinstance(part, ToolCall)
    ] == [(part.name, json.loads(part.arguments), part.signature) for part in whole.parts if isinstance(part, ToolCall)]
    assert (again.id, again.model, again.stop) == (whole.id, whole.model, whole.stop)


@pytest.mark.parametrize("source", streams())
@settings(max_examples=10, deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=40), form=st.sampled_from(StreamForm))
def test_cuts_anywhere_change_nothing(source: bytes, places: list[int], form: StreamForm) -> None:
    blocks = cut(source, places)
    assert read_stream(blocks) == read_stream([source])
    dialect = GeminiContent(form=form)
    relay, uncut = (dialect.relay(vendor=VENDOR, wants_usage=True) for _ in range(2))
    assert b"".join(map(relay.feed, blocks)) + relay.end() == uncut.feed(source) + uncut.end()
    assert (relay.usage, relay.stop, relay.started) == (uncut.usage, uncut.stop, uncut.started)
    assert relay.output_chars == uncut.output_chars > 0


@pytest.mark.parametrize("source", streams())
def test_a_relay_passes_events_as_they_came_and_knows_what_the_reader_knows(source: bytes) -> None:
    relay = DIALECT.relay(vendor=VENDOR, wants_usage=True)
    assert relay.feed(source) + relay.end() == source
    whole = read_stream([source])
    assert (relay.usage, relay.stop) == (whole.usage, whole.stop)


@pytest.mark.parametrize("source", streams())
def test_a_relay_into_an_array_holds_the_same_chunks(source: bytes) -> None:
    relay = GeminiContent(form=StreamForm.ARRAY).relay(vendor=VENDOR, wants_usage=True)
    array = json.loads(relay.feed(source) + relay.end({"cost_credits": "1"}))
    assert array[-1].pop("samovar") == {"cost_credits": "1"}
    assert array == [json.loads(line.removeprefix(b"data: ")) for line in source.split(b"\r\n\r\n") if line]


@pytest.mark.parametrize("body", answers())
async def test_the_sdk_reads_what_we_write(body: bytes) -> None:
    read = DIALECT.read_response(body, vendor=VENDOR)
    async with served(body) as theirs, served(DIALECT.write_response(read, extra={"cost": "1"})) as ours:
        expected = await theirs.client.aio.models.generate_content(model="m", contents="?")
        got = await ours.client.aio.models.generate_content(model="m", contents="?")
    assert got.text == expected.text
    assert [(call.name, call.args) for call in got.function_calls or ()] == [
        (call.name, call.args) for call in expected.function_calls or ()
    ]
    assert got.candidates[0].finish_reason == expected.candidates[0].finish_reason
    assert (
        got.candidates[0].content.parts[0].thought_signature
        == expected.candidates[0].content.parts[0].thought_signature
    )
    assert got.usage_metadata == expected.usage_metadata


@pytest.mark.parametrize("source", streams())
async def test_the_sdk_reads_the_stream_we_write(source: bytes) -> None:
    whole = read_stream([source])
    async with served(rewritten(source), kind="text/event-stream") as it:
        chunks = [chunk async for chunk in await it.client.aio.models.generate_content_stream(model="m", contents="?")]
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or ()]
    assert "".join(part.text or "" for part in parts if not part.thought) == "".join(
        part.text for part in whole.parts if isinstance(part, Text)
    )
    assert "".join(part.text or "" for part in parts if part.thought) == "".join(
        part.text for part in whole.parts if isinstance(part, Reasoning)
    )
    assert [(part.function_call.name, part.function_call.args) for part in parts if part.function_call] == [
        (part.name, json.loads(part.arguments)) for part in whole.parts if isinstance(part, ToolCall)
    ]
    last = chunks[-1]
    assert last.candidates[0].finish_reason == "STOP"
    usage = last.usage_metadata
    assert usage.candidates_token_count + usage.thoughts_token_count == whole.usage.output_tokens


@ABSENT
def test_streamed_arguments_are_put_together() -> None:
    calls = read_stream([stream("google-stream-no-args-tool-call")]).parts[1:]
    assert [(call.name, call.arguments) for call in calls if isinstance(call, ToolCall)] == [
        ("read_theme", "{}"),
        ("read_screen", '{"id":"A"}'),
        ("read_screen", '{"id":"B"}'),
        ("read_screen", '{"id":"C"}'),
    ]


@ABSENT
def test_a_call_that_nothing_ended_ends_with_the_answer() -> None:
    whole = read_stream([stream("google-stream-tool-call-array-arguments-missing-terminal-function-call")])
    (call,) = whole.parts
    assert isinstance(call, ToolCall)
    assert [item["price"] for item in json.loads(call.arguments)["operations"]] == [0.5, 0.3]
    assert whole.stop.kind is StopKind.TOOL_CALLS


@ABSENT
def test_nested_arguments_keep_every_item() -> None:
    (call,) = read_stream([stream("google-vertex-stream-tool-call-arguments-nested.1")]).parts
    assert isinstance(call, ToolCall)
    recipe = json.loads(call.arguments)["recipe"]
    assert (recipe["name"], len(recipe["ingredients"]), len(recipe["steps"])) == ("Lasagna", 10, 10)
    assert recipe["ingredients"][3] == {"amount": recipe["ingredients"][3]["amount"], "name": "Mozzarella cheese"}


@ABSENT
def test_a_quota_error_says_when_to_come_back() -> None:
    body = (FOLDER / "google-429-retry-info.json").read_bytes()
    error = DIALECT.read_error(429, body, header=lambda name: None)
    assert (error.upstream_status, error.upstream_code, error.retry_after_s) == (429, "RESOURCE_EXHAUSTED", 34.4)
    assert error.headers == {"Retry-After": "34"}
