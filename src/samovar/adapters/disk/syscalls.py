"""All that the element asks of the operating system, in one place: what a test stops, fails or loses, it does here."""

import ctypes
import errno
import fcntl
import os
import stat
from typing import Final

import msgspec

_SYNC_FILE_RANGE_WRITE: Final = 2
# Above it ext4 takes its pages in folios so large that copying into them costs five times as much (Linux 6.18, measured).
_WRITE_BYTES: Final = 256 * 1024
_SECRET: Final = 0o600
_SECRET_FOLDER: Final = 0o700


class Stat(msgspec.Struct, frozen=True):
    """``modified_at`` in seconds since 1970."""

    size_bytes: int
    modified_at: float
    is_folder: bool


class Syscalls:
    """One call each; every one raises ``OSError``. Nothing here is retried, and nothing is remembered."""

    def __init__(self) -> None:
        # Linux's own; glibc and musl have it, Python has not.
        self._sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)

    def open(self, path: str, flags: int) -> int:
        """A descriptor; a link at the end of ``path`` is not followed."""
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, _SECRET)

    def close(self, descriptor: int) -> None:
        """Let go of it."""
        os.close(descriptor)

    def write(self, descriptor: int, content: bytes | memoryview) -> int:
        """How many bytes were written; fewer than given is no error."""
        return os.write(descriptor, content)

    def pwrite(self, descriptor: int, content: bytes | memoryview, offset_bytes: int) -> int:
        """As :meth:`write`, at a place."""
        return os.pwrite(descriptor, content, offset_bytes)

    def pread(self, descriptor: int, size_bytes: int, offset_bytes: int) -> bytes:
        """Fewer bytes than asked for at the end, none behind it."""
        return os.pread(descriptor, size_bytes, offset_bytes)

    def reserve(self, descriptor: int, size_bytes: int) -> None:
        """Make the file as long as that, with zeros, and take the room for it from the disk."""
        os.posix_fallocate(descriptor, 0, size_bytes)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut off what is behind."""
        os.ftruncate(descriptor, size_bytes)

    def begin_writeback(self, descriptor: int, offset_bytes: int, size_bytes: int) -> None:
        """Ask that these bytes begin their way to the disk: the sync at the end then has less to wait for. Nothing is promised;
        what goes wrong is told by that sync."""
        if self._sync_file_range is not None:
            self._sync_file_range(
                descriptor, ctypes.c_int64(offset_bytes), ctypes.c_int64(size_bytes), _SYNC_FILE_RANGE_WRITE
            )

    def fdatasync(self, descriptor: int) -> None:
        """After this the content survives a power cut."""
        os.fdatasync(descriptor)

    def fsync_folder(self, path: str) -> None:
        """After this the names in it survive a power cut."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: str, target: str) -> None:
        """At once, over what stood there."""
        os.rename(source, target)

    def link(self, source: str, target: str) -> None:
        """One more name for a file. Raises ``FileExistsError``."""
        os.link(source, target, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        """Raises ``FileNotFoundError``."""
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        """Raises ``FileExistsError``."""
        os.mkdir(path, _SECRET_FOLDER)

    def stat(self, path: str) -> Stat:
        """Of ``path`` itself, not of what a link leads to. Raises ``FileNotFoundError``."""
        found = os.lstat(path)
        return Stat(found.st_size, found.st_mtime, stat.S_ISDIR(found.st_mode))

    def names(self, path: str) -> list[tuple[str, bool]]:
        """What is in a folder, in no order, and whether each is a folder; links are left out."""
        with os.scandir(path) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if not entry.is_symlink()]

    def lock(self, descriptor: int) -> None:
        """Hold it against other processes until it is closed. Raises ``BlockingIOError`` where another has it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_at(self, descriptor: int, path: str) -> bool:
        """Whether ``path`` still leads to what was opened: else somebody put another thing there, or another disk."""
        held = os.fstat(descriptor)
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino)

    def space(self, path: str) -> tuple[int, int]:
        """Capacity and what is free for us, in bytes."""
        found = os.statvfs(path)
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize


NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
"""What the operating system answers where a disk, or a quota, is full."""


def write_all(calls: Syscalls, descriptor: int, content: bytes, *, at_bytes: int | None = None) -> None:
    """The whole of ``content``, where the descriptor stands or at a place. Raises ``OSError``."""
    left = memoryview(content)
    while left:
        piece = left[:_WRITE_BYTES]
        if at_bytes is None:
            left = left[calls.write(descriptor, piece) :]
        else:
            left = left[calls.pwrite(descriptor, piece, at_bytes + len(content) - len(left)) :]


def read_all(calls: Syscalls, path: str, *, limit_bytes: int) -> bytes:
    """A small file, of ``limit_bytes`` and one more at most. Raises ``OSError``."""
    descriptor = calls.open(path, os.O_RDONLY)
    try:
        pieces: list[bytes] = []
        size_bytes = 0
        while size_bytes <= limit_bytes and (
            piece := calls.pread(descriptor, limit_bytes + 1 - size_bytes, size_bytes)
        ):
            pieces.append(piece)
            size_bytes += len(piece)
        return b"".join(pieces)
    finally:
        calls.close(descriptor)
