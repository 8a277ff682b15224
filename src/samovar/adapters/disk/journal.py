"""The write-ahead log: what was meant, before anything of it is done.

A segment is a row of frames: magic, length, CRC-32, and a JSON record that opens an intent or closes some. Whoever opens one
waits for a sync, and shares it with all who wait just then. Closing waits for nothing: an intent that is found open though its
work was done is looked at once more, and that is all. A segment that has grown begins a new one with what is open, so there are
never more than two, and their size is bounded by what is open.
"""

import os
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Final
from zlib import crc32

import msgspec

from samovar.adapters.disk.durability import Durability, SharedSync
from samovar.adapters.disk.syscalls import NO_ROOM, Syscalls, write_all
from samovar.ports.elements import ElementUnavailable

_MAGIC: Final = b"\x00WAL"
_HEAD: Final = struct.Struct("<4sII")
_LONGEST: Final = 16 * 1024
_SPARE_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 1024 * 1024
_SUFFIX: Final = ".wal"


class Kind(StrEnum):
    """What is meant."""

    WRITE = "write"
    FINISH = "finish"
    AMEND = "amend"
    DELETE = "delete"
    QUARANTINE = "quarantine"


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``path`` is the content's; ``file_id`` is empty where it is not needed. ``revision`` is what the attributes come to, 0
    where nobody knows."""

    number: int
    kind: Kind
    file_id: str
    path: str
    revision: int = 0


class _Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the two."""

    open: Intent | None = None
    close: tuple[int, ...] = ()


