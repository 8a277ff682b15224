"""Where the master key comes from: text in the settings, or a file that only its owner can read."""

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import Final

_KEY_BYTES: Final = 32
_MOST_BYTES: Final = 4096


class BadMasterKey(ValueError):
    """The master key cannot be used; the message says why, in plain words, and never shows it."""


def parse_master_key(text: str) -> bytes:
    """The 32 bytes that ``text`` writes as 64 hexadecimal digits or as base64 (either alphabet, padding optional).
    Raises :class:`BadMasterKey`."""
    text = text.strip()
    try:
        if len(text) == 2 * _KEY_BYTES:
            key = bytes.fromhex(text)
        else:
            plain = text.rstrip("=").replace("-", "+").replace("_", "/")
            key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadMasterKey("The master key is neither base64 nor hexadecimal.") from error
    if len(key) != _KEY_BYTES:
        raise BadMasterKey(f"The master key must have {_KEY_BYTES} bytes; this text holds {len(key)}.")
    return key


def load_or_make_master_key(path: Path) -> bytes:
    """The key in the file ``path``; where there is no file, a new random key, written so that it survives a power cut.

    Of two processes that start at once one makes the file and both get its key. Raises :class:`BadMasterKey` for a file
    that others can read or that holds no key, ``OSError`` where the file cannot be read or made.
    """
    if not path.exists():
        _make(path)
    return _load(path)


def _make(path: Path) -> None:
    # Written whole under another name first, then linked: nobody ever sees half a key, and the link fails where a file is.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(os.urandom(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # Another process was first; its key is the key.
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _load(path: Path) -> bytes:
    # Opened once and asked through the descriptor, so that what was checked is what is read.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise BadMasterKey(f"The master key {path} is not a regular file.")
        if about.st_mode & 0o077:
            raise BadMasterKey(
                f"The master key file {path} can be read or changed by other users of this machine "
                f"(mode {stat.S_IMODE(about.st_mode):03o}). Run: chmod 600 {path}"
            )
        text = file.read(_MOST_BYTES)
    try:
        return parse_master_key(text.decode("ascii"))
    except ValueError as error:
        raise BadMasterKey(f"The master key file {path} holds no key. {error}") from error
