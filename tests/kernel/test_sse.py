"""Event streams, cut anywhere."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.sse import RawEvents, SseEvent, SseOverflow, SseParser, event_data, event_name, sse_bytes

LINE_ENDS = ["\n", "\r\n", "\r"]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["message", "delta", "ping"]),
        st.lists(
            st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=20),
            min_size=1,
            max_size=3,
        ),
    ),
    max_size=6,
)


def parsed(blocks: list[bytes]) -> list[SseEvent]:
    parser = SseParser()
    events = [event for block in blocks for event in parser.feed(block)]
    return events + parser.end()


@given(EVENTS, st.sampled_from(LINE_ENDS), st.lists(st.integers(0, 400), max_size=20))
def test_the_same_events_come_out_however_the_bytes_are_cut(
    events: list[tuple[str, list[str]]], line_end: str, cuts: list[int]
) -> None:
    text = ""
    for name, lines in events:
        text += f": a comment{line_end}id: 7{line_end}retry: 10{line_end}"
        text += f"event: {name}{line_end}" + "".join(f"data: {line}{line_end}" for line in lines) + line_end
    raw = text.encode()
    edges = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    blocks = [raw[start:end] for start, end in itertools.pairwise(edges)]
    assert parsed(blocks) == [SseEvent(name, "\n".join(lines).encode()) for name, lines in events]


def test_every_single_cut_gives_the_same_events() -> None:
    raw = b"event: a\r\ndata: 1\r\n\r\ndata: 2\r\ndata: 3\r\n\r\n: comment\r\n\r\ndata:4\n\n"
    whole = parsed([raw])
    assert [event.data for event in whole] == [b"1", b"2\n3", b"4"]
    for cut in range(len(raw) + 1):
        assert parsed([raw[:cut], raw[cut:]]) == whole
    assert parsed([raw[i : i + 1] for i in range(len(raw))]) == whole


def test_a_last_event_without_its_blank_line_is_taken() -> None:
    assert parsed([b"data: [DONE]"]) == [SseEvent("message", b"[DONE]")]


def test_an_event_may_not_outgrow_its_bound() -> None:
    in_one_line = SseParser(max_event_bytes=100)
    assert in_one_line.feed(b"x" * 100) == []
    with pytest.raises(SseOverflow):
        in_one_line.feed(b"x")
    in_many_lines = SseParser(max_event_bytes=100)
    assert in_many_lines.feed((b"data: " + b"x" * 10 + b"\n") * 10) == []
    with pytest.raises(SseOverflow):
        in_many_lines.feed(b"data: " + b"x" * 10 + b"\n")


def test_a_stream_may_be_longer_than_the_bound_of_one_event() -> None:
    parser = SseParser(max_event_bytes=100)
    events = [event for _ in range(50) for event in parser.feed(sse_bytes(b"x" * 50))]
    assert len(events) == 50


def test_what_is_written_is_read_back() -> None:
    assert parsed([sse_bytes(b"{}", "ping"), sse_bytes(b"[DONE]")]) == [
        SseEvent("ping", b"{}"),
        SseEvent("message", b"[DONE]"),
    ]


def raw_events(blocks: list[bytes]) -> list[bytes]:
    cutter = RawEvents()
    events = [event for block in blocks for event in cutter.feed(block)]
    last = cutter.last()
    return [*events, last] if last else events


@given(
    st.lists(st.sampled_from([b"data: 1", b"event: a\ndata: 2", b": comment", b"data:"]), min_size=1, max_size=6),
    st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=6, max_size=6),
    st.lists(st.integers(0, 200), max_size=20),
)
def test_raw_events_are_the_very_bytes_however_they_are_cut(
    bodies: list[bytes], line_ends: list[bytes], cuts: list[int]
) -> None:
    # Each event keeps to one kind of line end; a CR before an LF of the next would be one end, not two.
    whole = [body.replace(b"\n", end) + end + end for body, end in zip(bodies, line_ends[: len(bodies)], strict=True)]
    raw = b"".join(whole)
    edges = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    assert raw_events([raw[start:end] for start, end in itertools.pairwise(edges)]) == whole


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_an_event_goes_out_with_the_last_byte_of_its_blank_line_and_not_before(end: bytes) -> None:
    cutter = RawEvents()
    event = b"data: 1" + end
    for at in range(len(event) - 1):
        assert cutter.feed(event[at : at + 1]) == []
    assert cutter.feed(event[-1:]) == [event]
    assert cutter.rest == []


def test_a_lone_cr_that_ends_an_event_waits_for_one_more_byte() -> None:
    cutter = RawEvents()
    assert cutter.feed(b"data: 1\r\r") == []
    assert cutter.feed(b"data: 2") == [b"data: 1\r\r"]


def test_an_event_cut_short_by_the_end_is_closed_and_a_whole_one_left_as_it_is() -> None:
    for rest, closed in ((b"data: 1", b"data: 1\n\n"), (b"data: 1\r\r", b"data: 1\r\r"), (b"\r\n", b""), (b"", b"")):
        cutter = RawEvents()
        cutter.feed(rest)
        assert cutter.last() == closed
        assert cutter.last() == b""


def test_a_raw_event_without_end_is_refused() -> None:
    cutter = RawEvents(max_event_bytes=10)
    cutter.feed(b"data: 1234")
    with pytest.raises(SseOverflow, match="more than 10 bytes"):
        cutter.feed(b"5")
    with pytest.raises(SseOverflow, match="more than 10 bytes"):
        cutter.feed(b"5\n")


def test_name_and_data_of_a_raw_event() -> None:
    event = b"\xef\xbb\xbfevent: a\r\ndata: 1\r\n: comment\r\ndata:2\r\n\r\n"
    assert (event_name(event), event_data(event)) == ("a", b"1\n2")
    assert (event_name(b": comment\n\n"), event_data(b": comment\n\n")) == ("", None)
    assert event_data(b"data: alone\r\r") == b"alone"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_pretty_json_stays_on_the_one_line_of_its_event(line_end: bytes) -> None:
    pretty = b"{" + line_end + b'  "a": "x\\n"' + line_end + b"}"
    (event,) = parsed([sse_bytes(pretty, "told")])
    assert event.event == "told"
    assert json.loads(event.data) == {"a": "x\n"}
    assert sse_bytes(pretty).count(b"\n") == 2


def test_a_byte_order_mark_before_the_first_event_is_no_part_of_it() -> None:
    stream = b"\xef\xbb\xbfdata: first\n\ndata: second\n\n"
    expected = [SseEvent("message", b"first"), SseEvent("message", b"second")]
    assert parsed([stream]) == expected
    assert parsed([stream[at : at + 1] for at in range(len(stream))]) == expected
