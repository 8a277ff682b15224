"""How contents and lists pass between the roles of the file store: in frames, so that an end that was meant is told from one that
was not.

A frame is one byte of kind, four of length (big-endian), and that many bytes. HTTP's own chunks would say as much of a body that
broke off, but neither why, nor to a proxy's liking.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from samovar.kernel.errors import Malformed

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
MAX_WHOLE_BYTES: Final = 4 * 1024 * 1024
"""As much as a frame that is read whole may have: a list's item, arguments, a failure."""
_HEAD_BYTES: Final = 5


class Kind(IntEnum):
    """What a frame is."""

    DATA = ord("D")
    END = ord("E")
    """The last: all of it came."""
    BROKEN = ord("X")
    """The last: it goes on no further. Holds the failure, or nothing where the sender does not say."""
    ALIVE = ord("K")
    """Nothing yet, and somebody is at work."""


class Piece(NamedTuple):
    """A part of a frame; ``is_last`` of this frame."""

    kind: Kind
    data: bytes
    is_last: bool


class BadFrame(Malformed):
    """What came is no frame."""

    code = "bad_frame"
    title = "Not as storage roles speak"


class CutOff(BadFrame):
    """The stream ended before its last frame."""

    code = "cut_off"
    title = "The stream was cut off"


class BrokenOff(Malformed):
    """The sender of a content said that it goes on no further."""

    code = "broken_off"
    title = "The content broke off"


def head(kind: Kind, size_bytes: int = 0) -> bytes:
    """The beginning of a frame."""
    return bytes((kind,)) + size_bytes.to_bytes(4)


def frame(kind: Kind, data: bytes = b"") -> bytes:
    """A whole one."""
    return head(kind, len(data)) + data


class Unframed:
    """Frames out of a stream that is cut anywhere. Raises :class:`BadFrame`."""

    def __init__(self) -> None:
        self._head = b""
        self._kind = Kind.ALIVE
        self._in_frame = False
        self._left_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """What this much more of the stream holds."""
        at = 0
        while at < len(chunk):
            if not self._in_frame:
                taken = chunk[at : at + _HEAD_BYTES - len(self._head)]
                self._head += taken
                at += len(taken)
                if len(self._head) < _HEAD_BYTES:
                    return
                self._begin()
                if self._left_bytes:
                    continue
            data = chunk[at : at + self._left_bytes]
            at += len(data)
            self._left_bytes -= len(data)
            self._in_frame = bool(self._left_bytes)
            yield Piece(self._kind, data, is_last=not self._in_frame)

    def _begin(self) -> None:
        size_bytes = int.from_bytes(self._head[1:])
        try:
            self._kind = Kind(self._head[0])
        except ValueError as error:
            raise BadFrame("What came is no frame: it begins with none of the kinds.") from error
        limit = MAX_FRAME_BYTES if self._kind is Kind.DATA else MAX_WHOLE_BYTES
        if size_bytes > limit:
            raise BadFrame(f"A frame of {size_bytes} bytes came; {limit} are taken.")
        self._head, self._in_frame, self._left_bytes = b"", True, size_bytes


async def pieces(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Piece, None]:
    """Frames in parts, as they come, up to the one that ends it (which is given out too, whole). Raises :class:`CutOff`,
    :class:`BadFrame`, and what ``chunks`` raises."""
    unframed, last = Unframed(), b""
    async for chunk in chunks:
        for piece in unframed.feed(chunk):
            if piece.kind is Kind.ALIVE:
                continue
            if piece.kind is Kind.DATA:
                yield piece
                continue
            last += piece.data
            if piece.is_last:
                yield Piece(piece.kind, last, is_last=True)
                return
    raise CutOff("The stream ended before its last frame.")


async def whole(parts: AsyncIterator[Piece]) -> AsyncGenerator[Piece, None]:
    """The same with each frame in one. Raises :class:`BadFrame` for one over :data:`MAX_WHOLE_BYTES` too."""
    held = bytearray()
    async for piece in parts:
        held += piece.data
        if len(held) > MAX_WHOLE_BYTES:
            raise BadFrame(f"A frame of more than {MAX_WHOLE_BYTES} bytes came where one thing was expected.")
        if piece.is_last:
            yield Piece(piece.kind, bytes(held), is_last=True)
            held.clear()
