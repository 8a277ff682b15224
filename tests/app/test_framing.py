"""Where a request ends and the next begins, on real sockets: what is smuggled, withheld, or never ends."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from samovar.app.answering import Exchange
from samovar.app.connection import MAX_HEAD_BYTES
from samovar.kernel.errors import BodyTooLarge
from samovar.ports.asgi import Receive, Scope, Send, body_at_hand, read_body, send_whole
from tests.app.conftest import Served, listening, read_answer

HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /it HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _clerk(scope: Scope, receive: Receive, send: Send) -> None:
    """Says which headers it saw and what the body was; some paths answer before they look at the body, or in pieces."""
    path = scope["path"]
    if path == "/early":
        return await send_whole(send, 401, [], b"who are you?")
    if path == "/pieces":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one,", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        return await send({"type": "http.response.body", "body": b""})
    if path == "/slow":
        await asyncio.sleep(0.3)
    body = await read_body(receive, declared=None, max_bytes=1_000_000, timeout_s=5)
    names = b",".join(sorted(name for name, _ in scope["headers"]))
    return await send_whole(send, 200, [], b"%b %b [%b] %d %b" % (path.encode(), names, body[:20], len(body), b"."))


@asynccontextmanager
async def _served(*, header_timeout_s: float = 10.0) -> AsyncIterator[Served]:
    async with listening(_clerk, header_timeout_s=header_timeout_s) as port:
        yield Served(port, None)


@pytest.mark.parametrize("pause_s", [0.0, 0.05], ids=["at once", "later"])
async def test_a_trailer_is_no_header(pause_s: float) -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        writer.write(CHUNKED + b"2\r\nab\r\n0\r\n")
        await asyncio.sleep(pause_s)
        writer.write(b"X-Admin-Token: secret\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        assert (await read_answer(reader)).body == b"/it host,transfer-encoding [ab] 2 ."
        writer.write(HELLO)
        assert (await read_answer(reader)).body.startswith(b"/hello host ")
        writer.close()


@pytest.mark.parametrize("path", ["/it", "/early"])
@pytest.mark.parametrize("begun", [b"2\r\nab\r\n0\r\n", b"2;a="], ids=["trailers", "a chunk's extension"])
async def test_what_frames_a_body_is_bounded_like_headers(path: str, begun: bytes) -> None:
    async with _served() as served:
        _, writer = await served.connect()
        writer.write(CHUNKED.replace(b"/it", path.encode()) + begun)
        line = b"x" * 997 + (b"" if begun.endswith(b"=") else b":\r\n")
        sent = 0
        try:
            while sent < 100 * MAX_HEAD_BYTES:
                writer.write(line * 16)
                sent += len(line) * 16
                await writer.drain()
        except ConnectionError:
            pass
        assert sent < 100 * MAX_HEAD_BYTES
        writer.close()


async def test_headers_that_begin_behind_a_large_body_are_none_too_large() -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        size = 200_000
        first = b"POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
        writer.write(first + b"GET /two HTTP/1.1\r\nHo")
        assert b" 200000 " in (await read_answer(reader)).body
        writer.write(b"st: x\r\n\r\n")
        assert (await read_answer(reader)).body.startswith(b"/two host ")
        writer.close()


@pytest.mark.parametrize("rest", [b"zzz\r\n", b""], ids=["broken", "missing"])
async def test_a_body_that_fails_behind_its_answer_is_not_answered_again(rest: bytes) -> None:
    async with _served(header_timeout_s=0.2) as served:
        reader, writer = await served.connect()
        writer.write(CHUNKED.replace(b"/it", b"/early"))
        assert (await read_answer(reader)).status == 401
        writer.write(rest)
        assert await reader.read() == b""
        writer.close()


async def test_a_body_that_was_not_called_for_ends_the_connection() -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 34\r\n\r\n")
        answer = await read_answer(reader)
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 4\r\n\r\nbody", b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"],
    ids=["of a length", "in chunks"],
)
@pytest.mark.parametrize("pause_s", [0.0, 0.05], ids=["at once", "later"])
@pytest.mark.parametrize("before", [b"", b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["alone", "behind another"])
async def test_a_wish_to_upgrade_loses_no_body(body: bytes, pause_s: float, before: bytes) -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        head, _, rest = body.partition(b"\r\n\r\n")
        # As Java's client asks over plain HTTP.
        upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAA\r\n"
        writer.write(before + b"POST /it HTTP/1.1\r\nHost: x\r\n" + upgrade + head + b"\r\n\r\n")
        await asyncio.sleep(pause_s)
        writer.write(rest + HELLO)
        if before:
            assert (await read_answer(reader)).body.startswith(b"/slow")
        answer = await read_answer(reader)
        assert answer.headers["connection"] == "close"
        assert b"[body] 4" in answer.body
        assert await reader.read() == b""
        writer.close()


async def test_an_old_client_gets_no_chunks() -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        writer.write(b"GET /pieces HTTP/1.0\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head
        assert head.count(b"connection: close") == 1
        assert body == b"one,two"
        writer.close()


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9"])
async def test_other_versions_are_refused(version: bytes) -> None:
    async with _served() as served:
        assert (await served.say(b"GET /hello " + version + b"\r\nHost: x\r\n\r\n")).status == 400


async def test_an_address_without_a_path_is_that_of_the_root() -> None:
    async with _served() as served:
        assert (await served.say(b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n")).body.startswith(b"/ ")


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        b"Content-Length: +2\r\n\r\nab",
        b"Content-Length: 18446744073709551618\r\n\r\nab",
        b"Content-Length : 2\r\n\r\nab",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"X: a\r\n b\r\n\r\n",
        b"X: a\nY: b\r\n\r\n",
        b"X: a\rY: b\r\n\r\n",
        b"X: a\r\n\rX",
        b"Transfer-Encoding: chunked\r\n\r\n2;a\nab\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n+2\r\nab\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2 \r\nab\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nab\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nabX\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    ],
)
async def test_what_two_readers_may_read_in_two_ways_is_refused(framing: bytes) -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        writer.write(b"POST /it HTTP/1.1\r\nHost: x\r\n" + framing + HELLO)
        answers = await reader.read()
        assert answers.startswith(b"HTTP/1.1 400 ")
        assert answers.count(b"HTTP/1.1 ") == 1
        writer.close()


@pytest.mark.parametrize(
    "hosts",
    [
        b"",
        b"Host: x\r\nHost: x\r\n",
        b"Host: x\r\nX: y\r\nhost: other\r\n",
        b"Host: x, y\r\n",
        b"Host: x y\r\n",
        b"Host: u@x\r\n",
        b"Host: x/y\r\n",
        b"Host: x:8080:80\r\n",
    ],
    ids=["none", "the same twice", "two", "a list", "a space", "a user", "a path", "two ports"],
)
@pytest.mark.parametrize("before", [b"", HELLO], ids=["first", "behind another"])
async def test_a_request_names_one_host(hosts: bytes, before: bytes) -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        if before:
            writer.write(before)
            assert (await read_answer(reader)).status == 200
        writer.write(b"GET /it HTTP/1.1\r\n" + hosts + b"\r\n" + HELLO)
        answer = await read_answer(reader)
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert b"Host" in answer.body
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "host", [b"", b"x", b"x:", b"x.y:8080", b"[::1]:80", b"[fe80::1%25en0]", b"xn--80ak6aa92e.com"]
)
async def test_what_may_be_a_host_is_one(host: bytes) -> None:
    async with _served() as served:
        assert (await served.say(b"GET /it HTTP/1.1\r\nHost:" + host + b" \r\n\r\n")).status == 200


@pytest.mark.parametrize("codings", [b"gzip, chunked", b"GZIP ,Chunked", b"x,y,chunked"])
async def test_a_transfer_coding_that_is_not_known_is_not_taken_for_the_body(codings: bytes) -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        head = b"POST /it HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + codings
        writer.write(head + b"\r\n\r\n2\r\nab\r\n0\r\n\r\n" + HELLO)
        answer = await read_answer(reader)
        assert (answer.status, answer.json["code"]) == (501, "transfer_coding_unknown")
        assert await reader.read() == b""
        writer.close()


async def test_chunked_is_known_however_it_is_written() -> None:
    async with _served() as served:
        answer = await served.say(CHUNKED.replace(b"chunked", b"Chunked") + b"2\r\nab\r\n0\r\n\r\n")
        assert b"[ab] 2" in answer.body


async def test_a_body_behind_its_answer_is_passed_over_and_the_connection_goes_on() -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"x" * 100_000)
        assert (await read_answer(reader)).status == 401
        writer.write(b"x" * 200_000 + HELLO)
        assert (await read_answer(reader)).body.startswith(b"/hello ")
        writer.close()


async def test_requests_that_wait_behind_one_another_are_bounded() -> None:
    async with _served() as served:
        reader, writer = await served.connect()
        asked = 60_000
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO * asked)
        for _ in range(100):
            await read_answer(reader)
        waiting = sum(isinstance(one, Exchange) for one in gc.get_objects())
        # Those of one read are there, the client's others are not.
        assert 0 < waiting < asked / 2
        writer.transport.abort()


async def test_a_body_is_at_hand_once_and_only_whole() -> None:
    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        said = []
        for _ in range(2):
            body = body_at_hand(receive, declared=None, max_bytes=4)
            said.append(b"none" if body is None else b"[%b]" % body)
        if said[0] == b"none":
            said.append(await read_body(receive, declared=None, max_bytes=4, timeout_s=5))
        await send_whole(send, 200, [], b" ".join(said))

    async with listening(reads) as port:
        reader, writer = await Served(port, None).connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab" + HELLO)
        assert (await read_answer(reader)).body == b"[ab] none"
        assert (await read_answer(reader)).body == b"[] none"
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        await asyncio.sleep(0.05)
        writer.write(b"b")
        assert (await read_answer(reader)).body == b"none none ab"
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await read_answer(reader)).body == b"none none ab"
        writer.close()


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5\r\n\r\nabcde", b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"]
)
async def test_a_body_at_hand_is_bounded(framing: bytes) -> None:
    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body_at_hand(receive, declared=None, max_bytes=4)
        except BodyTooLarge as error:
            await send_whole(send, error.http_status, [], b"")

    async with listening(reads) as port:
        reader, writer = await Served(port, None).connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing)
        assert (await read_answer(reader)).status == 413
        writer.close()
