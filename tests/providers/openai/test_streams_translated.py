"""Streams, read into deltas and written from them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from samovar.kernel.errors import Unavailable
from samovar.ports.dialect import BadAnswer, Vendor
from samovar.ports.llm import (
    ArgumentsDelta,
    ChatRequest,
    Delta,
    Failed,
    Opened,
    PartClosed,
    PartOpened,
    Reasoning,
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
from samovar.providers.openai import OpenAIChat
from samovar.providers.vendors import VENDORS
from tests.providers.openai.samples import DONE, TALK, USAGE, bodies, call, chunk, cut, event, read_all


def asked(*, wants_usage: bool = True) -> ChatRequest:
    return ChatRequest(model="m", messages=(), stream=True, wants_usage=wants_usage)


def written(deltas: list[Delta], *, wants_usage: bool = True) -> bytes:
    writer = OpenAIChat().stream_writer(asked(wants_usage=wants_usage))
    return b"".join([writer.write(delta) for delta in deltas]) + writer.end()


def test_a_stream_is_read_part_by_part(dialect: OpenAIChat, openai: Vendor) -> None:
    deltas = read_all(dialect.stream_reader(vendor=openai), [TALK])
    assert deltas == [
        Opened(id="chatcmpl-1", model="gpt-x", created=1_700_000_000),
        PartOpened(index=0, part=Reasoning()),
        TextDelta(index=0, text="Hmm."),
        PartClosed(index=0),
        PartOpened(index=1, part=Text(text="")),
        TextDelta(index=1, text="Привет, "),
        TextDelta(index=1, text='мир "usage":null \n\n🙂'),
        PartClosed(index=1),
        PartOpened(index=2, part=ToolCall(id="call_sun", name="sun", arguments="")),
        ArgumentsDelta(index=2, json='{"city":'),
        ArgumentsDelta(index=2, json='"Тула"}'),
        PartClosed(index=2),
        PartOpened(index=3, part=ToolCall(id="call_moon", name="moon", arguments="")),
        ArgumentsDelta(index=3, json='{"a":1}'),
        PartClosed(index=3),
        Stopped(stop=Stop(kind=StopKind.TOOL_CALLS, raw="tool_calls")),
        UsageSeen(usage=Usage(input_tokens=9, output_tokens=5, cached_input_tokens=4, reasoning_tokens=2)),
    ]


@given(at=st.lists(st.integers(0, len(TALK)), max_size=40))
def test_a_stream_cut_anywhere_is_read_alike(at: list[int]) -> None:
    reader = OpenAIChat().stream_reader(vendor=VENDORS["openai"])
    whole = OpenAIChat().stream_reader(vendor=VENDORS["openai"])
    assert read_all(reader, cut(TALK, at)) == read_all(whole, [TALK])


def test_calls_whose_arguments_interleave_stay_apart(dialect: OpenAIChat, openai: Vendor) -> None:
    pieces = [
        call(0, "", name="a"),
        call(0, '{"x":'),
        call(1, '{"y":', name="b"),
        call(0, "1}"),
        call(1, "2}"),
    ]
    stream = b"".join(chunk(piece) for piece in pieces) + chunk({}, finish="tool_calls") + DONE
    deltas = read_all(dialect.stream_reader(vendor=openai), [stream])
    said = {0: "", 1: ""}
    for delta in deltas:
        if isinstance(delta, ArgumentsDelta):
            said[delta.index] += delta.json
    assert said == {0: '{"x":1}', 1: '{"y":2}'}
    assert [delta.index for delta in deltas if isinstance(delta, PartClosed)] == [0, 1]


def test_calls_of_one_number_are_told_apart_by_id(dialect: OpenAIChat, openai: Vendor) -> None:
    stream = b"".join(
        (chunk(call(0, "{}", name="a")), chunk(call(0, "{}", name="b")), chunk({}, finish="tool_calls"), DONE)
    )
    deltas = read_all(dialect.stream_reader(vendor=openai), [stream])
    names = [delta.part.name for delta in deltas if isinstance(delta, PartOpened) and isinstance(delta.part, ToolCall)]
    assert names == ["a", "b"]


def test_usage_of_a_finish_chunk_is_seen_and_a_stop_said_twice_counts_once(dialect: OpenAIChat) -> None:
    last = chunk({}, finish="stop", usage=USAGE | {"cost": 0.00015})
    deltas = read_all(
        dialect.stream_reader(vendor=VENDORS["openrouter"]), [chunk({"content": "a"}, finish="stop") + last + DONE]
    )
    assert sum(isinstance(delta, Stopped) for delta in deltas) == 1
    (usage,) = [delta.usage for delta in deltas if isinstance(delta, UsageSeen)]
    assert usage.reported_cost_nano_usd == 150_000


def test_an_error_event_fails_the_stream(dialect: OpenAIChat, openai: Vendor) -> None:
    stream = chunk({"content": "a"}) + event({"error": {"message": "slow down", "type": "rate_limit_error"}})
    deltas = read_all(dialect.stream_reader(vendor=openai), [stream])
    assert deltas[-1] == Failed(status=429, code="rate_limit_error", message="slow down")


@pytest.mark.parametrize(
    "stream", [b"", b"<html></html>", DONE, chunk({"content": "a"}), chunk({"content": "a"}) + b"data: {"]
)
def test_a_cut_stream_is_a_bad_answer(dialect: OpenAIChat, openai: Vendor, stream: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_all(dialect.stream_reader(vendor=openai), [stream])


@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_stream_read_and_written_again_says_the_same(dialect: OpenAIChat, openai: Vendor, wants_usage: bool) -> None:
    deltas = read_all(dialect.stream_reader(vendor=openai), [TALK])
    again = written(deltas, wants_usage=wants_usage)
    expected = deltas if wants_usage else deltas[:-1]
    assert read_all(dialect.stream_reader(vendor=openai), [again]) == expected
    assert again.endswith(DONE)


def test_the_sdk_understands_every_chunk(dialect: OpenAIChat, openai: Vendor) -> None:
    deltas = read_all(dialect.stream_reader(vendor=openai), [TALK])
    chunks = [
        ChatCompletionChunk.model_validate_json(json.dumps(body), strict=True) for body in bodies(written(deltas))
    ]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == 'Привет, мир "usage":null \n\n🙂'
    assert chunks[-2].choices[0].finish_reason == "tool_calls"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 14
    assert all(c.id == "chatcmpl-1" for c in chunks)


def test_usage_goes_only_to_who_asked(dialect: OpenAIChat) -> None:
    deltas: list[Delta] = [Opened(id="1", model="m"), UsageSeen(usage=Usage(input_tokens=1))]
    assert all("usage" not in body for body in bodies(written(deltas, wants_usage=False)))


def test_our_field_comes_last(dialect: OpenAIChat) -> None:
    writer = dialect.stream_writer(asked(wants_usage=False))
    writer.write(Opened(id="1", model="m"))
    out = writer.end({"cost_credits": "2"})
    (last,) = bodies(out)
    assert (last["choices"], last["samovar"]) == ([], {"cost_credits": "2"})
    assert out.endswith(DONE)


def test_a_signature_goes_out_with_its_whole_thought(dialect: OpenAIChat) -> None:
    deltas: list[Delta] = [
        Opened(id="1", model="m"),
        PartOpened(index=0, part=Reasoning(origin="anthropic")),
        TextDelta(index=0, text="Hm"),
        TextDelta(index=0, text="m"),
        SignatureDelta(index=0, signature="sig"),
        PartClosed(index=0),
        Stopped(stop=Stop(kind=StopKind.END)),
    ]
    details = [
        body["choices"][0]["delta"]["reasoning_details"]
        for body in bodies(written(deltas, wants_usage=False))
        if "reasoning_details" in body["choices"][0]["delta"]
    ]
    assert details == [
        [{"type": "reasoning.text", "text": "Hmm", "signature": "sig", "format": "anthropic", "index": 0}]
    ]


def test_a_failure_is_the_last_event(dialect: OpenAIChat) -> None:
    writer = dialect.stream_writer(asked())
    writer.write(Opened(id="1", model="m"))
    (body,) = bodies(writer.fail(Unavailable("gone")))
    assert body["error"]["type"] == "server_error"
    assert writer.end() == b""
