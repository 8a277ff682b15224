"""The frame around a backup's files: tar (POSIX ustar) in its plainest form, with a sum over all of it at the end.

The last file holds the SHA-256 of every byte before its own header, and after it stands nothing but what tar asks for. So
no byte of a backup can change unnoticed, and none can be missing.
"""

import hashlib
import tarfile
from typing import Final

from samovar.domains.operations.model.backups import SEAL

BLOCK_BYTES: Final = 512
MAX_ENTRY_BYTES: Final = 256 * 1024 * 1024
END: Final = bytes(2 * BLOCK_BYTES)


class NotOurs(ValueError):
    """These bytes are not in this frame; the message says what is wrong."""


class Framer:
    """Writes. ``modified_at`` is seconds since 1970, the same in all files."""

    def __init__(self, *, modified_at: int) -> None:
        self._modified_at = modified_at
        self._digest = hashlib.sha256()

    def entry(self, name: str, content: bytes) -> bytes:
        """A file, with its header and padding."""
        framed = _framed(name, content, self._modified_at)
        self._digest.update(framed)
        return framed

    def end(self) -> bytes:
        """The seal, and the end of the archive."""
        return ending(self._digest.hexdigest(), self._modified_at)


def ending(digest: str, modified_at: int) -> bytes:
    """All that stands behind the last file that the seal covers."""
    return _framed(SEAL, f"{digest}\n".encode(), modified_at) + END


def _framed(name: str, content: bytes, modified_at: int) -> bytes:
    return header(name, len(content), modified_at) + content + bytes(-len(content) % BLOCK_BYTES)


def header(name: str, size_bytes: int, modified_at: int) -> bytes:
    """A file's header, 512 bytes. Nobody owns it, and its owner alone may read it."""
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    info.mtime = modified_at
    info.mode = 0o600
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def read_header(block: bytes) -> tuple[str, int, int]:
    """Name, size in bytes and modification time. Raises :class:`NotOurs`."""
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        as_we_write_it = header(info.name, info.size, int(info.mtime))
    except (tarfile.TarError, ValueError) as error:
        raise NotOurs(f"the header of a file is broken ({error})") from error
    if block != as_we_write_it:
        raise NotOurs("the header of a file is not as we write it")
    if info.size > MAX_ENTRY_BYTES:
        raise NotOurs(f"a file of {info.size} bytes is too large for us to have written it")
    return info.name, info.size, int(info.mtime)
