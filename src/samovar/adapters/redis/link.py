"""The way to one Redis: a bounded pool of connections, a deadline on each operation, a breaker before them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock

_T = TypeVar("_T")

_CONNECTIONS: Final = 32
_FAILURES: Final = 5
_CONNECT_S: Final = 2.0


class Observer(Protocol):
    """Told of each operation: its name and ``"ok"``, ``"error"`` or ``"refused"`` (by the breaker)."""

    def __call__(self, operation: str, outcome: str) -> None: ...


def _unseen(operation: str, outcome: str) -> None:
    """Nobody counts."""


class RedisLink:
    """Shared by cache, limiter and bus of a process. ``url`` as in redis-py: ``redis://user:password@host:6379/0``,
    ``rediss://`` for TLS, ``unix://`` for a socket.

    ``deadline_s`` bounds each operation, connecting and waiting for a free connection included. After five failures in
    a row the breaker refuses all but one probe each ``rest_s``.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        deadline_s: float = 0.25,
        rest_s: float = 1.0,
        observe: Observer = _unseen,
    ) -> None:
        parts = urlsplit(url)
        # For messages: never the password.
        self.where = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
        self._clock = clock
        self._deadline_s = deadline_s
        self._rest_s = rest_s
        self._observe = observe
        self._failures = 0
        self._closed_until = 0.0
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=deadline_s,
            socket_timeout=deadline_s,
            socket_connect_timeout=_CONNECT_S,
            # The deadline is the bound; retries behind our back would run past it and hide a gap from the bus.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            client_name="samovar",
        )
        self.client: Redis = Redis.from_pool(self._pool)

    async def run(self, operation: str, work: Callable[[], Awaitable[_T]]) -> _T:
        """What ``work`` gives, in time. Raises ``Unavailable``; a cancelled caller cancels ``work``."""
        now = self._clock.monotonic()
        if now < self._closed_until:
            self._observe(operation, "refused")
            raise Unavailable(
                f"Redis at {self.where} failed again and again and rests a moment.", headers={"Retry-After": "1"}
            )
        if self._failures >= _FAILURES:
            # This one is the probe; others go on being refused until it comes back.
            self._closed_until = now + self._rest_s
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await work()
        except (RedisError, OSError) as error:
            # TimeoutError is an OSError.
            self._failed()
            self._observe(operation, "error")
            what = str(error) or "no answer in time"
            raise Unavailable(
                f"Redis at {self.where} cannot be used now: {what}.", headers={"Retry-After": "1"}
            ) from error
        self._failures = 0
        self._closed_until = 0.0
        self._observe(operation, "ok")
        return answer

    async def ping(self) -> None:
        """Raises ``Unavailable`` when Redis does not answer."""
        await self.run("ping", lambda: awaited(self.client.ping()))

    def own_connection(self) -> AbstractConnection:
        """A connection outside the pool, not yet connected; whoever asked for it closes it."""
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    async def close(self) -> None:
        """Close all connections; closing twice is no harm."""
        await self.client.aclose()
        await self._pool.disconnect()

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= _FAILURES:
            self._closed_until = self._clock.monotonic() + self._rest_s


async def awaited(answer: Any) -> Any:
    """redis-py types its answers as "awaitable or not", for the sake of its synchronous twin; ours always are."""
    return await answer
