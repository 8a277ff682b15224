"""One request and its answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from samovar.adapters.http1.connection import Connection
from samovar.adapters.http1.pool import Pool
from samovar.adapters.http1.watch import Watch, Watchman
from samovar.ports.transport import AnswerTooLarge, ConnectTimeout, Timeouts

_STALE_FLOOR_S: Final = 0.05
_STALE_CEILING_S: Final = 0.5


class Http1Exchange:
    """The ``async with`` block and, inside it, the answer."""

    __slots__ = ("_connection", "_loop", "_pool", "_request", "_timeouts", "_watch", "_watchman", "status")

    def __init__(self, pool: Pool, request: bytes, timeouts: Timeouts, watchman: Watchman) -> None:
        self._pool = pool
        self._request = request
        self._timeouts = timeouts
        self._watchman = watchman
        self._connection: Connection | None = None
        self.status = 0

    async def __aenter__(self) -> "Http1Exchange":
        loop = self._loop = asyncio.get_running_loop()
        watch = self._watch = self._watchman.begin(loop, total_s=self._timeouts.total_s)
        try:
            connection = self._pool.reuse(loop.time())
            if connection is None or not await self._served(connection, watch):
                connection = await self._connect(watch)
                await self._headers(connection, watch)
            if connection.failure is not None and not connection.has_headers:
                raise connection.failure
        except BaseException:
            watch.stop()
            self._drop()
            raise
        self.status = connection.status
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._watch.stop()
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection, self._loop)

    def header(self, name: str) -> str | None:
        """See :class:`samovar.ports.transport.HttpAnswer`."""
        wanted = name.lower().encode("latin-1")
        assert self._connection is not None
        for found, value in self._connection.headers:
            if found == wanted:
                return value.strip(b" \t").decode("latin-1")
        return None

    async def read(self, *, max_bytes: int) -> bytes:
        """See :class:`samovar.ports.transport.HttpAnswer`."""
        blocks: list[bytes] = []
        size = 0
        while True:
            block = await self._next()
            if not block:
                return blocks[0] if len(blocks) == 1 else b"".join(blocks)
            size += len(block)
            if size > max_bytes:
                raise AnswerTooLarge(f"the provider's answer is larger than {max_bytes} bytes")
            blocks.append(block)

    async def blocks(self) -> AsyncIterator[bytes]:
        """See :class:`samovar.ports.transport.HttpAnswer`."""
        while block := await self._next():
            yield block

    async def _connect(self, watch: Watch) -> Connection:
        try:
            async with asyncio.timeout(min(self._timeouts.connect_s, watch.left_s)):
                self._connection = await self._pool.connect(self._loop)
        except TimeoutError as error:
            raise ConnectTimeout("the provider took too long (connect)") from error
        return self._connection

    async def _served(self, connection: Connection, watch: Watch) -> bool:
        """Whether a reused connection was good. ``False``: the provider closed it before our request got there, so that the
        request may go out again. A close that had begun by then reaches us within a round trip, and before any byte of an
        answer; a later one may be a provider that died of our request."""
        self._connection = connection
        sent_at = self._loop.time()
        await self._headers(connection, watch)
        if connection.failure is None or connection.saw_bytes:
            return True
        if self._loop.time() - sent_at > min(max(2 * connection.round_trip_s, _STALE_FLOOR_S), _STALE_CEILING_S):
            return True
        self._drop()
        return False

    async def _headers(self, connection: Connection, watch: Watch) -> None:
        watch.arm("first byte", self._timeouts.first_byte_s)
        connection.send(self._request)
        while not connection.has_headers and connection.failure is None:
            await connection.wait(watch)
        watch.pause()

    async def _next(self) -> bytes:
        """More of the body; empty at its end."""
        connection = self._connection
        assert connection is not None
        while True:
            block = connection.take()
            if block:
                return block
            if connection.complete:
                return b""
            if connection.failure is not None:
                raise connection.failure
            self._watch.arm("idle", self._timeouts.idle_s)
            await connection.wait(self._watch)
            self._watch.pause()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.drop(connection)
