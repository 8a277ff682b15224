"""A stream that passes through untouched, and what the relay learns of it."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.ports.dialect import BadAnswer, UpstreamError
from samovar.ports.llm import Stop, StopKind
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.anthropic.relay import AnthropicRelay
from tests.providers.anthropic.conftest import VENDOR
from tests.support.streams import cut

DIALECT = AnthropicMessages()


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


START = event("message_start", message={"id": "m1", "model": "c", "usage": {"input_tokens": 3, "output_tokens": 1}})
OPEN = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
WORDS = event(
    "content_block_delta", index=0, delta={"type": "text_delta", "text": "Самовар: error\n\nevent: message_stop"}
)
CLOSE = event("content_block_stop", index=0)
STOP = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 9})
LAST = event("message_stop")
PING = event("ping")
STREAM = START + PING + OPEN + WORDS * 3 + PING + CLOSE + STOP + LAST
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})


def relay() -> AnthropicRelay:
    return DIALECT.relay(vendor=VENDOR, wants_usage=True)


def passed(it: AnthropicRelay, *blocks: bytes) -> bytes:
    """What the caller gets of a stream of these blocks."""
    return b"".join(map(it.feed, blocks)) + it.end()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@given(places=st.lists(st.integers(0, 5000), max_size=60))
def test_bytes_pass_as_they_came_however_they_are_cut(line_end: bytes, places: list[int]) -> None:
    stream = STREAM.replace(b"\n", line_end)
    it = relay()
    assert b"".join(map(it.feed, cut(stream, places))) + it.end() == stream
    assert it.usage is not None
    assert (it.usage.input_tokens, it.usage.output_tokens) == (3, 9)
    assert it.stop == Stop(kind=StopKind.END, raw="end_turn")


def test_an_event_that_nobody_knows_passes_and_is_counted() -> None:
    it = relay()
    foreign = event("dream", depth=1)
    assert passed(it, START, PING + OPEN, WORDS, foreign, CLOSE + STOP + LAST).count(foreign) == 1
    assert it.unknown_events == 1


def test_every_single_byte_may_come_alone() -> None:
    it = relay()
    assert passed(it, *(STREAM[at : at + 1] for at in range(len(STREAM)))) == STREAM


def test_whole_events_are_passed_on_at_once() -> None:
    it = relay()
    for one in (START, OPEN, WORDS, WORDS + WORDS, CLOSE, STOP):
        assert it.feed(one) == one
    assert it.feed(LAST) == b""
    assert it.end() == LAST


def test_an_end_that_shares_its_block_with_content_is_seen() -> None:
    it = relay()
    it.feed(START + OPEN + WORDS)
    assert it.feed(CLOSE + STOP + LAST) == CLOSE + STOP
    assert it.stop == Stop(kind=StopKind.END, raw="end_turn")
    assert it.end() == LAST


def test_an_error_that_shares_its_block_with_content_is_seen() -> None:
    it = relay()
    it.feed(START + OPEN + WORDS)
    assert it.feed(WORDS + OVERLOADED + WORDS) == WORDS + OVERLOADED
    assert it.failed is not None


def test_it_has_started_with_the_first_content_and_not_before() -> None:
    it = relay()
    for one in (START, PING, OPEN):
        it.feed(one)
        assert not it.started
    it.feed(WORDS)
    assert it.started


@pytest.mark.parametrize(
    "block", [{"type": "tool_use", "id": "a", "name": "f", "input": {}}, {"type": "redacted_thinking"}]
)
def test_a_block_that_is_content_by_itself_starts_it(block: dict[str, Any]) -> None:
    it = relay()
    it.feed(START + event("content_block_start", index=0, content_block=block))
    assert it.started


def test_an_empty_answer_has_started_when_it_stops() -> None:
    it = relay()
    it.feed(START + STOP)
    assert it.started


def test_the_cost_is_put_into_the_last_event() -> None:
    it = relay()
    it.feed(STREAM)
    last = it.end({"cost_credits": "0.5"})
    assert last == b'event: message_stop\ndata: {"type":"message_stop","samovar":{"cost_credits":"0.5"}}\n\n'


def test_characters_are_counted_for_an_estimate() -> None:
    exact, quick = relay(), relay()
    exact.feed(START + OPEN + WORDS * 40)
    for one in (START, OPEN, *itertools.repeat(WORDS, 40)):
        quick.feed(one)
    said = 40 * len("Самовар: error\n\nevent: message_stop")
    assert exact.output_chars == said
    assert 0.8 * said < quick.output_chars < 1.3 * said


def test_an_error_before_any_content_is_raised() -> None:
    it = relay()
    it.feed(START + OPEN)
    with pytest.raises(UpstreamError) as raised:
        it.feed(OVERLOADED)
    assert (raised.value.upstream_status, raised.value.upstream_code) == (529, "overloaded_error")
    assert raised.value.http_status == 502


def test_an_error_after_content_is_passed_on_and_ends_it() -> None:
    it = relay()
    sent = it.feed(START + OPEN + WORDS) + it.feed(OVERLOADED) + it.feed(WORDS) + it.end({"cost": "1"})
    assert sent == START + OPEN + WORDS + OVERLOADED
    assert it.failed is not None
    assert it.failed.upstream_status == 529


def test_a_failure_of_ours_is_told_in_whole_events() -> None:
    it = relay()
    sent = it.feed(START + OPEN + WORDS + WORDS[:20]) + it.fail(BadAnswer("cut")) + it.feed(WORDS) + it.end()
    assert sent == START + OPEN + WORDS + event_of_ours("api_error", "cut")
    assert it.fail(BadAnswer("again")) == b""


def event_of_ours(kind: str, message: str) -> bytes:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return b"event: error\ndata: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


@pytest.mark.parametrize("upto", [0, len(START), len(START + PING + OPEN + WORDS) - 5, len(STREAM) - len(LAST)])
def test_a_stream_that_is_cut_is_a_bad_answer(upto: int) -> None:
    with pytest.raises(BadAnswer):
        passed(relay(), STREAM[:upto])


def test_the_last_blank_line_may_be_missing() -> None:
    it = relay()
    assert it.feed(STREAM[:-2]) + it.end() == STREAM


@pytest.mark.parametrize(
    "body",
    [
        b"<html>\n\n<body>502 Bad Gateway</body></html>",
        b"<html><body>502</body></html>",
        b'{"type":"message"}',
        b"event: ping\ndata: <html>\n\n",
        b"\xff\xfe\n\n\xff",
        START + b"data: {not json}\n\n",
        OPEN,
        LAST[:-1],
    ],
)
def test_what_is_no_message_stream_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        passed(relay(), body)


def test_comments_pass_and_a_repeated_start_does_not() -> None:
    it = relay()
    assert it.feed(b": hello\n\n" + START + START + OPEN) == b": hello\n\n" + START + OPEN


def test_nothing_follows_the_last_event() -> None:
    it = relay()
    assert it.feed(STREAM + b"data: [DONE]\n\n") + it.feed(PING) + it.end() == STREAM


def test_an_event_without_end_is_refused_before_it_fills_the_memory() -> None:
    it = AnthropicRelay(max_event_bytes=10_000)
    with pytest.raises(BadAnswer, match="10000 bytes"):
        passed(it, *itertools.repeat(b"data: " + b"x" * 200, 100))
