"""Room that was promised to contents on their way: the disk itself knows only of what came."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from samovar.ports.elements import Draft, ElementFull


class Promise:
    """What of one content is still to come."""

    __slots__ = ("left_bytes",)

    def __init__(self, size_bytes: int) -> None:
        self.left_bytes = size_bytes

    def came(self, size_bytes: int) -> None:
        """So much more of it is on the disk now."""
        self.left_bytes = max(0, self.left_bytes - size_bytes)


class Promises:
    """Those of one element. Without them all of a burst would find the same room, and meet its end half way. What was announced
    as ``small_bytes`` or less goes in at once, and finds out by itself. ``room`` asks the disk: capacity, and what is free."""

    def __init__(self, *, element_id: str, room: Callable[[], Awaitable[tuple[int, int]]], small_bytes: int) -> None:
        self._element_id = element_id
        self._room = room
        self._small_bytes = small_bytes
        self._open: set[Promise] = set()

    @property
    def size_bytes(self) -> int:
        """All that is still to come."""
        return sum(one.left_bytes for one in self._open)

    async def check(self, draft: Draft) -> None:
        """Raises ``ElementFull`` where what is free, and nobody else's, is less than was announced."""
        before_bytes = self.size_bytes
        _, free_bytes = await self._room()
        # What came while the disk was asked counts twice: rather refused a little early than let in for what is gone.
        left_bytes = max(0, free_bytes - max(before_bytes, self.size_bytes))
        if (draft.expected_bytes or 0) > left_bytes:
            raise ElementFull(
                f"{draft.expected_bytes} bytes were announced; the storage element {self._element_id} has {left_bytes} left."
            )

    @asynccontextmanager
    async def made(self, draft: Draft) -> AsyncIterator[Promise]:
        """For the length of a write, before its sender is asked for a byte: another element may have the room. Raises
        ``ElementFull``."""
        size_bytes = draft.expected_bytes or 0
        is_small = size_bytes <= self._small_bytes
        if not is_small:
            await self.check(draft)
        promise = Promise(0 if is_small else size_bytes)
        self._open.add(promise)
        try:
            yield promise
        finally:
            self._open.discard(promise)
