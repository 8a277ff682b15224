"""A gateway with short waits on a real socket, and vendors that say exactly what a test wants."""

import asyncio
import json
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from samovar.app.application import edge_of
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.domains.gateway.model import CallFinished, GatewaySettings
from samovar.domains.gateway.service import GatewayService
from samovar.ports.dialect import Dialect
from samovar.ports.transport import Timeouts
from tests.app.conftest import ADMIN_TOKEN, Answer, Served, listening
from tests.support.sockets import Connections

BEAT_S = 0.15
WAIT_S = 2.0


class QuickServices(Services):
    """The usual graph, with keep-alives after a moment; what calls become is kept in ``finished``."""

    def __init__(self, settings: Settings, dialects: Mapping[str, Dialect]) -> None:
        super().__init__(settings)
        self.finished: list[CallFinished] = []
        self._given = dialects

    @cached_property
    def dialects(self) -> Mapping[str, Dialect]:
        return {**super().dialects, **self._given}

    @cached_property
    def gateway(self) -> GatewayService:
        bounds = Timeouts(connect_s=WAIT_S, first_byte_s=WAIT_S, idle_s=WAIT_S)
        return GatewayService(
            catalog=self.catalog,
            dialects=self.dialects,
            figures=self.figures,
            money=self.desk.money,
            vendors=self.vendors,
            transports=self.transport,
            clock=self.clock,
            jitter=lambda: 0.0,
            chance=lambda: 0.5,
            on_finished=self.finished.append,
            settings=GatewaySettings(
                json_timeouts=bounds,
                stream_timeouts=bounds,
                keep_alive_after_s=BEAT_S,
                keep_alive_every_s=BEAT_S,
                retry_base_s=0.01,
            ),
        )


@dataclass
class Gateway:
    """A running gateway and a key to it."""

    served: Served
    key: str
    finished: list[CallFinished] = field(default_factory=list)

    async def chat(self, text: str, *, surface: str = "openai", model: str, stream: bool = True) -> Answer:
        """One call on the surface."""
        path = "/v1/messages" if surface == "anthropic" else "/v1/chat/completions"
        body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}], "stream": stream}
        bearer = {"Authorization": f"Bearer {self.key}"}
        return await self.served.ask("POST", path, body=json.dumps(body).encode(), headers=bearer)


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Start]:
    """Start a gateway. ``vendors`` are base URLs, ``dialects`` stand in for those of the same name."""
    async with AsyncExitStack() as stack:

        async def begin(*, vendors: Mapping[str, str], dialects: Mapping[str, Dialect] | None = None) -> Gateway:
            folder = tmp_path / uuid.uuid4().hex
            folder.mkdir()
            shutil.copyfile(sqlite_template, folder / "samovar.db")
            given: dict[str, Any] = {
                "data_dir": folder,
                "admin_token": ADMIN_TOKEN,
                "_env_file": None,
                "sandbox": "on",
                "provider_keys": {name: SecretStr("sk-vendor") for name in vendors},
                "provider_base_urls": vendors,
            }
            services = QuickServices(Settings(**given), dialects or {})
            await stack.enter_async_context(services.running())
            port = await stack.enter_async_context(listening(edge_of(services)))
            served = Served(port, services)
            made = await served.ask("POST", "/api/keys", body=b'{"name":"t"}', headers={"X-Admin-Token": ADMIN_TOKEN})
            return Gateway(served, made.json["key"], services.finished)

        yield begin


@asynccontextmanager
async def saying(*blocks: bytes, kind: str, pause_s: float = 0.0) -> AsyncIterator[str]:
    """The base URL of a vendor that answers every request with these blocks."""
    connections = Connections()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with connections.entered(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(size)
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode())
            for block in blocks:
                writer.write(block)
                await writer.drain()
                await asyncio.sleep(pause_s)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await connections.break_all()
