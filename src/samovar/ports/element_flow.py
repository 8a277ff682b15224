"""What passes through every storage element alike: bytes in batches, one change a path at a time, what a check found."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from samovar.ports.elements import Attributes

BATCH_BYTES: Final = 1024 * 1024


class Batches:
    """Pieces of about ``size_bytes``, whatever the sender's are. ``ended`` says as soon as it is known that the last piece was
    the last; where the sender broke off (or its reader was cancelled) what came before is still given out, and :meth:`check`
    raises why."""

    def __init__(self, content: AsyncIterator[bytes], *, size_bytes: int = BATCH_BYTES) -> None:
        self._size_bytes = size_bytes
        self._content = aiter(content)
        self._failure: BaseException | None = None
        self.ended = False

    async def next(self) -> bytes:
        """The next piece; an empty one at the end."""
        return b"".join(await self.several())

    async def several(self) -> list[bytes]:
        """The next piece as it came, uncopied; an empty list at the end."""
        held: list[bytes] = []
        size_bytes = 0
        try:
            while size_bytes < self._size_bytes and not self.ended:
                piece = await anext(self._content, None)
                if piece is None:
                    self.ended = True
                elif piece:
                    held.append(piece)
                    size_bytes += len(piece)
        except BaseException as error:  # noqa: BLE001 - edge: what came before it may be kept; check() raises it
            self._failure = error
            self.ended = True
        return held

    def check(self) -> None:
        """Raises what the sender raised."""
        if self._failure is not None:
            raise self._failure


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


def difference(attributes: Attributes, *, size_bytes: int, checksum: str) -> str | None:
    """What is wrong with content that turned out like this; ``None`` where it is as written."""
    if size_bytes != attributes.size_bytes:
        return f"It has {size_bytes} bytes; {attributes.size_bytes} were written."
    if checksum != attributes.checksum:
        return f"Its checksum is {checksum}; {attributes.checksum} was written."
    return None
