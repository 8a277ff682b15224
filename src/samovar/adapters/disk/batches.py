"""Bytes as they arrive, in pieces of the size that threads and disks like."""

from collections.abc import AsyncIterator
from typing import Final

BATCH_BYTES: Final = 1024 * 1024


class Batches:
    """Pieces of about a megabyte, whatever the sender's are. ``ended`` says as soon as it is known that the last piece was the
    last; where the sender broke off (or its reader was cancelled) what came before is still given out, and :meth:`check`
    raises why."""

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        self._content = aiter(content)
        self._failure: BaseException | None = None
        self.ended = False

    async def next(self) -> bytes:
        """The next piece; an empty one at the end."""
        held: list[bytes] = []
        size_bytes = 0
        try:
            while size_bytes < BATCH_BYTES and not self.ended:
                piece = await anext(self._content, None)
                if piece is None:
                    self.ended = True
                elif piece:
                    held.append(piece)
                    size_bytes += len(piece)
        except BaseException as error:  # noqa: BLE001 - edge: what came before it may be kept; check() raises it
            self._failure = error
            self.ended = True
        return b"".join(held)

    def check(self) -> None:
        """Raises what the sender raised."""
        if self._failure is not None:
            raise self._failure
