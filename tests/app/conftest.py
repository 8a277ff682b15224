"""A whole Samovar in the test's own process, on a real socket."""

import asyncio
import io
import logging
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from anyio.from_thread import start_blocking_portal
from uvicorn.server import ServerState

from samovar.app.application import edge_of
from samovar.app.background import calm_the_collector
from samovar.app.server import config_of
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.app.telemetry import logs
from samovar.ports.asgi import Receive, Scope, Send

ADMIN_TOKEN = "admin-token-of-the-tests"
ADMIN = {"X-Admin-Token": ADMIN_TOKEN}


class Answer(msgspec.Struct, frozen=True):
    """What a server said. Header names are lower case; a repeated one is joined with commas."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return msgspec.json.decode(self.body)


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True, timeout_s: float = 20) -> Answer:
    """The next answer on a connection."""
    async with asyncio.timeout(timeout_s):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in head[1:-2]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        body = b""
        if has_body and headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        elif has_body:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(head[0].split()[1]), headers, body)


class Served:
    """A running app and how to talk to it."""

    def __init__(self, port: int, services: Services | None) -> None:
        self.port = port
        self._services = services

    @property
    def services(self) -> Services:
        """The graph behind it."""
        assert self._services is not None
        return self._services

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(
        self, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        given = {"Host": "samovar.test", "Connection": "close", **(headers or {})}
        if body is not None:
            given.setdefault("Content-Length", str(len(body)))
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return await self.say(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""), method != "HEAD")

    async def say(self, raw: bytes, has_body: bool = True) -> Answer:
        """Raw bytes, and the first answer."""
        reader, writer = await self.connect()
        try:
            writer.write(raw)
            return await read_answer(reader, has_body=has_body)
        finally:
            writer.close()


App = Callable[[Scope, Receive, Send], Awaitable[None]]


@asynccontextmanager
async def listening(app: App, *, tls: ssl.SSLContext | None = None, **bounds: float) -> AsyncIterator[int]:
    """The port on which our protocol serves ``app``; ``bounds`` are those of ``config_of``."""
    config = config_of(app, host="", port=0, workers=1, stop_timeout_s=1, factory=False, **bounds)
    config.load()
    state = ServerState()
    protocol: Any = config.http_protocol_class
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0, ssl=tls
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        # One more turn of the loop for the connections to hear of it.
        await asyncio.sleep(0)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is written to the log, as JSON lines; logging is as before afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(json=True, level="info", stream=stream)
    yield stream
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


Serve = Callable[..., Awaitable[Served]]


@cache
def calm() -> None:
    """As a process that serves does, once: at each start the garbage of all tests before would stay for good."""
    calm_the_collector()


@pytest.fixture
async def serve(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Serve]:
    """Start a whole Samovar with the settings given."""
    calm()
    async with AsyncExitStack() as stack:

        async def start(*, header_timeout_s: float = 10.0, **settings: Any) -> Served:
            shutil.copyfile(sqlite_template, tmp_path / "samovar.db")
            services = _services(tmp_path, settings)
            return await stack.enter_async_context(_serving(services, header_timeout_s))

        yield start


def _services(data_dir: Path, settings: dict[str, Any]) -> Services:
    given: dict[str, Any] = {"data_dir": data_dir, "admin_token": ADMIN_TOKEN, "_env_file": None, **settings}
    return Services(Settings(**given))


@asynccontextmanager
async def _serving(services: Services, header_timeout_s: float = 10.0) -> AsyncIterator[Served]:
    bounds = {"header_timeout_s": header_timeout_s, "unread_timeout_s": services.settings.unread_timeout_s}
    # Made first, as a process does: it keeps the event loop for so long that calls would be shed behind it.
    edge = edge_of(services)
    async with services.running(), listening(edge, **bounds) as port:
        yield Served(port, services)


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A Samovar as it comes."""
    return await serve()


Share = Callable[..., Served]


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Share]:
    """A whole Samovar with the settings given, started once for all tests of the module that leave nothing behind which another
    would see. It runs in a thread: each test has an event loop of its own, and reaches it by its port alone."""
    calm()
    started: dict[str, Served] = {}
    with start_blocking_portal() as portal, ExitStack() as stack:

        def start(**settings: Any) -> Served:
            name = repr(sorted(settings.items()))
            if name not in started:
                data_dir = tmp_path_factory.mktemp("shared")
                shutil.copyfile(sqlite_template, data_dir / "samovar.db")
                serving = _serving(portal.call(_services, data_dir, settings))
                started[name] = Served(stack.enter_context(portal.wrap_async_context_manager(serving)).port, None)
            return started[name]

        yield start


@pytest.fixture(scope="module")
def shared(share: Share) -> Served:
    """A Samovar as it comes, that the tests of a module share."""
    return share()
