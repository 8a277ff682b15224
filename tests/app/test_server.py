"""Clients that are slow, broken or gone, on real sockets."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from samovar.ports.asgi import Receive, Scope, Send, read_body, send_whole
from tests.app.conftest import ADMIN, Answer, Serve, Served, listening, read_answer

HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


class Desk:
    """An app that says what it was asked, slowly where the path says so."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.began = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.began.set()
        try:
            if path == "/slow":
                await asyncio.sleep(0.5)
            if path == "/forever":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"begun", "more_body": True})
                await asyncio.sleep(60)
            if path == "/broken":
                raise ValueError("boom")
            if path == "/split":
                await send_whole(send, 200, [(b"x-said", b"one\r\nx-more: two")], b"")
            body = (
                await read_body(receive, declared=None, max_bytes=1000, timeout_s=5)
                if scope["method"] == "POST"
                else b""
            )
        except asyncio.CancelledError:
            self.cancelled.append(path)
            return
        await send_whole(send, 200, [], path.encode() + body)


@asynccontextmanager
async def _desk(*, header_timeout_s: float = 10.0, keep_alive_s: int = 75) -> AsyncIterator[tuple[Desk, Served]]:
    desk = Desk()
    async with listening(desk, header_timeout_s=header_timeout_s, keep_alive_s=keep_alive_s) as port:
        yield desk, Served(port, None)


def _is_refusal(answer: Answer, status: int) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    return bool(answer.status == status == answer.json["status"])


async def _until(condition: Callable[[], bool], timeout_s: float = 5) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110  # any condition
        await asyncio.sleep(0.01)
    assert condition()


@pytest.mark.parametrize("raw", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\nX-A"])
async def test_headers_that_do_not_come_are_waited_for_so_long(raw: bytes) -> None:
    async with _desk(header_timeout_s=0.3) as (_, served):
        started = time.monotonic()
        assert _is_refusal(await served.say(raw), 408)
        assert time.monotonic() - started < 0.3 + 2.5


async def test_a_body_that_never_begins_is_waited_for_so_long() -> None:
    async with _desk(header_timeout_s=0.3) as (desk, served):
        answer = await served.say(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        assert _is_refusal(answer, 408)
        await _until(lambda: desk.cancelled == ["/x"])


async def test_headers_of_a_second_request_are_waited_for_as_well() -> None:
    async with _desk(header_timeout_s=0.3) as (_, served):
        reader, writer = await served.connect()
        writer.write(HELLO)
        assert (await read_answer(reader)).body == b"/hello"
        await asyncio.sleep(1.5)  # idle between requests is no fault
        writer.write(b"GET / HT")
        assert _is_refusal(await read_answer(reader), 408)
        writer.close()


@pytest.mark.parametrize("said", [b"", b"\r\n"], ids=["silent", "an empty line"])
async def test_a_connection_without_requests_is_closed_in_time(said: bytes) -> None:
    async with _desk(keep_alive_s=1) as (_, served):
        reader, writer = await served.connect()
        writer.write(HELLO)
        await read_answer(reader)
        started = time.monotonic()
        writer.write(said)
        assert await reader.read() == b""
        assert 0.9 < time.monotonic() - started < 4
        writer.close()


async def test_half_a_request_does_not_cut_the_answer_before_it() -> None:
    async with _desk(header_timeout_s=0.2) as (_, served):
        reader, writer = await served.connect()
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /half HTT")
        await asyncio.sleep(1.6)
        answer = await read_answer(reader)
        assert (answer.status, answer.body) == (200, b"/slow")
        rest = await reader.read()
        assert rest == b"" or b" 408 " in rest.split(b"\r\n")[0]
        writer.close()


async def test_a_slow_client_of_the_whole_app_is_refused_in_its_time(serve: Serve) -> None:
    served = await serve(body_timeout_s=1.0)
    for path in ("/api/keys", "/v1/chat/completions"):
        reader, writer = await served.connect()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Admin-Token: {ADMIN['X-Admin-Token']}\r\n"
        head += f"Authorization: Bearer {ADMIN['X-Admin-Token']}\r\nContent-Length: 1000\r\n\r\n"
        started = time.monotonic()
        writer.write(head.encode())

        async def drip(writer: asyncio.StreamWriter) -> None:
            while True:
                writer.write(b" ")
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip(writer))
        answer = await read_answer(reader)
        dripping.cancel()
        writer.close()
        assert answer.status == 408, answer
        assert 0.9 < time.monotonic() - started < 3


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 60,
        b"NOT HTTP\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_told_so(raw: bytes) -> None:
    async with _desk() as (_, served):
        assert _is_refusal(await served.say(raw), 400)


async def test_headers_without_end_are_refused() -> None:
    async with _desk() as (_, served):
        raw = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(100))
        assert _is_refusal(await served.say(raw), 431)


