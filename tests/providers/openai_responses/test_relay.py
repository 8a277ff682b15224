"""Streams that pass through."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.ports.dialect import BadAnswer, UpstreamError
from samovar.ports.llm import StopKind
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.openai_responses.relay import ResponsesRelay
from tests.providers.openai_responses.conftest import OPENAI
from tests.providers.openai_responses.samples import (
    ADDED,
    CLOSED,
    COMPLETED,
    CREATED,
    DELTAS,
    ERROR,
    FAILED,
    OPENED,
    STREAM,
    TEXT,
    event,
)
from tests.providers.openai_responses.streaming import events_of
from tests.support.streams import cut


def relay() -> ResponsesRelay:
    return OpenAIResponses().relay(vendor=OPENAI, wants_usage=True)


def begun() -> ResponsesRelay:
    passing = relay()
    for block in (CREATED, ADDED, OPENED, *DELTAS):
        assert passing.feed(block) == block
    return passing


def test_content_begins_with_the_first_delta() -> None:
    passing = relay()
    for block in (CREATED, ADDED, OPENED):
        passing.feed(block)
        assert not passing.started
    passing.feed(DELTAS[0])
    assert passing.started


@pytest.mark.parametrize("kind", ["function_call", "web_search_call", "custom_tool_call"])
def test_a_tool_at_work_is_content(kind: str) -> None:
    passing = relay()
    passing.feed(CREATED + event("response.output_item.added", 1, output_index=0, item={"type": kind}))
    assert passing.started


def test_the_last_event_waits_for_the_end_and_carries_what_we_add() -> None:
    passing = begun()
    assert passing.feed(CLOSED + COMPLETED) == CLOSED
    last = passing.end({"cost_credits": "0.1"})
    fields = json.loads(last.partition(b"data: ")[2])
    assert last.startswith(b"event: response.completed\n")
    assert fields["samovar"] == {"cost_credits": "0.1"}
    assert fields["response"]["usage"]["total_tokens"] == 7
    assert passing.usage is not None
    assert (passing.usage.output_tokens, passing.output_chars) == (4, len(TEXT))
    assert passing.stop is not None
    assert passing.stop.kind is StopKind.END


@given(places=st.lists(st.integers(0, len(STREAM)), max_size=30), crlf=st.booleans())
@settings(deadline=None)
def test_cuts_anywhere_change_nothing(places: list[int], crlf: bool) -> None:
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    passing = relay()
    passed = b"".join(map(passing.feed, cut(stream, places))) + passing.end()
    assert passed.replace(b"\r\n", b"\n") == STREAM
    assert passing.output_chars == len(TEXT)
    assert passing.usage is not None


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_single_byte_may_come_alone(line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    passing = relay()
    passed = b"".join(passing.feed(stream[at : at + 1]) for at in range(len(stream))) + passing.end()
    assert passed.rstrip() == stream.rstrip()
    assert passed.endswith((line_end * 2, b"\n\n"))
    assert passing.output_chars == len(TEXT)


def test_a_missing_last_blank_line_and_a_done_of_chat_are_forgiven() -> None:
    passing = relay()
    passed = passing.feed(STREAM.rstrip(b"\n"))
    assert passed + passing.end() == STREAM
    passing = relay()
    assert passing.feed(STREAM + b"data: [DONE]\n\n") + passing.end() == STREAM


def test_comments_and_unknown_events_pass() -> None:
    passing = begun()
    # The vendor's own tools tell of themselves under names without end; another vendor's event is nobody's.
    unknown = b": hello\n\n" + event("response.dreaming", 9, output_index=0) + event("dreaming", 10)
    assert passing.feed(unknown) == unknown
    assert passing.unknown_events == 1


@pytest.mark.parametrize("sent", [CREATED, CREATED + ADDED + DELTAS[0], CREATED + COMPLETED[:-40]])
def test_a_cut_stream_is_a_bad_answer(sent: bytes) -> None:
    passing = relay()
    with pytest.raises(BadAnswer):
        passing.feed(sent) + passing.end()


@pytest.mark.parametrize("sent", [b"<html>\n\n</html>", b"", b'{"a":1}', DELTAS[0], b"event: x\ndata: {\n\n"])
def test_what_is_no_response_stream_is_a_bad_answer(sent: bytes) -> None:
    passing = relay()
    with pytest.raises(BadAnswer):
        passing.feed(sent) + passing.end()


def test_a_body_in_place_of_a_stream_says_its_error() -> None:
    passing = relay()
    with pytest.raises(UpstreamError, match="no money"):
        passing.feed(b'{"error":{"message":"no money","code":"insufficient_quota"}}') + passing.end()


def test_a_second_response_inside_the_first_is_refused() -> None:
    with pytest.raises(BadAnswer, match="second response"):
        begun().feed(CREATED.replace(b"resp_1", b"resp_2"))


def test_an_event_without_end_is_refused() -> None:
    passing = ResponsesRelay(max_event_bytes=1000)
    with pytest.raises(BadAnswer, match="more than 1000 bytes"):
        b"".join(passing.feed(b"x" * 100) for _ in range(20))


def test_a_delta_that_is_no_json_is_refused_even_on_the_quick_path() -> None:
    with pytest.raises(BadAnswer):
        begun().feed(b"event: response.output_text.delta\ndata: {oops\n\n")


@pytest.mark.parametrize("sent", [ERROR, FAILED, ERROR + FAILED])
def test_an_error_before_content_lets_another_vendor_be_tried(sent: bytes) -> None:
    passing = relay()
    passing.feed(CREATED)
    with pytest.raises(UpstreamError, match="exceeded your quota") as raised:
        passing.feed(sent)
    assert raised.value.http_status == 429


@pytest.mark.parametrize("sent", [ERROR, FAILED, ERROR + FAILED])
def test_an_error_after_content_is_passed_on(sent: bytes) -> None:
    passing = begun()
    assert passing.feed(sent + DELTAS[0]) == sent
    assert passing.end({"cost_credits": "1"}) == b""
    assert passing.failed is not None
    assert passing.failed.upstream_code == "insufficient_quota"
    assert passing.fail(BadAnswer("too late")) == b""


def test_a_stream_that_we_end_says_why() -> None:
    passing = begun()
    passing.feed(CLOSED[:30])
    told = passing.fail(BadAnswer("The provider fell silent."))
    events = events_of(CREATED + ADDED + OPENED + b"".join(DELTAS) + told)
    assert [fields["type"] for fields in events[-2:]] == ["error", "response.failed"]
    assert events[-2]["error"] == {
        "message": "The provider fell silent.",
        "type": "server_error",
        "param": None,
        "code": "upstream_bad_answer",
    }
    assert passing.fail(BadAnswer("again")) == b""
    assert passing.feed(DELTAS[0]) == b""
