"""The sandbox as a server: alone (``samovar sandbox``), or inside Samovar's own event loop."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from socket import socket
from typing import Any, Final, NamedTuple

from samovar.providers.sandbox.anthropic_count import AnthropicCount
from samovar.providers.sandbox.anthropic_messages import AnthropicMessages
from samovar.providers.sandbox.azure_responses import AzureResponses
from samovar.providers.sandbox.connection import Connection, Shared
from samovar.providers.sandbox.desk import Desk
from samovar.providers.sandbox.gemini_figures import GeminiFigures
from samovar.providers.sandbox.gemini_generate import GeminiGenerate
from samovar.providers.sandbox.journal import Journal, Keeping
from samovar.providers.sandbox.limits import Limits
from samovar.providers.sandbox.openai_chat import OpenAIChat
from samovar.providers.sandbox.openai_embeddings import OpenAIEmbeddings
from samovar.providers.sandbox.openai_flavours import FLAVOURS
from samovar.providers.sandbox.openai_hosts import HOSTS
from samovar.providers.sandbox.openai_responses import OpenAIResponses
from samovar.providers.sandbox.surface import Calculation, Surface
from samovar.providers.sandbox.wish import Pace
from samovar.providers.sandbox.xai_responses import XAIResponses

_SWEEP_S: Final = 1.0
_THREADS: Final = 2
_BACKLOG: Final = 4_096


class Address(NamedTuple):
    """Where the sandbox listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """``http://127.0.0.1:8089``: OpenAI's clients want ``/v1`` behind it, Anthropic's do not."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def default_surfaces() -> tuple[Surface, ...]:
    """The wire formats that the sandbox speaks."""
    accents = (OpenAIChat(flavour=flavour) for flavour in (*FLAVOURS, *HOSTS))
    responses = (XAIResponses(), AzureResponses())
    return (OpenAIChat(), AnthropicMessages(), OpenAIResponses(), GeminiGenerate(), *accents, *responses)


def default_calculations() -> tuple[Calculation, ...]:
    """The endpoints behind which no model talks."""
    return (OpenAIEmbeddings(), AnthropicCount(), GeminiFigures())


class SandboxServer:
    """Start it once, close it once. It makes no task: closing it, or the loop, leaves nothing behind."""

    def __init__(
        self,
        *,
        pace: Pace | None = None,
        keeping: Keeping | None = None,
        limits: Limits | None = None,
        surfaces: Sequence[Surface] | None = None,
        calculations: Sequence[Calculation] | None = None,
    ) -> None:
        self._pace = pace or Pace()
        self._keeping = keeping or Keeping()
        self._limits = limits or Limits()
        self._surfaces = tuple(surfaces) if surfaces is not None else default_surfaces()
        self._calculations = tuple(calculations) if calculations is not None else default_calculations()
        self._server: asyncio.Server | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._shared: Shared | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0, *, listening: socket | None = None) -> Address:
        """Listen; port 0 takes a free one; ``listening`` is a bound socket to use instead. Raises ``OSError`` where the
        address cannot be had."""
        if self._server is not None:
            raise RuntimeError("the sandbox is already started")
        loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sandbox")
        journal = Journal(keeping=self._keeping)
        desk = Desk(
            loop=loop,
            pool=self._pool,
            surfaces=self._surfaces,
            calculations=self._calculations,
            journal=journal,
            pace=self._pace,
            connections=lambda: len(shared.connections),
        )
        shared = Shared(loop=loop, desk=desk, journal=journal, limits=self._limits)
        self._shared = shared
        where: dict[str, Any] = {"host": host, "port": port} if listening is None else {"sock": listening}
        self._server = await loop.create_server(lambda: Connection(shared), backlog=_BACKLOG, **where)
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep, loop)
        bound = self._server.sockets[0].getsockname()
        return Address(bound[0], bound[1])

    async def serve_forever(self, host: str = "127.0.0.1", port: int = 8089) -> None:
        """Start, and stay until cancelled."""
        await self.start(host, port)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        if self._shared is not None:
            for connection in list(self._shared.connections):
                connection.close()
        if self._server is not None:
            await self._server.wait_closed()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._server = self._pool = self._shared = self._sweeper = None

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._shared is not None
        now = loop.time()
        for connection in list(self._shared.connections):
            connection.sweep(now)
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep, loop)
