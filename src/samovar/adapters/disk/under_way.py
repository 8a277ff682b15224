"""What is being changed just now: one change a path at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class UnderWay:
    """Locks by name, kept only while somebody holds or wants one."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def only(self, name: str) -> AsyncIterator[None]:
        """Hold it; who wants the same waits."""
        lock, holders = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = (lock, holders + 1)
        try:
            async with lock:
                yield
        finally:
            lock, holders = self._locks[name]
            if holders == 1:
                del self._locks[name]
            else:
                self._locks[name] = (lock, holders - 1)

    def has(self, name: str) -> bool:
        """Whether anybody holds it."""
        return name in self._locks
