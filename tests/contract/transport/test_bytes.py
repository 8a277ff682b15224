"""Our own parser's end of a connection: the bytes of an answer cut anywhere mean the same. Without a socket, since a socket
would join what a test cuts."""

import asyncio
import itertools
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.adapters.http1.connection import READ_AHEAD_BYTES, Connection
from tests.contract.transport.scenes import EVENTS, OK, chunk

CHUNKED = EVENTS + b"5;ext=1\r\nhello\r\n" + chunk(b" world") + b"0\r\nx-late: 1\r\n\r\n"
ANSWERS = [
    OK,
    CHUNKED,
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
    b"HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\ncontent-length: 50\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the close",
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\nPRI",
    b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    EVENTS + b"zz\r\nhello\r\n",
    OK + OK,
    OK + b"garbage",
    CHUNKED + OK,
    b"HTTP/1.1 200 OK\r\nx: 1\r\n" + b"y: 2\r\n" * 300 + b"content-length: 0\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"",
]


class Wire:
    """The transport that an event loop would hand to the connection: it only notes what is asked of it."""

    def __init__(self) -> None:
        self.aborted = False
        self.reading = True
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0


LOOP = asyncio.new_event_loop()


def connected() -> tuple[Connection, Wire]:
    # Nobody waits here, so that the loop is never asked.
    connection, wire = Connection(LOOP, lambda _: None), Wire()
    connection.connection_made(cast(asyncio.Transport, wire))
    connection.send(b"GET / HTTP/1.1\r\n\r\n")
    return connection, wire


def outcome(pieces: list[bytes], *, end: bool) -> tuple[object, ...]:
    connection, wire = connected()
    body = b""
    for piece in pieces:
        if wire.aborted:
            break  # an event loop delivers nothing after an abort
        connection.data_received(piece)
        body += connection.take()
    serves = connection.may_serve_again
    if end:
        connection.connection_lost(None)
    failure = None if connection.failure is None else connection.failure.detail
    headers = connection.headers if connection.has_headers else []
    return connection.status, headers, body, connection.complete, failure, serves


def in_pieces(answer: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({0, len(answer), *(cut % (len(answer) + 1) for cut in cuts)})
    return [answer[a:b] for a, b in itertools.pairwise(marks)]


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 5_000), max_size=12), st.booleans())
def test_an_answer_cut_anywhere_means_the_same(answer: bytes, cuts: list[int], end: bool) -> None:
    assert outcome(in_pieces(answer, cuts), end=end) == outcome([answer], end=end)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_in_single_bytes_means_the_same(answer: bytes) -> None:
    pieces = [answer[n : n + 1] for n in range(len(answer))]
    assert outcome(pieces, end=True) == outcome([answer], end=True)


@given(st.lists(st.binary(max_size=200), max_size=8), st.lists(st.integers(0, 5_000), max_size=12))
def test_any_chunks_come_out_as_they_went_in(chunks: list[bytes], cuts: list[int]) -> None:
    body = [one for one in chunks if one]
    raw = EVENTS + b"".join(chunk(one) for one in body) + b"0\r\n\r\n"
    status, _, got, complete, failure, serves = outcome(in_pieces(raw, cuts), end=False)
    assert (status, got, complete, failure, serves) == (200, b"".join(body), True, None, True)


@given(st.binary(max_size=300), st.lists(st.integers(0, 500), max_size=6))
def test_whatever_comes_nothing_escapes(noise: bytes, cuts: list[int]) -> None:
    outcome(in_pieces(noise, cuts), end=True)
    outcome(in_pieces(b"HTTP/1.1 200 OK\r\n" + noise, cuts), end=True)
    outcome(in_pieces(EVENTS + noise, cuts), end=True)


def test_what_nobody_takes_stops_the_reading_and_taking_goes_on() -> None:
    connection, wire = connected()
    connection.data_received(EVENTS)
    connection.data_received(chunk(b"x" * (READ_AHEAD_BYTES + 1)))
    assert not wire.reading
    assert not connection.may_serve_again
    assert len(connection.take()) == READ_AHEAD_BYTES + 1
    assert wire.reading


def test_an_answer_that_ends_with_a_lot_unread_leaves_a_connection_that_listens() -> None:
    connection, wire = connected()
    size = READ_AHEAD_BYTES + 1
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
    assert connection.complete
    assert wire.reading or not connection.may_serve_again
