"""The transport port: connections, their waits and their end."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from samovar.adapters.http1 import Http1Transport
from samovar.ports.transport import (
    ConnectFailed,
    ConnectTimeout,
    HttpRequest,
    Timeouts,
    Transport,
    TransportFailure,
    UpstreamTimeout,
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
from tests.support.scripted import Peer, Script, answering, scripted
from tests.support.sockets import closed_port, silent_server


def hanging_after(*pieces: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(*pieces)
        await peer.gone()

    return script


@asynccontextmanager
async def deaf_port() -> AsyncIterator[int]:
    """A port whose connections are never taken: its queue is full, so that the kernel drops what knocks."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                knocking.connect(listening.getsockname())
        await asyncio.sleep(0.02)
        yield listening.getsockname()[1]


# --- each wait has its bound, and says which


async def test_nobody_takes_the_connection(transport: Transport) -> None:
    async with deaf_port() as port:
        began = time.monotonic()
        with pytest.raises(ConnectTimeout, match="connect") as late:
            await ask(transport, post(port), Timeouts(connect_s=0.3, first_byte_s=9))
        assert not late.value.sent
        # reqwest's bound is the client's, one second here.
        assert 0.25 < time.monotonic() - began < 1.6


async def test_the_total_over_while_connecting_means_unsent_where_we_can_know(transport: Transport) -> None:
    async with deaf_port() as port:
        with pytest.raises(UpstreamTimeout) as late:
            await ask(transport, post(port), Timeouts(connect_s=5, first_byte_s=5, total_s=0.2))
        # pyreqwest does not tell whether it was still connecting.
        assert late.value.sent is not is_http1(transport)


async def test_the_server_never_answers(transport: Transport) -> None:
    async with silent_server() as port:
        with pytest.raises(UpstreamTimeout, match="first byte") as late:
            await ask(transport, post(port), Timeouts(connect_s=0.1, first_byte_s=0.2))
        assert late.value.sent


