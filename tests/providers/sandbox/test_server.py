"""Starting and closing, on both event loops."""

import asyncio

import pytest
import uvloop

from samovar.providers.sandbox import Address, Pace, SandboxServer
from tests.providers.sandbox.conftest import Wire, chat


async def test_closing_drops_open_streams_and_frees_the_port() -> None:
    server = SandboxServer()
    address = await server.start()
    wire = Wire(*await asyncio.open_connection(address.host, address.port))
    await wire.send(chat("x", "x-sandbox: chunks=1000 delay_ms=50", stream=True))
    await wire.head()
    await server.close()
    assert not (await wire.rest()).endswith(b"0\r\n\r\n")
    wire.writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(address.host, address.port)
    again = SandboxServer()
    assert (await again.start(address.host, address.port)).port == address.port
    await again.close()


async def test_it_starts_once() -> None:
    server = SandboxServer()
    await server.start()
    with pytest.raises(RuntimeError):
        await server.start()
    await server.close()


async def test_cancelling_serve_forever_closes_it() -> None:
    server = SandboxServer()
    async with asyncio.timeout(5):
        serving = asyncio.ensure_future(server.serve_forever("127.0.0.1", 0))
        await asyncio.sleep(0.05)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
    await server.start()
    await server.close()


def test_an_address_says_its_url() -> None:
    assert Address("127.0.0.1", 80).url == "http://127.0.0.1:80"
    assert Address("::1", 80).url == "http://[::1]:80"


async def _talk() -> bytes:
    server = SandboxServer(pace=Pace(chunks=3, delay_ms=5))
    address = await server.start()
    wire = Wire(*await asyncio.open_connection(address.host, address.port))
    await wire.send(chat("x", stream=True) + chat("after"))
    streamed, whole = (await wire.answer())[2], (await wire.answer())[2]
    await wire.send(chat("y" * 2_000, "x-sandbox: chunks=10000 delay_ms=0", stream=True))
    await asyncio.sleep(0.1)
    large = (await wire.answer())[2]
    assert large.count(b"data: ") == 10_003
    await wire.send(chat("z", "x-sandbox: chunks=1000", stream=True))
    await wire.head()
    wire.drop()
    await server.close()
    return streamed + whole


def test_it_is_the_same_on_uvloop_and_on_asyncio() -> None:
    assert uvloop.run(_talk()) == asyncio.run(_talk())
