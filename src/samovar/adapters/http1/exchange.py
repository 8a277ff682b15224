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

    def __init__(
        self, pool: Pool, request: bytes, timeouts: Timeouts, watchman: Watchman, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._pool = pool
        self._request = request
        self._timeouts = timeouts
        self._watchman = watchman
        self._loop = loop
        self._connection: Connection | None = None
        self.status = 0

    async def __aenter__(self) -> "Http1Exchange":
        loop, timeouts = self._loop, self._timeouts
        now = loop.time()
        watch = self._watch = self._watchman.begin(loop, now, total_s=timeouts.total_s)
        try:
            connection = self._connection = self._pool.reuse(now)
            may_be_stale = connection is not None
            while True:
                if connection is None:
                    connection = self._connection = await self._connect(watch)
                    now = loop.time()
                watch.arm("first byte", timeouts.first_byte_s, now)
                connection.send(self._request)
                while not connection.has_headers and connection.failure is None:
                    await connection.change(watch)
                watch.pause()
                if connection.has_headers:
                    break
                assert connection.failure is not None
                if not may_be_stale or not _was_stale(connection, loop.time() - now):
                    raise connection.failure
                self._drop()
                connection, may_be_stale = None, False
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
        assert self._connection is not None
        value = self._connection.first_values.get(name.lower().encode("latin-1"))
        return None if value is None else value.strip(b" \t").decode("latin-1")

    async def read(self, *, max_bytes: int) -> bytes:
        """See :class:`samovar.ports.transport.HttpAnswer`."""
        connection = self._connection
        assert connection is not None
        blocks: list[bytes] = []
        size = 0
        while True:
            block = connection.take()
            size += len(block)
            if size > max_bytes:
                raise AnswerTooLarge(f"the provider's answer is larger than {max_bytes} bytes")
            blocks.append(block)
            if connection.complete:
                return block if len(blocks) == 1 else b"".join(blocks)
            await self._more(connection)

    async def blocks(self) -> AsyncIterator[bytes]:
        """See :class:`samovar.ports.transport.HttpAnswer`."""
        while block := await self._next():
            yield block

    async def _connect(self, watch: Watch) -> Connection:
        try:
            async with asyncio.timeout(min(self._timeouts.connect_s, watch.left_s(self._loop.time()))):
                return await self._pool.connect(self._loop)
        except TimeoutError as error:
            raise ConnectTimeout("the provider took too long (connect)") from error

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
            await self._more(connection)

    async def _more(self, connection: Connection) -> None:
        """Until more has come, or the end."""
        if connection.failure is not None:
            raise connection.failure
        self._watch.arm("idle", self._timeouts.idle_s, self._loop.time())
        await connection.change(self._watch)
        self._watch.pause()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.drop(connection)


def _was_stale(connection: Connection, waited_s: float) -> bool:
    """Whether a reused connection was closed by the provider before our request got there, so that the request may go out
    again. A close that had begun by then reaches us within a round trip, and before any byte of an answer; a later one may be a
    provider that died of our request."""
    return not connection.saw_bytes and waited_s <= min(
        max(2 * connection.round_trip_s, _STALE_FLOOR_S), _STALE_CEILING_S
    )