async def test_a_request_line_without_end_is_refused() -> None:
    async with _desk() as (_, served):
        assert _is_refusal(await served.say(b"GET /" + b"x" * 100_000), 431)


async def test_garbage_after_a_request_does_not_cut_its_answer() -> None:
    async with _desk() as (_, served):
        reader, writer = await served.connect()
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n\x00\x01\x02garbage\r\n\r\n")
        answer = await read_answer(reader)
        assert (answer.status, answer.body) == (200, b"/slow")
        assert await reader.read() == b""
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with _desk() as (_, served):
        reader, writer = await served.connect()
        writer.write(
            b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
            b"POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
            b"GET /three HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        assert [(await read_answer(reader)).body for _ in range(3)] == [b"/slow", b"/twoabc", b"/three"]
        writer.close()


async def test_a_body_in_many_pieces_is_taken_whole() -> None:
    async with _desk() as (_, served):
        reader, writer = await served.connect()
        writer.write(b"POST /it HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\nab\r\n" * 100)
        await asyncio.sleep(0.05)
        writer.write(b"1\r\nc\r\n" * 3 + b"0\r\nX-Trailer: y\r\n\r\n")
        assert (await read_answer(reader)).body == b"/it" + b"ab" * 100 + b"ccc"
        writer.close()


async def test_a_body_is_called_for_where_the_client_waits_for_it() -> None:
    async with _desk() as (_, served):
        reader, writer = await served.connect()
        writer.write(b"POST /it HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ab")
        assert (await read_answer(reader)).body == b"/itab"
        writer.close()


@pytest.mark.parametrize("path", ["/hello", "/forever"])
async def test_head_gets_no_body(path: str) -> None:
    async with _desk() as (_, served):
        reader, writer = await served.connect()
        writer.write(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await read_answer(reader, has_body=False)).status == 200
        if path == "/hello":
            writer.write(HELLO)
            assert (await read_answer(reader)).body == b"/hello"
        writer.close()


async def test_a_header_with_a_line_break_ends_the_connection(logged: io.StringIO) -> None:
    async with _desk() as (_, served):
        reader, writer = await served.connect()
        writer.write(b"GET /split HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
    assert "a header holds a line break" in logged.getvalue()


@pytest.mark.parametrize(
    ("target", "path"), [("/hello?a=%20b", "/hello"), ("/he%6Clo", "/hello"), ("http://x/hello", "/hello")]
)
async def test_a_path_is_taken_out_of_its_target(target: str, path: str) -> None:
    async with _desk() as (_, served):
        answer = await served.say(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (answer.status, answer.body) == (200, path.encode())


async def test_an_old_client_gets_one_answer_a_connection() -> None:
    async with _desk() as (_, served):
        reader, writer = await served.connect()
        writer.write(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await read_answer(reader)
        assert (answer.body, answer.headers["connection"]) == (b"/hello", "close")
        assert await reader.read() == b""
        writer.close()


async def test_a_wish_to_upgrade_is_passed_over() -> None:
    async with _desk() as (_, served):
        reader, writer = await served.connect()
        writer.write(
            b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAA\r\n\r\n"
        )
        answer = await read_answer(reader)
        assert (answer.status, answer.body) == (200, b"/hello")
        assert answer.headers["connection"] == "close"
        writer.close()


@pytest.mark.parametrize("raw", [b"GET /forever HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_client_that_leaves_ends_its_request(raw: bytes) -> None:
    async with _desk() as (desk, served):
        _, writer = await served.connect()
        writer.write(raw)
        await desk.began.wait()
        writer.transport.abort()
        await _until(lambda: len(desk.cancelled) == 1)


async def test_a_client_that_leaves_with_more_requests_waiting_ends_them_all(logged: io.StringIO) -> None:
    async with _desk() as (desk, served):
        _, writer = await served.connect()
        writer.write(b"GET /forever HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO + HELLO)
        await desk.began.wait()
        writer.transport.abort()
        await _until(lambda: desk.cancelled == ["/forever"])
        await asyncio.sleep(0.1)
    assert logged.getvalue() == ""


async def test_an_exception_that_nobody_caught_is_in_the_log(logged: io.StringIO) -> None:
    async with _desk() as (_, served):
        answer = await served.say(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 500
    [line] = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert line["level"] == "error"
    assert line["exception"].endswith("ValueError: boom")


async def test_many_short_connections_leave_one_sweep_behind() -> None:
    async with _desk(header_timeout_s=0.2) as (_, served):
        for _ in range(30):
            assert (await served.say(HELLO)).status == 200
        assert _is_refusal(await served.say(b"GET"), 408)
