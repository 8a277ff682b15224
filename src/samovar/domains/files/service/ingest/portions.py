"""The bytes of one request to an upload, on their way to its element."""

import hashlib
from collections.abc import AsyncIterator
from typing import Final

from samovar.domains.files.errors import PieceDiffers
from samovar.domains.files.model.uploads import PieceChecksum
from samovar.kernel.errors import BodyTooLarge

PORTION_BYTES: Final = 32 * 1024 * 1024
"""So much is lost at most where a process dies in the middle of a request: each portion is durable before the next."""


class Portions:
    """A content, a portion at a time. Raises ``BodyTooLarge`` for what is more than ``room_bytes``."""

    def __init__(self, content: AsyncIterator[bytes], *, room_bytes: int) -> None:
        self._content = content
        self._room_bytes = room_bytes
        self.ended = False

    async def next(self) -> AsyncIterator[bytes]:
        """The next portion; read it to its end before the one behind it."""
        size_bytes = 0
        while size_bytes < PORTION_BYTES:
            piece = await anext(self._content, None)
            if piece is None:
                self.ended = True
                return
            size_bytes += len(piece)
            self._take(len(piece))
            yield piece

    async def all(self) -> AsyncIterator[bytes]:
        """What is left of it."""
        async for piece in self._content:
            self._take(len(piece))
            yield piece

    def _take(self, size_bytes: int) -> None:
        self._room_bytes -= size_bytes
        if self._room_bytes < 0:
            raise BodyTooLarge("More came than the upload has room for.", headers={"Connection": "close"})


async def checked(content: AsyncIterator[bytes], checksum: PieceChecksum) -> AsyncIterator[bytes]:
    """The content; raises :class:`PieceDiffers` behind its end where it was another one."""
    digest = hashlib.new(checksum.algorithm, usedforsecurity=False)
    async for piece in content:
        digest.update(piece)
        yield piece
    if digest.digest() != checksum.digest:
        raise PieceDiffers(f"The {checksum.algorithm} of what came is another one than the header says: send it again.")
