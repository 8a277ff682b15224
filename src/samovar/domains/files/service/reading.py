"""A content on its way out: in pieces, and a part of it by the kernel where that can be."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeAlias

from samovar.domains.files.service.tally import FileTally, Operation, Result
from samovar.kernel.errors import SamovarError
from samovar.ports.elements import OpenContent, StorageElement

BY_KERNEL_BYTES: Final = 1024 * 1024
"""Less is one read and one write, which have fewer turns between threads."""
_END_BYTES: Final = 64 * 1024
"""The first and the last piece around a part for the kernel."""


class Part(NamedTuple):
    """``size_bytes`` of a file, from the byte ``start``."""

    file: OpenContent
    start: int
    size_bytes: int


class Begun(NamedTuple):
    """A content whose first piece is there, as a proof that it can be read; ``part`` lies between that and ``rest``."""

    first: bytes = b""
    rest: AsyncGenerator[bytes, None] | None = None
    part: Part | None = None

    async def aclose(self) -> None:
        """No more of it."""
        if self.rest is not None:
            await self.rest.aclose()


Begin: TypeAlias = Callable[[StorageElement, str, int, int], Awaitable[Begun]]
"""Begins the content at a path, from a byte up to, not including, another. Raises what the element raises."""


async def piecewise(element: StorageElement, path: str, start: int, end: int) -> Begun:
    """All of it in pieces."""
    pieces = element.read(path, start=start, end=end)
    return Begun(await anext(pieces), pieces)


async def with_part_for_kernel(element: StorageElement, path: str, start: int, end: int) -> Begun:
    """All but its ends for the kernel, where the element has it as a file; at least ``BY_KERNEL_BYTES``."""
    content = await element.open_content(path)
    if content is None:
        return await piecewise(element, path, start, end)
    # The last piece is ours: that it was handed over whole is known at once, and who has it may leave.
    middle, last = start + _END_BYTES, end - _END_BYTES
    ends = _ends(content, (start, middle), (last, end))
    return Begun(await anext(ends), ends, Part(content, middle, last - middle))


async def _ends(content: OpenContent, *spans: tuple[int, int]) -> AsyncGenerator[bytes, None]:
    try:
        for start, end in spans:
            yield await content.read(start, end)
    finally:
        await content.close()


class Reading:
    """A content as it is read, an async iterator of pieces. Close it in every case; how it ended is counted then."""

    def __init__(self, begun: Begun, size_bytes: int, tally: FileTally) -> None:
        self._begun = begun
        self._first = begun.first
        self._rest = begun.rest
        self._part = begun.part
        self._left_bytes = size_bytes
        self._tally = tally
        self._result: Result | None = None

    @property
    def is_over(self) -> bool:
        """Whether the last byte was given out."""
        return not self._left_bytes

    def __aiter__(self) -> "Reading":
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            piece, self._first = self._first, b""
            self._left_bytes -= len(piece)
            return piece
        if self._rest is None:
            raise StopAsyncIteration
        with self._failing():
            piece = await anext(self._rest)
        self._left_bytes -= len(piece)
        return piece

    @property
    def has_part(self) -> bool:
        """Whether what comes next is :meth:`by_kernel`'s."""
        return self._part is not None and not self._first

    @contextmanager
    def by_kernel(self) -> Iterator[Part]:
        """What the kernel is to send in the block; once, and only where there :attr:`has_part`."""
        part, self._part = self._part, None
        assert part is not None
        with self._failing():
            yield part
        self._left_bytes -= part.size_bytes

    async def aclose(self) -> None:
        """No more of it."""
        # Who has the last byte leaves, and need not hear that there are no more.
        result = self._result or (Result.BROKEN if self._left_bytes else Result.SUCCESS)
        self._tally.counts[Operation.DOWNLOAD, result] += 1
        await self._begun.aclose()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except SamovarError:
            self._result = Result.FAILED
            raise


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    """All of a content that is known to be small."""
    return b"".join([piece async for piece in pieces])