class Journal:
    """``folder`` must stand. :meth:`replay` first. Every method raises ``OSError``."""

    def __init__(
        self, folder: str, *, calls: Syscalls, durability: Durability, segment_bytes: int, open_at_most: int
    ) -> None:
        self._folder = folder
        self._calls = calls
        self._durability = durability
        self._segment_bytes = segment_bytes
        self._open_at_most = open_at_most
        self._lock = threading.Lock()
        self._open: dict[int, Intent] = {}
        self._waiting: list[bytes] = []
        self._next = 1
        self._segment = 0
        self._descriptor = -1
        self._size_bytes = 0
        self._room_bytes = segment_bytes
        self._shared = SharedSync(self._flush)

    def replay(self) -> list[Intent]:
        """What is open, oldest first. What is torn is passed over: it was not synced, so nothing was done on its strength."""
        numbers = sorted(
            int(name.removesuffix(_SUFFIX))
            for name, is_folder in self._calls.names(self._folder)
            if not is_folder and name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX).isdigit()
        )
        for number in numbers:
            self._segment = number
            found = _records(self._content(number))
            for record, _ in found:
                self._take(record)
            self._size_bytes = found[-1][1] if found else 0
        return [self._open[number] for number in sorted(self._open)]

    def begin_segment(self) -> None:
        """Go on in a new segment that holds what is open and nothing else; the former ones go. Raises ``OSError``: then the
        former one goes on."""
        with self._lock:
            frames = [_frame(_Record(open=intent)) for intent in self._open.values()]
            # What waits is among the open already, or closes something that is not.
            content, number = b"".join(frames), self._segment + 1
            waiting, self._waiting = self._waiting, []
        path = self._path(number)
        try:
            room_bytes = max(self._segment_bytes, 4 * len(content))
            descriptor = self._made(path, content, room_bytes + _SPARE_BYTES)
        except BaseException:
            with self._lock:
                self._waiting = waiting + self._waiting
            raise
        former, self._descriptor = self._descriptor, descriptor
        self._segment, self._size_bytes, self._room_bytes = number, len(content), room_bytes
        if former >= 0:
            self._calls.close(former)
        with self._lock:
            # Above all that any former segment may bring back: an unlinked name returns where a power cut undoes it.
            self._next = max(self._next, number << 32)
        with suppress(OSError):
            for name, _ in self._calls.names(self._folder):
                if name != os.path.basename(path):
                    self._calls.unlink(f"{self._folder}/{name}")

    def resume(self) -> None:
        """After :meth:`replay`: go on in a new segment; where the disk has no room for one, behind what is good in the last,
        so that a full disk can still be emptied."""
        try:
            self.begin_segment()
        except OSError as error:
            if not self._segment or not self._may_go_on(error):
                raise
            self._descriptor = self._calls.open(self._path(self._segment), os.O_WRONLY)

    def begin(self, kind: Kind, *, file_id: str, path: str, revision: int = 0) -> Intent:
        """Open an intent. It survives a power cut when this returns. Raises ``ElementUnavailable`` where too many are
        open: whoever acknowledges them is away."""
        self._durability.check()
        with self._lock:
            if len(self._open) >= self._open_at_most:
                raise ElementUnavailable(
                    f"{len(self._open)} files wait to be acknowledged: the element takes no more until some are."
                )
            intent = Intent(number=self._next, kind=kind, file_id=file_id, path=path, revision=revision)
            self._next += 1
            self._open[intent.number] = intent
            self._waiting.append(_frame(_Record(open=intent)))
        try:
            self._shared()
        except BaseException:
            with self._lock:
                self._open.pop(intent.number, None)
            raise
        return intent

    def end(self, numbers: Sequence[int]) -> None:
        """Close these intents; it is written with the next that is opened, or at the end."""
        with self._lock:
            closed = tuple(number for number in numbers if self._open.pop(number, None) is not None)
            if closed:
                self._waiting.append(_frame(_Record(close=closed)))

    def close(self) -> None:
        """Write what waits and let go of the segment."""
        if self._descriptor < 0:
            return
        try:
            if self._waiting and self._durability.broken_because is None:
                self._shared()
        finally:
            self.drop()

    def drop(self) -> None:
        """Let go of the segment and write nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._calls.close(descriptor)

    def _flush(self) -> None:
        if self._size_bytes >= self._room_bytes:
            try:
                self.begin_segment()
            except OSError as error:
                if not self._may_go_on(error):
                    raise
                self._room_bytes += self._segment_bytes
            else:
                return
        with self._lock:
            waiting, self._waiting = self._waiting, []
        content = b"".join(waiting)
        write_all(self._calls, self._descriptor, content, at_bytes=self._size_bytes)
        # What broke off in the middle is not counted: the next is written over it.
        self._size_bytes += len(content)
        self._durability.content(self._descriptor, self._path(self._segment))

    def _made(self, path: str, content: bytes, size_bytes: int) -> int:
        """A segment with its room taken from the disk: what is meant can be written down though the disk is full."""
        descriptor = self._calls.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            self._calls.reserve(descriptor, size_bytes)
            write_all(self._calls, descriptor, content, at_bytes=0)
            self._durability.content(descriptor, path)
            self._durability.names(self._folder)
        except BaseException:
            self._calls.close(descriptor)
            with suppress(OSError):
                self._calls.unlink(path)
            raise
        return descriptor

    def _may_go_on(self, error: OSError) -> bool:
        return error.errno in NO_ROOM and self._durability.broken_because is None

    def _take(self, record: _Record) -> None:
        if record.open is not None:
            self._open[record.open.number] = record.open
            self._next = max(self._next, record.open.number + 1)
        for number in record.close:
            self._open.pop(number, None)

    def _content(self, number: int) -> bytes:
        pieces: list[bytes] = []
        descriptor, size_bytes = self._calls.open(self._path(number), os.O_RDONLY), 0
        try:
            while piece := self._calls.pread(descriptor, _READ_BYTES, size_bytes):
                pieces.append(piece)
                size_bytes += len(piece)
        finally:
            self._calls.close(descriptor)
        return b"".join(pieces)

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:012d}{_SUFFIX}"


def _frame(record: _Record) -> bytes:
    payload = msgspec.json.encode(record)
    return _HEAD.pack(_MAGIC, len(payload), crc32(payload)) + payload


def _records(content: bytes) -> list[tuple[_Record, int]]:
    """Each with the byte behind it."""
    found: list[tuple[_Record, int]] = []
    at = content.find(_MAGIC)
    while at >= 0:
        record, end = _record_at(content, at)
        if record is not None:
            found.append((record, end))
        # Behind what is torn others may stand whole: they were written in one piece, and not brought to the disk in one.
        at = content.find(_MAGIC, end)
    return found


def _record_at(content: bytes, at: int) -> tuple[_Record | None, int]:
    if len(content) < at + _HEAD.size:
        return None, at + 1
    _, size_bytes, checksum = _HEAD.unpack_from(content, at)
    end = at + _HEAD.size + size_bytes
    payload = content[at + _HEAD.size : end]
    if size_bytes > _LONGEST or len(payload) != size_bytes or crc32(payload) != checksum:
        return None, at + 1
    try:
        return msgspec.json.decode(payload, type=_Record), end
    except msgspec.DecodeError as error:
        # To pass over what somebody meant, and wrote down whole, could lose a file.
        raise ElementUnavailable(f"The element's journal is of another version: {error}") from error
