"""The body of an upload, as it comes in: bounded in length, and in how long it may say nothing, never in all its time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from samovar.kernel.errors import BodyTooLarge, BodyTooSlow, Malformed
from samovar.ports.asgi import Receive

_LAST = {"Connection": "close"}
_LITTLE_BYTES: Final = 16 * 1024 * 1024
_LITTLE_S: Final = 2.0


class Body:
    """An async iterator of pieces. Raises ``BodyTooLarge`` (at once, where the length is declared), ``BodyTooSlow``."""

    def __init__(self, receive: Receive, *, declared: bytes | None, max_bytes: int, idle_s: float) -> None:
        if declared is not None and not declared.isdigit():
            raise Malformed("the Content-Length header is not a number", headers=_LAST)
        self.length_bytes = None if declared is None else int(declared)
        self._receive = receive
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        self._size_bytes = 0
        self.is_read = False
        """Whether all of it came: else the connection cannot go on after an answer."""
        if self.length_bytes is not None and self.length_bytes > max_bytes:
            raise self._too_large()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What comes, none of it empty."""
        while not self.is_read:
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await self._receive()
            except TimeoutError as error:
                raise BodyTooSlow(f"nothing of the body came for {self._idle_s:g} s", headers=_LAST) from error
            if message["type"] == "http.disconnect":
                raise asyncio.CancelledError
            self.is_read = not message.get("more_body", False)
            piece: bytes = message.get("body", b"")
            self._size_bytes += len(piece)
            if self._size_bytes > self._max_bytes:
                raise self._too_large()
            if piece:
                yield piece

    async def pass_over(self) -> None:
        """Take what is left off the line before a refusal, where it is little: a connection that is closed with something unread
        in it is reset, and who still sends then may never read the answer."""
        if self.length_bytes is not None and self.length_bytes - self._size_bytes > _LITTLE_BYTES:
            return
        left_bytes = _LITTLE_BYTES
        try:
            async with asyncio.timeout(_LITTLE_S):
                while not self.is_read and left_bytes > 0:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        return
                    self.is_read = not message.get("more_body", False)
                    left_bytes -= len(message.get("body", b""))
        except TimeoutError:
            return

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the upload has more than the {self._max_bytes} bytes that are taken", headers=_LAST)
