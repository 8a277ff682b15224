"""Servers that fail in known ways, on real sockets."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


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


class Wire:
    """What stands between a client and a server at ``target``, and may be cut: then no connection outlives it, and no new one is
    taken until it is mended."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._is_cut = False
        self._turn = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def cut(self) -> None:
        """As if the other end's machine were gone."""
        with self._turn:
            self._is_cut = True
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """As if it were back."""
        with self._turn:
            self._is_cut = False

    def serve(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def close(self) -> None:
        """For good."""
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _join(self, near: socket.socket) -> None:
        with near:
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:
                return
            far.settimeout(None)
            with far:
                with self._turn:
                    if self._is_cut:
                        return
                    self._ends |= {near, far}
                back = threading.Thread(target=_pass_on, args=(far, near), daemon=True)
                back.start()
                _pass_on(near, far)
                back.join()
                with self._turn:
                    self._ends -= {near, far}


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(host: str, port: int) -> Iterator[Wire]:
    """A wire to a server, that runs beside the block."""
    wire = Wire((host, port))
    serving = threading.Thread(target=wire.serve, daemon=True)
    serving.start()
    try:
        yield wire
    finally:
        wire.close()
        serving.join(10)
