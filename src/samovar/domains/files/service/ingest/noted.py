"""A content on its way to an element, and what is known of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from samovar.domains.files.service.transactions import Leading
from samovar.ports.elements import ElementFull, ModeRefused

_GIVEN_AGAIN_BYTES: Final = 4 * 1024 * 1024


class Noted:
    """A content of which is known whether that was all: no element commits before. It ends with an error where it is not led here
    any more; ``take`` is told of each piece, once. Where it ``is_kept`` its beginning can be given again to another element:
    one that refuses may have been sent some of it before it was heard. :meth:`close` it in every case."""

    def __init__(
        self,
        content: AsyncIterator[bytes],
        take: Callable[[int], Awaitable[None]],
        leading: Leading | None = None,
        *,
        is_kept: bool = False,
    ) -> None:
        self._content = content
        self._take = take
        self._leading = leading
        self._kept: list[bytes] | None = [] if is_kept else None
        self._kept_bytes = 0
        self._given = 0
        self._coming: asyncio.Future[bytes | None] | None = None
        self._is_all = False
        self.has_ended = False

    def __aiter__(self) -> "Noted":
        return self

    async def __anext__(self) -> bytes:
        if self._kept is not None and self._given < len(self._kept):
            self._given += 1
            return self._kept[self._given - 1]
        piece = None if self._is_all else await self._piece()
        if self._leading is not None:
            self._leading.check()
        if piece is None:
            self._is_all = self.has_ended = True
            raise StopAsyncIteration
        await self._taken(piece)
        return piece

    def again(self, refusal: Exception) -> bool:
        """Begin anew, after this; whether that can be. Never where an element had all of it and may have committed, nor where
        more came than is kept."""
        if self._kept is None or (self.has_ended and not isinstance(refusal, ModeRefused | ElementFull)):
            return False
        self._given, self.has_ended = 0, False
        return True

    async def close(self) -> None:
        """Nobody wants more of it."""
        coming, self._coming, self._kept = self._coming, None, None
        if coming is not None and not coming.done():
            coming.cancel()
            await asyncio.wait([coming])

    async def _piece(self) -> bytes | None:
        if self._kept is None and self._coming is None:
            return await anext(self._content, None)
        # An element that refuses stops whoever waits for the next piece; the sender shall not be stopped with it.
        if self._coming is None:
            self._coming = asyncio.ensure_future(_next(self._content))
            self._coming.add_done_callback(_heard)
        piece = await asyncio.shield(self._coming)
        self._coming = None
        return piece

    async def _taken(self, piece: bytes) -> None:
        kept, self._kept = self._kept, None
        await self._take(len(piece))
        if kept is not None and self._kept_bytes + len(piece) <= _GIVEN_AGAIN_BYTES:
            kept.append(piece)
            self._kept, self._kept_bytes, self._given = kept, self._kept_bytes + len(piece), len(kept)


async def _next(content: AsyncIterator[bytes]) -> bytes | None:
    return await anext(content, None)


def _heard(coming: "asyncio.Future[bytes | None]") -> None:
    # Else the loop complains of a failure that nobody waited for.
    with suppress(asyncio.CancelledError):
        coming.exception()
