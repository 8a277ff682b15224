"""Every recorded answer of the real API, read, passed on and written again."""

import json

import msgspec
import pytest
from anthropic.types import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.ports.dialect import BadAnswer
from samovar.ports.llm import ChatRequest, ChatResponse, Refusal, Text
from samovar.providers.anthropic import AnthropicMessages
from tests.providers.anthropic.conftest import VENDOR
from tests.providers.anthropic.recordings import ABSENT, answers, spliced, streams
from tests.providers.anthropic.streaming import as_sdk_message
from tests.support.streams import cut, gather, read_all

DIALECT = AnthropicMessages()
STABLE = {"text", "thinking", "redacted_thinking", "tool_use"}
REQUEST = ChatRequest(model="claude", messages=())


def _without_nothing(value: object) -> object:
    """JSON without its nulls, empty citations and the caller that every other tool call has, too."""
    if isinstance(value, dict):
        return {
            key: _without_nothing(item)
            for key, item in value.items()
            if item is not None and (key, item) not in (("citations", []), ("caller", {"type": "direct"}))
        }
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("body", answers())
def test_an_answer_read_and_written_again_has_the_same_content(body: bytes) -> None:
    read = DIALECT.read_response(body, vendor=VENDOR)
    written = json.loads(DIALECT.write_response(read))
    recorded = json.loads(body)
    assert _without_nothing(written["content"]) == _without_nothing(recorded["content"])
    for field in ("id", "model", "stop_reason", "stop_sequence"):
        assert written[field] == recorded.get(field)
    # Beta blocks, which the SDK's stable types do not know, pass as they are.
    written["content"] = [block for block in written["content"] if block["type"] in STABLE]
    Message.model_validate(written)


@pytest.mark.parametrize("body", answers())
def test_the_tap_sees_what_the_reader_sees(body: bytes) -> None:
    read, tapped = DIALECT.read_response(body, vendor=VENDOR), DIALECT.tap(body, vendor=VENDOR)
    assert (tapped.model, tapped.usage, tapped.stop) == (read.model, read.usage, read.stop)


@pytest.mark.parametrize("body", answers())
def test_usage_includes_the_cache(body: bytes) -> None:
    usage, recorded = DIALECT.read_response(body, vendor=VENDOR).usage, json.loads(body)["usage"]
    runs = [recorded, *(run for run in recorded.get("iterations", ()) if run["type"] == "compaction")]
    assert usage.input_tokens == sum(
        run["input_tokens"] + run.get("cache_read_input_tokens", 0) + run.get("cache_creation_input_tokens", 0)
        for run in runs
    )
    assert usage.output_tokens == sum(run["output_tokens"] for run in runs)


@pytest.mark.parametrize("stream", streams())
def test_a_stream_passes_byte_for_byte(stream: bytes) -> None:
    relay = DIALECT.relay(vendor=VENDOR, wants_usage=True)
    passed = relay.feed(stream) + relay.end()
    first_start = stream.index(b"\n\n") + 2
    doubled = stream[:first_start] * 2
    expected = stream[first_start:] if stream.startswith(doubled) else stream
    assert passed.rstrip() == expected.rstrip()
    assert relay.started
    assert relay.failed is None


@pytest.mark.parametrize("stream", streams())
def test_relay_and_reader_agree_on_usage_and_stop(stream: bytes) -> None:
    relay = DIALECT.relay(vendor=VENDOR, wants_usage=True)
    relay.feed(stream)
    relay.end()
    whole = gather(read_all(DIALECT.stream_reader(vendor=VENDOR), [stream]))
    assert (relay.usage, relay.stop) == (whole.usage, whole.stop)


@pytest.mark.parametrize("stream", streams())
def test_a_stream_read_and_written_again_is_the_same_to_the_sdk(stream: bytes) -> None:
    writer = DIALECT.stream_writer(REQUEST)
    deltas = read_all(DIALECT.stream_reader(vendor=VENDOR), [stream])
    written = b"".join(map(writer.write, deltas)) + writer.end()
    # A repeated message_start would make the SDK's accumulation begin anew.
    relay = DIALECT.relay(vendor=VENDOR, wants_usage=True)
    ours, theirs = as_sdk_message(written), as_sdk_message(relay.feed(stream) + relay.end())
    assert _without_nothing(ours.to_dict()["content"]) == _without_nothing(theirs.to_dict()["content"])
    assert (ours.id, ours.model, ours.stop_reason) == (theirs.id, theirs.model, theirs.stop_reason)
    assert ours.usage.output_tokens == gather(deltas).usage.output_tokens


@pytest.mark.parametrize("stream", streams())
@settings(max_examples=8, deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=40))
def test_cuts_anywhere_change_nothing(stream: bytes, places: list[int]) -> None:
    blocks = cut(stream, places)
    whole = read_all(DIALECT.stream_reader(vendor=VENDOR), [stream])
    assert read_all(DIALECT.stream_reader(vendor=VENDOR), blocks) == whole
    relay, uncut = (DIALECT.relay(vendor=VENDOR, wants_usage=True) for _ in range(2))
    assert b"".join(map(relay.feed, blocks)) + relay.end() == uncut.feed(stream) + uncut.end()
    assert (relay.usage, relay.stop, relay.started) == (uncut.usage, uncut.stop, uncut.started)


@ABSENT
def test_a_second_answer_spliced_into_the_first_is_refused() -> None:
    with pytest.raises(BadAnswer, match="second message"):
        read_all(DIALECT.stream_reader(vendor=VENDOR), [spliced()])
    relay = DIALECT.relay(vendor=VENDOR, wants_usage=True)
    with pytest.raises(BadAnswer, match="second message"):
        relay.feed(spliced())


@ABSENT
def test_the_words_of_a_refusal_are_the_last_part() -> None:
    body = next(param.values[0] for param in answers() if param.id == "anthropic-refusal")
    assert isinstance(body, bytes)
    read = DIALECT.read_response(body, vendor=VENDOR)
    assert isinstance(read.parts[-1], Refusal)
    assert "Usage Policy" in read.parts[-1].text
    assert json.loads(DIALECT.write_response(read))["stop_details"]["explanation"] == read.parts[-1].text


def test_a_sample_of_our_own_is_read_without_the_recordings() -> None:
    body = msgspec.json.encode(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5",
            "content": [{"type": "text", "text": "Чай готов"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 3, "cache_read_input_tokens": 10, "output_tokens": 4},
        }
    )
    read = DIALECT.read_response(body, vendor=VENDOR)
    assert isinstance(read, ChatResponse)
    assert read.parts == (Text(text="Чай готов"),)
    assert (read.usage.input_tokens, read.usage.cached_input_tokens) == (13, 10)
