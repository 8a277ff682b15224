"""The transport port: which connection serves again, and which request is sent again."""

import asyncio

import pytest

from samovar.ports.transport import (
    ConnectionBroken,
    Timeouts,
    Transport,
    TransportFailure,
)
from tests.contract.transport.scenes import (
    EVENTS,
    OK,
    QUICK,
    MakeTransport,
    ask,
    chunk,
    http1_of,
    is_http1,
    post,
)
from tests.support.scripted import Peer, answering, scripted
from tests.support.sockets import silent_server


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        EVENTS + chunk(b"x") + b"0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK,
        b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n",
    ],
    ids=["length", "204", "chunked", "103", "429"],
)
async def test_a_connection_serves_again_after_a_whole_answer(transport: Transport, answer: bytes) -> None:
    async with scripted(answering(answer)) as server:
        for _ in range(3):
            await ask(transport, post(server.port))
            await asyncio.sleep(0.02)  # hyper puts it back from another thread
        assert (server.connections, len(server.requests)) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong",
        OK + b"garbage",
    ],
    ids=["close", "HTTP/1.0", "another answer", "garbage"],
)
async def test_a_connection_that_may_not_serve_again_does_not(transport: Transport, answer: bytes) -> None:
    async with scripted(answering(answer)) as server:
        for _ in range(3):
            assert await ask(transport, post(server.port)) == (200, b"ok")
            await asyncio.sleep(0.02)
        assert (server.connections, len(server.requests)) == (3, 3)


async def test_what_comes_after_an_answer_is_never_taken_for_the_next(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await asyncio.sleep(0.05)
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong")
        await peer.gone()

    async with scripted(script) as server:
        assert await ask(transport, post(server.port)) == (200, b"ok")
        await asyncio.sleep(0.15)
        assert await ask(transport, post(server.port)) == (200, b"ok")
        assert server.connections == 2


async def test_a_trailer_of_one_answer_is_no_header_of_the_next(transport: Transport) -> None:
    answers = iter([EVENTS + chunk(b"x") + b"0\r\nx-told: late\r\n\r\n", OK, OK])

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.say(answer)
        await peer.gone()

    async with scripted(script) as server:
        for expected in (b"x", b"ok", b"ok"):
            async with transport.send(post(server.port), timeouts=QUICK) as answer:
                assert (answer.header("x-told"), await answer.read(max_bytes=100)) == (None, expected)
            await asyncio.sleep(0.02)
        assert server.connections == 1


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)

    async with scripted(script) as server:
        for _ in range(3):
            assert await ask(transport, post(server.port)) == (200, b"ok")
            await asyncio.sleep(0.05)
            if is_http1(transport):
                assert http1_of(transport).open_connections == 0
        assert (server.connections, len(server.requests)) == (3, 3)


async def test_a_connection_that_closes_as_we_write_is_replaced_once(transport: Transport) -> None:
    ours = http1_of(transport)
    said = asyncio.Event()

    async def script(peer: Peer) -> None:
        if not server.requests:
            await peer.request()
            await peer.say(OK)
            said.set()
            # Until the next request knocks; closed unread, as by a server that was closing already.
            await peer.reader.read(1)
            peer.cut()
            return
        await peer.request()
        await peer.say(OK)

    async with scripted(script) as server:
        assert await ask(ours, post(server.port)) == (200, b"ok")
        await said.wait()
        assert await ask(ours, post(server.port)) == (200, b"ok")
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 2"], ids=["after a while", "after a byte"])
async def test_a_provider_that_dies_of_a_request_is_not_asked_twice(transport: Transport, said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.request()
        if said:
            await peer.say(said)
        else:
            await asyncio.sleep(0.25)
        peer.cut()

    async with scripted(script) as server:
        await ask(transport, post(server.port))
        with pytest.raises(ConnectionBroken) as broken:
            await ask(transport, post(server.port))
        assert broken.value.sent
        assert (server.connections, len(server.requests)) == (1, 2)


async def test_an_answer_may_come_before_the_request_is_written(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await asyncio.sleep(0.05)

    async with scripted(script) as server:
        for _ in range(2):
            assert await ask(transport, post(server.port, body=b"x" * 30_000_000)) == (413, b"big")
        assert server.connections == 2, "what is half written serves nobody else"


async def test_an_answer_left_unread_does_not_stop_the_next(transport: Transport) -> None:
    big = b"HTTP/1.1 200 OK\r\ncontent-length: 700000\r\n\r\n" + b"x" * 700_000
    async with scripted(answering(big)) as server:
        for _ in range(3):
            async with transport.send(post(server.port), timeouts=QUICK):
                await asyncio.sleep(0.05)
        assert (await ask(transport, post(server.port)))[1] == b"x" * 700_000


async def test_connections_are_bounded(make_transport: MakeTransport) -> None:
    transport = make_transport(max_connections=2)
    async with silent_server() as port, asyncio.TaskGroup() as group:
        tasks = [group.create_task(_fails(transport, port)) for _ in range(2)]
        await asyncio.sleep(0.1)
        # Ours refuses at once; reqwest waits for a free one as long as for a connection.
        with pytest.raises(TransportFailure) as refused:
            await ask(transport, post(port), Timeouts(connect_s=1, first_byte_s=2))
        assert not refused.value.sent
        for task in tasks:
            task.cancel()


async def _fails(transport: Transport, port: int) -> None:
    with pytest.raises(TransportFailure):
        await ask(transport, post(port), Timeouts(first_byte_s=5))
