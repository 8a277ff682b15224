"""The connections to one origin."""

import asyncio

from samovar.adapters.http1.connection import Connection
from samovar.adapters.http1.dial import Dialer
from samovar.ports.transport import NotCalled


class Pool:
    """Last in, first out: the busiest connections stay warm and the rest grow old. Bounded by ``max_connections``, and whoever
    finds them all in use is refused at once: a queue would only hide that the process is overrun."""

    def __init__(self, dialer: Dialer, *, max_connections: int, max_idle: int, idle_s: float) -> None:
        self._dialer = dialer
        self._max_connections = max_connections
        self._max_idle = max_idle
        self._idle_s = idle_s
        # Since when each has been idle, the oldest first.
        self._idle: dict[Connection, float] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.open = 0
        """Connections that are in use, idle or being made."""

    def reuse(self, now: float) -> Connection | None:
        """An idle connection that is still good."""
        while self._idle:
            connection, since = self._idle.popitem()
            if not connection.is_closed and now - since < self._idle_s:
                return connection
            self.drop(connection)
        return None

    async def connect(self, loop: asyncio.AbstractEventLoop) -> Connection:
        """A new connection. Raises :class:`ConnectFailed`."""
        if self._is_closed:
            raise NotCalled("the transport is closed")
        if self.open >= self._max_connections:
            raise NotCalled(f"all {self._max_connections} connections to the provider are in use")
        self.open += 1
        began = loop.time()
        try:
            connection = await self._dialer.dial(loop, lambda: Connection(loop, self._lost))
        except BaseException:
            self.open -= 1
            raise
        connection.round_trip_s = loop.time() - began
        return connection

    def give_back(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """The exchange is over: keep the connection for the next, if it may serve again."""
        if self._is_closed or not connection.may_serve_again or len(self._idle) >= self._max_idle:
            self.drop(connection)
            return
        self._idle[connection] = loop.time()
        if self._sweep is None:
            self._sweep = loop.call_later(self._idle_s, self._sweep_old, loop)

    def drop(self, connection: Connection) -> None:
        """This connection serves no more."""
        self.open -= 1
        connection.abort()

    def close(self) -> None:
        """Close what is idle, and keep nothing from now on."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        while self._idle:
            self.drop(self._idle.popitem()[0])

    def _lost(self, connection: Connection) -> None:
        if self._idle.pop(connection, None) is not None:
            self.open -= 1

    def _sweep_old(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [one for one, since in self._idle.items() if now - since >= self._idle_s]:
            del self._idle[connection]
            self.drop(connection)
        # Once each period is enough: what is older is not taken any more, it only waits to be closed.
        self._sweep = loop.call_later(self._idle_s, self._sweep_old, loop) if self._idle else None
