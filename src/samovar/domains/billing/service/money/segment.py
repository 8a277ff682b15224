"""One file of a spool, written through memory.

Its room is taken from the disk when it is made, so a record is copied into the page cache and nothing more: no system call,
which would also give the interpreter away to another thread, twice a call; and no disk that is full in the middle of a
record. What is copied outlives the process at once, and a sync brings it to the disk. Behind the last record stand zeros.
"""

import mmap
import os
from pathlib import Path

from samovar.domains.billing.model.records import HEAD, MAX_RECORD_BYTES

_LONGEST = HEAD.size + MAX_RECORD_BYTES


class Segment:
    """Takes records until it is full: ``size`` bytes of ``wanted_bytes`` are used, and a last record may pass that. Raises
    ``OSError`` where the disk has no room for it, or the file is there."""

    __slots__ = ("_handle", "_pages", "number", "size", "wanted_bytes")

    def __init__(self, path: Path, number: int, *, wanted_bytes: int) -> None:
        self.number = number
        self.wanted_bytes = wanted_bytes
        self.size = 0
        room_bytes = wanted_bytes + _LONGEST
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Past the room that there is, writing through memory would end the process.
            os.posix_fallocate(self._handle, 0, room_bytes)
            self._pages = mmap.mmap(self._handle, room_bytes)
        except OSError:
            os.close(self._handle)
            path.unlink()
            raise

    @property
    def is_full(self) -> bool:
        """Whether the next record goes into the next segment."""
        return self.size >= self.wanted_bytes

    def append(self, frame: bytes) -> None:
        """Copy a record behind the last one. Not where the segment is full."""
        end = self.size + len(frame)
        self._pages[self.size : end] = frame
        self.size = end

    def sync(self) -> None:
        """Bring to the disk what was copied. Raises ``OSError``: then nobody knows what is there."""
        os.fdatasync(self._handle)

    def end(self) -> None:
        """Sync for the last time, and give back the room that was not used; a second time nothing. Raises ``OSError``."""
        # A number that was closed may be another file's by now.
        handle, self._handle = self._handle, -1
        if handle < 0:
            return
        try:
            self._pages.close()
            os.ftruncate(handle, self.size)
            os.fdatasync(handle)
        finally:
            os.close(handle)
