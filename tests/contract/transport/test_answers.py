"""The transport port: what answers mean, over both adapters. Each server here is a script of bytes."""

import asyncio

import pytest

from samovar.ports.transport import (
    AnswerTooLarge,
    ConnectFailed,
    ConnectionBroken,
    HttpRequest,
    Transport,
    TransportFailure,
)
from tests.contract.transport.scenes import (
    EVENTS,
    OK,
    QUICK,
    all_blocks,
    ask,
    chunk,
    http1_of,
    is_http1,
    post,
)
from tests.support.scripted import Peer, answering, answering_once, scripted

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
WHOLE = {
    "length": (LENGTH, 200, b"hello"),
    "nothing": (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, b""),
    "chunked": (EVENTS + chunk(b"he") + chunk(b"llo") + b"0\r\n\r\n", 200, b"hello"),
    "chunked, upper case": (
        b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n" + chunk(b"x" * 26) + b"0\r\n\r\n",
        200,
        b"x" * 26,
    ),
    "chunk extensions and trailers": (
        EVENTS + b'5;name=value;q="a b"\r\nhello\r\n0;last\r\nx-checksum: 1\r\n\r\n',
        200,
        b"hello",
    ),
    "until the close": (b"HTTP/1.1 200 OK\r\n\r\nhello", 200, b"hello"),
    "until the close, empty": (b"HTTP/1.1 200 OK\r\n\r\n", 200, b""),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nhello", 200, b"hello"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "not modified, with the length of what it does not send": (
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5000\r\n\r\n",
        304,
        b"",
    ),
    "continue first": (b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH, 200, b"hello"),
    "hints first": (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + LENGTH,
        200,
        b"hello",
    ),
    "an offer to upgrade": (
        b"HTTP/1.1 200 OK\r\nconnection: Upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello",
        200,
        b"hello",
    ),
    "HTML": (b"HTTP/1.1 502 Bad\r\ncontent-length: 13\r\n\r\n<html></html>", 502, b"<html></html>"),
    "no reason": (b"HTTP/1.1 429\r\ncontent-length: 1\r\n\r\nx", 429, b"x"),
    "a redirect": (
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 1\r\n\r\nx",
        302,
        b"x",
    ),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_a_whole_answer_is_read(transport: Transport, name: str) -> None:
    raw, status, body = WHOLE[name]
    async with scripted(answering_once(raw)) as server:
        assert await ask(transport, post(server.port)) == (status, body)
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_that_comes_byte_by_byte_is_the_same(transport: Transport, name: str) -> None:
    raw, status, body = WHOLE[name]
    async with scripted(answering_once(*(raw[n : n + 1] for n in range(len(raw))))) as server:
        assert await ask(transport, post(server.port)) == (status, body)


BROKEN = {
    "nothing": b"",
    "cut in the status line": b"HTTP/1.1 20",
    "cut in the headers": b"HTTP/1.1 200 OK\r\ncontent-le",
    "cut in the body": LENGTH[:-1],
    "cut in a chunk": EVENTS + b"5\r\nhe",
    "cut between chunks": EVENTS + chunk(b"hello"),
    "cut in the last chunk": EVENTS + chunk(b"hello") + b"0\r\n",
    "only a hint": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTML without HTTP": b"<html><body>sign in</body></html>",
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "HTTP/3": b"HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "a chunk size that is none": EVENTS + b"zz\r\nhello\r\n0\r\n\r\n",
    "a negative chunk size": EVENTS + b"-5\r\nhello\r\n0\r\n\r\n",
    "a huge chunk size": EVENTS + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "a protocol that nobody asked for": b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nxyz",
    "ten thousand headers": b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 10_000 + b"content-length: 0\r\n\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nx-a: " + b"b" * 1_000_000,
}
ONLY_OURS_REFUSES = {
    # hyper bounds them otherwise, or reads over them; llhttp is strict.
    "a length among the trailers": EVENTS + chunk(b"hello") + b"0\r\ncontent-length: 9\r\n\r\n",
    "a trailer without end": EVENTS + b"0\r\nx-a: " + b"b" * 1_000_000,
    "a chunk extension without end": EVENTS + b"5;" + b"b" * 1_000_000,
    "both a length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
    + chunk(b"hello")
    + b"0\r\n\r\n",
}


