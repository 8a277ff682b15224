"""A content that is open to be read."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from samovar.adapters.disk.syscalls import Syscalls
from samovar.adapters.disk.threads import Threads
from samovar.kernel.tasks import ended
from samovar.ports.element_flow import BATCH_BYTES
from samovar.ports.elements import DamagedFile

T = TypeVar("T")


class Opened:
    """A :class:`samovar.ports.elements.OpenContent`. ``serving`` raises once the element is closed; in what it gives the
    operating system's refusals are the element's."""

    def __init__(
        self,
        descriptor: int,
        *,
        path: str,
        calls: Syscalls,
        threads: Threads,
        serving: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._descriptor = descriptor
        self._path = path
        self._calls = calls
        self._threads = threads
        self._serving = serving

    def fileno(self) -> int:
        """See the port."""
        return self._descriptor

    async def run(self, step: Callable[[], T]) -> T:
        """See the port."""
        try:
            with self._serving():
                return await self._threads.send(step)
        except EOFError as error:
            raise DamagedFile(f"{self._path} is shorter than it was. {error}") from error

    async def read(self, start: int, end: int) -> bytes:
        """See the port."""
        pieces: list[bytes] = []
        while start < end:
            piece = await self.some(start, end - start)
            if not piece:
                raise DamagedFile(f"{self._path} is shorter than it was: it ends at byte {start}.")
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)

    async def some(self, start: int, size_bytes: int) -> bytes:
        """So much from ``start``, or less; none behind the end."""
        with self._serving():
            return await self._threads.read(self._calls.pread, self._descriptor, size_bytes, start)

    async def pieces(self, start: int, end: int | None) -> AsyncGenerator[bytes, None]:
        """All of it, or as much as there is; then it is closed."""
        try:
            while end is None or start < end:
                piece = await self.some(start, BATCH_BYTES if end is None else min(BATCH_BYTES, end - start))
                if not piece:
                    return
                start += len(piece)
                yield piece
        finally:
            await self.close()

    async def close(self) -> None:
        """See the port."""
        try:
            closing = self._threads.begin_reading(self._calls.close, self._descriptor)
        except RuntimeError:
            # The element was closed, and its threads are no more.
            self._calls.close(self._descriptor)
        else:
            await ended(closing)
