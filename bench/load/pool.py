"""Keeps a fixed number of connections open to a target, whatever the server does to them."""

import asyncio
from collections.abc import Callable

from bench.load.connection import Connection
from bench.load.record import Record
from bench.load.request import Target

CONNECT_TIMEOUT_S = 5.0
RECONNECT_PAUSE_S = 0.05
MAX_FAULTS = 1000  # a run with so many is over: more would only fill memory and time


class Pool:
    """`size` connections, each reopened when it is lost, until `shut`."""

    def __init__(self, target: Target, *, size: int, record: Record, connect: Callable[[], Connection]) -> None:
        self._target = target
        self._size = size
        self._record = record
        self._connect = connect
        self._shut = asyncio.Event()
        self.connections: set[Connection] = set()

    @property
    def busy(self) -> int:
        """How many exchanges are under way."""
        return sum(1 for connection in self.connections if connection.busy)

    async def keep(self) -> None:
        """Run until `shut` was called and every connection has closed."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._size):
                group.create_task(self._keep_one())

    def shut(self) -> None:
        self._shut.set()
        for connection in self.connections:
            connection.close()

    def exhausted(self) -> bool:
        """So many faults that going on says nothing new."""
        return self._record.errors.total() >= MAX_FAULTS

    async def _keep_one(self) -> None:
        loop = asyncio.get_running_loop()
        first = True
        while not (self._shut.is_set() or self.exhausted()):
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    _, connection = await loop.create_connection(self._connect, self._target.host, self._target.port)
            except (OSError, TimeoutError) as error:
                self._record.fail(f"cannot connect ({type(error).__name__})")
                await asyncio.sleep(RECONNECT_PAUSE_S)
                continue
            if not first:
                self._record.reconnects += 1
            first = False
            self.connections.add(connection)
            if self._shut.is_set():  # shut while it was being opened
                connection.close()
            await connection.closed
            self.connections.discard(connection)