@pytest.mark.parametrize("name", [*BROKEN, *ONLY_OURS_REFUSES])
async def test_a_broken_answer_is_a_broken_connection(transport: Transport, name: str) -> None:
    if name in ONLY_OURS_REFUSES:
        http1_of(transport)
    async with scripted(answering_once({**BROKEN, **ONLY_OURS_REFUSES}[name])) as server:
        with pytest.raises(ConnectionBroken) as broken:
            await ask(transport, post(server.port))
        assert broken.value.sent
        assert "127.0.0.1" not in broken.value.detail
        assert len(server.requests) == 1, "never twice"


async def test_what_came_before_the_cut_is_handed_over_first(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS + chunk(b"one"))
        await asyncio.sleep(0.05)
        await peer.say(b"5\r\ntw")

    got: list[bytes] = []
    async with scripted(script) as server, transport.send(post(server.port, streamed=True), timeouts=QUICK) as answer:
        source = answer.blocks()
        with pytest.raises(ConnectionBroken):  # noqa: PT012
            while True:
                got.append(await anext(source))
    # hyper hands over only what it has checked to the chunk's end; both give what was whole.
    assert b"".join(got).startswith(b"one")


async def test_headers_are_found_whatever_their_case_and_trailers_are_not(transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Request-ID:  r1  \r\nx-two: a\r\nX-Two: b\r\ntransfer-encoding: chunked\r\n\r\n"
    async with scripted(answering(head + chunk(b"ok") + b"0\r\nx-late: 1\r\n\r\n")) as server:  # noqa: SIM117
        async with transport.send(post(server.port), timeouts=QUICK) as answer:
            assert await answer.read(max_bytes=10) == b"ok"
            assert answer.header("x-request-id") == "r1"
            assert answer.header("X-REQUEST-ID") == "r1"
            assert answer.header("x-two") == "a"
            assert answer.header("x-late") is None


async def test_ninety_headers_are_no_bomb(transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %b\r\n" % (n, b"v" * 200) for n in range(90))
    async with scripted(answering(head + b"content-length: 2\r\n\r\nok")) as server:  # noqa: SIM117
        async with transport.send(post(server.port), timeouts=QUICK) as answer:
            assert answer.header("x-89") == "v" * 200
            assert await answer.read(max_bytes=10) == b"ok"


@pytest.mark.parametrize("framing", ["length", "chunked", "until the close"])
async def test_a_whole_answer_is_bounded(transport: Transport, framing: str) -> None:
    raw, _, body = WHOLE[framing]
    script = answering_once(raw) if framing == "until the close" else answering(raw)
    async with scripted(script) as server:
        async with transport.send(post(server.port), timeouts=QUICK) as answer:
            assert await answer.read(max_bytes=len(body)) == body
        async with transport.send(post(server.port), timeouts=QUICK) as answer:
            with pytest.raises(AnswerTooLarge):
                await answer.read(max_bytes=len(body) - 1)


async def test_an_endless_answer_ends_at_its_bound(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS)
        while True:
            await peer.say(chunk(b"x" * 60_000))

    async with scripted(script) as server:
        with pytest.raises(AnswerTooLarge):
            await ask(transport, post(server.port))


async def test_each_chunk_is_handed_over_before_the_next_is_sent(transport: Transport) -> None:
    taken = asyncio.Queue[bytes](1)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS)
        for n in range(5):
            await peer.say(chunk(b"%d" % n))
            async with asyncio.timeout(1):
                assert await taken.get() == b"%d" % n
        await peer.say(b"0\r\n\r\n")

    async with scripted(script) as server, transport.send(post(server.port, streamed=True), timeouts=QUICK) as answer:
        async for block in answer.blocks():
            await taken.put(block)


async def test_a_slow_taker_stops_the_server(transport: Transport) -> None:
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.say(EVENTS)
        for _ in range(600):
            await peer.say(chunk(b"x" * 65_536))
            sent += 65_536
        await peer.say(b"0\r\n\r\n")

    async with scripted(script) as server, transport.send(post(server.port, streamed=True), timeouts=QUICK) as answer:
        await asyncio.sleep(0.7)
        held = sent
        await asyncio.sleep(0.2)
        assert held == sent, "the server goes on though nobody takes"
        # Sockets' buffers on both sides, and ours.
        assert sent < 20_000_000
        assert len(await all_blocks(answer)) == 600 * 65_536


async def test_the_request_asks_for_what_it_can_read(transport: Transport) -> None:
    async with scripted(answering(OK)) as server:
        body = bytes(range(256)) * 4000
        await ask(transport, post(server.port, path="/v1/a%20b?x=1&y=%2F", body=body))
        await ask(transport, HttpRequest("GET", f"http://127.0.0.1:{server.port}", ()))
        head, _, sent = server.requests[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /v1/a%20b?x=1&y=%2F HTTP/1.1"
        assert sent == body
        assert b"host: 127.0.0.1:%d" % server.port in lines
        assert b"content-length: %d" % len(body) in lines
        assert b"authorization: Bearer sk-x" in lines
        assert not any(line.startswith((b"accept-encoding: g", b"accept-encoding: b", b"cookie")) for line in lines)
        assert server.requests[1].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", "Bearer sk\r\nx-admin: 1"),
        ("authorization", "Bearer sk\nx: 1"),
        ("authorization", "Bearer sk\r"),
        ("authorization", "Bearer \x00"),
        ("authorization", "Bearer ключ €"),
        ("x\r\ny", "1"),
    ],
)
async def test_a_header_cannot_begin_another(transport: Transport, name: str, value: str) -> None:
    async with scripted(answering(OK)) as server:
        if not is_http1(transport) and "€" in value:
            # reqwest sends a header's text as UTF-8 bytes: legal, and no second header.
            assert await ask(transport, post(server.port, headers=((name, value),))) == (200, b"ok")
            return
        with pytest.raises(ConnectFailed) as refused:
            await ask(transport, post(server.port, headers=((name, value),)))
        assert not refused.value.sent
        assert "sk" not in refused.value.detail.split(), "the key is told"
        assert server.connections == 0


@pytest.mark.parametrize(
    "path",
    ["/a\r\nx-admin: 1", "/a\nb", "/a b HTTP/1.1", "/ключ", "/a\tb"],
    ids=["crlf", "lf", "space", "cyrillic", "tab"],
)
async def test_a_url_cannot_begin_a_header(transport: Transport, path: str) -> None:
    async with scripted(answering(OK)) as server:
        if is_http1(transport):
            with pytest.raises(ConnectFailed) as refused:
                await ask(transport, post(server.port, path=path))
            assert not refused.value.sent
            assert server.connections == 0
        else:
            # The URL standard's parser, which reqwest follows, drops or escapes them.
            await ask(transport, post(server.port, path=path))
            assert b"\r\nx-admin" not in server.requests[0]
            assert server.requests[0].split(b"\r\n")[0].count(b" ") == 2


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1", "ftp://127.0.0.1/", "http://", "http:///v1", "http://127.0.0.1:99999/", "http://[::1/"]
)
async def test_what_is_no_url_is_refused_unsent(transport: Transport, url: str) -> None:
    with pytest.raises(TransportFailure) as refused:
        await ask(transport, HttpRequest("POST", url, ()))
    assert not refused.value.sent
