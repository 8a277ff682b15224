"""News between processes through Redis' publish and subscribe."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from samovar.adapters.redis.link import RedisLink, awaited
from samovar.kernel.errors import Unavailable
from samovar.ports.events import GapHandler, Handler, Inbox

_CONNECT_S: Final = 2.0
# A connection that says nothing this long is asked; one that does not answer as long again is given up.
_QUIET_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0


class RedisBus:
    """A :class:`samovar.ports.events.Bus`. Channels are named ``prefix`` and topic.

    One connection of its own listens. When it breaks, it is made again with growing pauses, and after that the gap
    handlers run. ``quiet_s`` is how long silence goes unquestioned; ``jitter`` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        link: RedisLink,
        prefix: str = "samovar:event:",
        max_waiting: int = 1000,
        quiet_s: float = _QUIET_S,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._quiet_s = quiet_s
        self._jitter = jitter
        self._inbox = Inbox(max_waiting=max_waiting)
        self._listener: asyncio.Task[None] | None = None
        self._connection: AbstractConnection | None = None
        self._log = structlog.get_logger("samovar.redis")

    async def start(self) -> None:
        """See the port."""
        if self._listener is not None:
            return
        try:
            self._connection = await self._subscribed()
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis at {self._link.where} cannot be used now: {error}.") from error
        self._inbox.start()
        self._listener = asyncio.create_task(self._listen(self._connection), name="samovar-redis-events")

    def subscribe(self, topic: str, handler: Handler) -> None:
        """See the port."""
        self._inbox.subscribe(topic, handler)

    async def publish(self, topic: str, message: bytes) -> None:
        """See the port."""
        await self._link.run("publish", lambda: awaited(self._link.client.publish(self._prefix + topic, message)))

    def on_gap(self, handler: GapHandler) -> None:
        """See the port."""
        self._inbox.on_gap(handler)

    async def close(self) -> None:
        """See the port."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])
        if self._connection is not None:
            # Here and not in the listener: a task cancelled before its first step runs no line of it.
            await self._connection.disconnect()
        await self._inbox.close()
        await self._link.close()

    async def _listen(self, connection: AbstractConnection) -> None:
        while True:
            try:
                await self._receive(connection)
            except (RedisError, OSError) as error:
                self._log.warning("events interrupted", redis=self._link.where, error=str(error))
            await connection.disconnect()
            connection = self._connection = await self._subscribed_again()
            self._log.info("events resumed", redis=self._link.where)
            self._inbox.tell_gap()

    async def _receive(self, connection: AbstractConnection) -> None:
        """Hand messages on until the connection breaks, which raises."""
        asked = False
        while True:
            reply = await connection.read_response(timeout=self._quiet_s)
            if reply is None:
                if asked:
                    raise TimeoutError(f"no word for {2 * self._quiet_s:g} s")
                await connection.send_command("PING", check_health=False)
            asked = reply is None
            if isinstance(reply, list) and reply[0] == b"message":
                self._inbox.put(reply[1].decode()[len(self._prefix) :], reply[2])

    async def _subscribed_again(self) -> AbstractConnection:
        pause_s = _FIRST_PAUSE_S
        while True:
            # Spread out, so that a Redis that comes back is not met by everyone at once.
            await asyncio.sleep(pause_s * (0.5 + self._jitter() / 2))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            try:
                return await self._subscribed()
            except (RedisError, OSError):
                continue

    async def _subscribed(self) -> AbstractConnection:
        """A connection on which every subscription is in force."""
        connection = self._link.own_connection()
        topics = self._inbox.topics
        try:
            async with asyncio.timeout(_CONNECT_S):
                await connection.connect()  # type: ignore[no-untyped-call]
                if topics:
                    await connection.send_command("SUBSCRIBE", *(self._prefix + topic for topic in topics))
                for _ in topics:
                    await connection.read_response(timeout=_CONNECT_S)
        except BaseException:
            await connection.disconnect()
            raise
        return connection
