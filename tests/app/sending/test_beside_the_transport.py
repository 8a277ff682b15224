"""What is sent past a transport, on its own socket: in its turn, and counted with what the transport was given."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from samovar.app.sending import FileSending
from samovar.kernel.writes import Outgoing, writes_of
from tests.app.sending.test_sending import File

CONTENT = os.urandom(6_000_000)


class Line(asyncio.Protocol):
    """A connection, with what a file needs of it."""

    def __init__(self) -> None:
        self.made = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.flow = FlowControl(transport)
        self.transport = Outgoing(transport, writes_of(asyncio.get_running_loop()))
        self.made.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.flow.resume_writing()
        self.lost.set()

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()


@asynccontextmanager
async def _connected() -> AsyncIterator[tuple[Line, socket.socket]]:
    """Both ends."""
    loop, line = asyncio.get_running_loop(), Line()
    server = await loop.create_server(lambda: line, "127.0.0.1", 0)
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        await line.made.wait()
        try:
            yield line, client
        finally:
            line.transport.abort()
            server.close()
            await line.lost.wait()
            await server.wait_closed()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    """One that holds the content."""
    (tmp_path / "file").write_bytes(CONTENT)
    file = File(tmp_path / "file")
    yield file
    file.close()


async def _read(client: socket.socket, size_bytes: int) -> bytes:
    got = b""
    async with asyncio.timeout(20):
        while len(got) < size_bytes:
            piece = await asyncio.get_running_loop().sock_recv(client, 1 << 20)
            assert piece, "the connection ended"
            got += piece
    return got


async def test_what_was_written_before_a_file_goes_before_it(file: File) -> None:
    async with _connected() as (line, client):
        transport, before = line.transport, b""
        # More than the socket takes, less than has the transport pause us: it is our turn to wait.
        while transport.get_write_buffer_size() < 10_000:
            piece = os.urandom(50_000)
            transport.write(piece)
            before += piece
        assert not line.flow.write_paused
        limits = transport.get_write_buffer_limits()
        sending = FileSending(transport, line.flow, file, 0, len(CONTENT))
        async with asyncio.TaskGroup() as group:
            group.create_task(sending.whole())
            got = group.create_task(_read(client, len(before) + len(CONTENT)))
        assert got.result() == before + CONTENT
        assert transport.get_write_buffer_limits() == limits
        assert (transport.written_bytes, transport.unsent_bytes) == (len(before) + len(CONTENT), 0)
        transport.write(b"behind")
        assert await _read(client, 6) == b"behind"


async def test_a_file_to_a_socket_that_takes_no_more_ends_the_connection(file: File) -> None:
    async with _connected() as (line, _):
        with socket.socket(fileno=os.dup(line.transport.get_extra_info("socket").fileno())) as own:
            own.shutdown(socket.SHUT_WR)
        with pytest.raises(asyncio.CancelledError):
            await FileSending(line.transport, line.flow, file, 0, len(CONTENT)).whole()
        assert line.transport.is_closing()
