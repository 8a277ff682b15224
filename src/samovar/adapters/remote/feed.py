"""The body of a request that carries a content: written to as the content comes, read by the HTTP client."""

import asyncio
from collections.abc import Callable
from typing import Final

from samovar.ports.element_frames import Kind, frame, head
from samovar.ports.elements import ElementUnavailable

_SLICE_BYTES: Final = 8 * 1024 * 1024


class Feed:
    """At most one piece waits. :meth:`answered` is called when the answer is there: nobody needs the rest then."""

    def __init__(self, arguments: bytes, *, idle_s: float) -> None:
        self._idle_s = idle_s
        self._waiting: list[bytes] = [frame(Kind.DATA, arguments)]
        self._is_last = False
        self._is_answered = False
        self._when_last: Callable[[], None] | None = None
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> bytes:
        """For the HTTP client: the next bytes of the body."""
        while not self._waiting:
            if self._is_last:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        piece = self._waiting.pop(0)
        if not self._waiting:
            self._taken.set()
        return piece

    async def put(self, piece: bytes) -> bool:
        """Send this much more of the content; ``False`` once it is not wanted. Raises ``ElementUnavailable`` when nobody takes
        it."""
        for at in range(0, len(piece), _SLICE_BYTES):
            data = piece if len(piece) <= _SLICE_BYTES else piece[at : at + _SLICE_BYTES]
            await self._room()
            if self._is_answered:
                return False
            self._add(head(Kind.DATA, len(data)), data)
        return not self._is_answered

    def when_last(self, call: Callable[[], None] | None) -> None:
        """``call`` as soon as nothing more will be put: from then on the answer is due. ``None``: it is there."""
        self._when_last = call
        if self._is_last and call is not None:
            call()

    def end(self) -> None:
        """All of it was put."""
        self._close(Kind.END)

    def break_off(self) -> None:
        """It goes on no further; once more, or after the end, it is no error."""
        self._close(Kind.BROKEN)

    def answered(self, _: object = None) -> None:
        """The answer is there."""
        self._is_answered = True
        self.break_off()

    def _close(self, kind: Kind) -> None:
        if not self._is_last:
            self._is_last = True
            self._add(frame(kind))
            if self._when_last is not None:
                self._when_last()
        self._taken.set()

    def _add(self, *pieces: bytes) -> None:
        self._waiting.extend(pieces)
        self._taken.clear()
        self._changed.set()

    async def _room(self) -> None:
        try:
            async with asyncio.timeout(self._idle_s):
                while self._waiting and not self._is_answered:
                    await self._taken.wait()
        except TimeoutError as error:
            raise ElementUnavailable(f"The storage element took nothing for {self._idle_s:g} s.") from error
