"""Servers that fail in known ways, on real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


class Connections:
    """A server's open connections, so that all can be broken and none outlives its test."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def entered(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """Count the connection of the running task in, as long as the block runs."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            yield
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            del self._open[task]

    async def break_all(self) -> None:
        """Abort each, and wait until its task has ended."""
        tasks = list(self._open)
        for writer in list(self._open.values()):
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that takes connections and never says a word."""
    connections = Connections()

    async def keep_still(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            async with connections.entered(writer):
                while await reader.read(4096):
                    pass

    server = await asyncio.start_server(keep_still, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await connections.break_all()


class Relay:
    """Passes bytes between its port and a real server, until told to cut or to hold its tongue."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._connections = Connections()
        self._server: asyncio.Server | None = None
        self.silent = False
        self.port = 0

    async def start(self) -> None:
        """Listen; on the same port as before when it listened before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Stop listening and break every connection."""
        if self._server is not None:
            self._server.close()
        await self._connections.break_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            async with self._connections.entered(writer):
                up_reader, up_writer = await asyncio.open_connection(*self._upstream)
                try:
                    await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
                finally:
                    up_writer.close()
                    await up_writer.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(4096):
            if not self.silent:
                writer.write(block)
                await writer.drain()
        writer.close()