@pytest.mark.parametrize("said", [b"HTTP/1.1 200", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_a_beginning_is_no_answer(transport: Transport, said: bytes) -> None:
    async with scripted(hanging_after(said)) as server:
        with pytest.raises(UpstreamTimeout, match="first byte"):
            await ask(transport, post(server.port), Timeouts(connect_s=0.1, first_byte_s=0.2))


async def test_the_server_falls_silent_in_the_body(transport: Transport) -> None:
    async with scripted(hanging_after(EVENTS, chunk(b"one"))) as server:  # noqa: SIM117
        async with transport.send(post(server.port, streamed=True), timeouts=Timeouts(idle_s=0.2)) as answer:
            source = answer.blocks()
            assert await anext(source) == b"one"
            with pytest.raises(UpstreamTimeout, match="idle"):
                await anext(source)


async def test_a_drip_that_is_never_idle_ends_with_the_total(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS)
        while True:
            await peer.say(chunk(b"."))
            await asyncio.sleep(0.05)

    async with scripted(script) as server:
        began = time.monotonic()
        with pytest.raises(UpstreamTimeout, match="total"):
            await ask(transport, post(server.port, streamed=True), Timeouts(idle_s=0.3, total_s=0.6))
        assert 0.5 < time.monotonic() - began < 1.2


async def test_a_slow_caller_is_not_a_slow_provider(transport: Transport) -> None:
    async with scripted(answering(EVENTS, chunk(b"one"), chunk(b"two"), b"0\r\n\r\n")) as server:  # noqa: SIM117
        async with transport.send(post(server.port, streamed=True), timeouts=Timeouts(idle_s=0.15)) as answer:
            got = b""
            async for block in answer.blocks():
                got += block
                await asyncio.sleep(0.4)
            assert got == b"onetwo"


async def test_another_task_may_read_the_answer(transport: Transport) -> None:
    async with scripted(hanging_after(EVENTS, chunk(b"one"))) as server:  # noqa: SIM117
        async with transport.send(post(server.port, streamed=True), timeouts=Timeouts(idle_s=0.2)) as answer:

            async def read() -> bytes:
                return await all_blocks(answer)

            with pytest.raises(UpstreamTimeout, match="idle"):
                await asyncio.create_task(read())
            await asyncio.sleep(0.15)  # a cancellation meant for the reader would meet us here


async def test_a_cancellation_at_the_moment_of_a_timeout_stays_one(transport: Transport) -> None:
    async with silent_server() as port:
        for wait_s in (0.08, 0.1, 0.12):
            task = asyncio.create_task(ask(transport, post(port), Timeouts(connect_s=0, first_byte_s=0.1)))
            await asyncio.sleep(wait_s)
            came_in_time = task.cancel()
            with contextlib.suppress(asyncio.CancelledError, UpstreamTimeout):
                await task
            assert task.cancelled() == came_in_time


# --- leaving


PHASES = {
    "before the answer": (),
    "in the headers": (b"HTTP/1.1 200 OK\r\nx-a: ",),
    "in the body": (EVENTS, chunk(b"one")),
    "in a body with a length": (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", b"one"),
    "in a body until the close": (b"HTTP/1.1 200 OK\r\n\r\n", b"one"),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_cancelling_the_waiting_task_closes_the_connection(transport: Transport, phase: str) -> None:
    if phase in ("before the answer", "in the headers"):
        http1_of(transport)  # pyreqwest lets a request run on whose headers are not in yet
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(*PHASES[phase])
        await peer.gone()
        gone.set()

    async with scripted(script) as server:
        task = asyncio.create_task(ask(transport, post(server.port, streamed=True), Timeouts()))
        await asyncio.sleep(0.1)
        assert not gone.is_set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(1):
            await gone.wait()


async def test_cancelling_while_connecting_leaves_nothing(transport: Transport) -> None:
    async with deaf_port() as port:
        task = asyncio.create_task(ask(transport, post(port), Timeouts()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if is_http1(transport):
            assert http1_of(transport).open_connections == 0


async def test_leaving_the_block_early_closes_the_connection(transport: Transport) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS, chunk(b"one"))
        await peer.gone()
        gone.set()

    async with scripted(script) as server:
        async with transport.send(post(server.port, streamed=True), timeouts=QUICK) as answer:
            assert answer.status == 200
        async with asyncio.timeout(1):
            await gone.wait()


# --- reaching


async def test_a_refused_connection_is_unsent(transport: Transport) -> None:
    with pytest.raises(ConnectFailed) as refused:
        await ask(transport, post(closed_port()))
    assert not refused.value.sent


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 70 + ".invalid", "a..invalid"])
async def test_a_name_without_an_address_is_unsent(transport: Transport, host: str) -> None:
    with pytest.raises(TransportFailure) as refused:
        await ask(transport, post(80, host=host))
    assert not refused.value.sent


async def test_an_ipv6_literal_is_an_address(transport: Transport) -> None:
    try:
        async with scripted(answering(OK), host="::1") as server:
            assert await ask(transport, post(server.port, host="[::1]")) == (200, b"ok")
            assert b"host: [::1]:%d\r\n" % server.port in server.requests[0]
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


async def test_a_name_with_several_addresses_is_reached_by_one_that_answers(transport: Transport) -> None:
    async with scripted(answering(OK)) as server:
        assert await ask(transport, post(server.port, host="localhost")) == (200, b"ok")


async def test_an_address_that_swallows_packets_does_not_eat_the_connect_time() -> None:
    async with deaf_port() as deaf, scripted(answering(OK)) as server:
        ports = [closed_port(), deaf, server.port]

        async def resolve(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", one)) for one in ports]

        transport = Http1Transport(resolve=resolve)
        began = time.monotonic()
        assert await ask(transport, post(80, host="many.test"), Timeouts(connect_s=5)) == (200, b"ok")
        assert time.monotonic() - began < 1
        ports = [deaf, deaf]
        await transport.close()
        second = Http1Transport(resolve=resolve)
        with pytest.raises(ConnectTimeout):
            await ask(second, post(80, host="many.test"), Timeouts(connect_s=0.4))
        ports = [closed_port(), closed_port()]
        with pytest.raises(ConnectFailed):
            await ask(second, post(80, host="many.test"), Timeouts(connect_s=2))
        ports = []
        with pytest.raises(ConnectFailed):
            await ask(second, post(80, host="many.test"), Timeouts(connect_s=2))
        assert second.open_connections == 0


async def test_redirects_are_not_followed(transport: Transport) -> None:
    async with scripted(answering(OK)) as other:
        where = b"http://127.0.0.1:%d/" % other.port
        moved = b"HTTP/1.1 307 Moved\r\nlocation: " + where + b"\r\ncontent-length: 0\r\n\r\n"
        async with scripted(answering(moved)) as server:
            assert (await ask(transport, post(server.port)))[0] == 307
        assert other.connections == 0


# --- the end


async def test_nothing_begins_on_a_closed_transport(transport: Transport) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.gone()
        gone.set()

    async with scripted(script) as server:
        await ask(transport, post(server.port))
        await transport.close()
        if is_http1(transport):  # reqwest's idle connections end when the client is collected
            async with asyncio.timeout(1):
                await gone.wait()
        with pytest.raises(ConnectFailed):
            await ask(transport, post(server.port))
        await transport.close()


async def test_a_stream_under_way_ends_by_itself_when_the_transport_closes(transport: Transport) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS, chunk(b"one"))
        await go.wait()
        await peer.say(chunk(b"two"), b"0\r\n\r\n")
        await peer.gone()

    async with scripted(script) as server:
        async with transport.send(post(server.port, streamed=True), timeouts=QUICK) as answer:
            source = answer.blocks()
            assert await anext(source) == b"one"
            await transport.close()
            go.set()
            assert b"".join([block async for block in source]) == b"two"
        if is_http1(transport):
            assert http1_of(transport).open_connections == 0


async def test_an_idle_connection_is_closed_when_its_time_is_over() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.gone()
        gone.set()

    transport = Http1Transport(idle_s=0.1)
    async with scripted(script) as server:
        await ask(transport, post(server.port))
        assert transport.open_connections == 1
        async with asyncio.timeout(1):
            await gone.wait()
        assert transport.open_connections == 0
        await ask(transport, HttpRequest("GET", f"http://127.0.0.1:{server.port}/", ()))
        assert server.connections == 2
        await transport.close()


async def test_origins_that_are_called_no_more_are_forgotten_and_open_connections_are_not() -> None:
    transport = Http1Transport()
    async with scripted(answering(OK)) as server:
        await ask(transport, post(server.port))
        for name in range(2_100):
            transport.send(HttpRequest("GET", f"http://provider-{name}.test/", ()), timeouts=QUICK)
        assert len(transport._pools) <= 1_001
        assert transport.open_connections == 1
        assert await ask(transport, post(server.port)) == (200, b"ok")
        assert server.connections == 1
        await transport.close()
