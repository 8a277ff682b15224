"""Open uploads: files that arrive in pieces. All of it blocks and is called in threads, one at a time for one upload.

How far one is known to be whole stands beside it, in two records that are written in turn: whichever is torn by a power cut, the
other is good. What lies behind that offset is nobody's and is cut off.
"""

import hashlib
import os
import struct
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from zlib import crc32

import msgspec

from samovar.adapters.disk.commits import Commits, Taking
from samovar.adapters.disk.durability import Durability
from samovar.adapters.disk.journal import Journal, Kind
from samovar.adapters.disk.place import PART_SUFFIX, Place
from samovar.adapters.disk.syscalls import Syscalls, read_all, write_all
from samovar.kernel.errors import Conflict
from samovar.ports.element_rules import check_length
from samovar.ports.elements import (
    Attributes,
    ContentDiffers,
    DamagedFile,
    Draft,
    ElementUnavailable,
    FileNotThere,
    OffsetDiffers,
)

if TYPE_CHECKING:
    from hashlib import _Hash

_DRAFT_BYTES: Final = 16 * 1024
_RECORD: Final = struct.Struct("<QI")
_RECORD_APART_BYTES: Final = 512
_READ_BYTES: Final = 1024 * 1024
_DIGESTS_KEPT: Final = 1000
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Arriving:
    """An upload that is being added to."""

    __slots__ = ("descriptor", "digest", "draft", "size_bytes", "started_bytes")

    def __init__(self, draft: Draft, descriptor: int, size_bytes: int, digest: "_Hash | None") -> None:
        self.draft = draft
        self.descriptor = descriptor
        self.started_bytes = self.size_bytes = size_bytes
        self.digest = digest


class Uploads:
    """Each is three files below the element's hidden folder."""

    def __init__(
        self, *, place: Place, calls: Syscalls, durability: Durability, journal: Journal, commits: Commits
    ) -> None:
        self._place = place
        self._calls = calls
        self._durability = durability
        self._journal = journal
        self._commits = commits
        self._digests: OrderedDict[str, tuple[int, _Hash]] = OrderedDict()

    def begin(self, draft: Draft) -> None:
        """Open one; the same once more is no error. Raises ``Conflict`` where another draft is open under its
        id, or the file stands already."""
        if self._commits.standing(draft) is not None:
            raise Conflict(f"{draft.path} is a file already.")
        try:
            if self._draft(draft.file_id) != draft:
                raise Conflict(f"Another upload is open as {draft.file_id}.")
            return
        except FileNotThere:
            pass
        target = self._place.upload_draft(draft.file_id)
        try:
            self._put(self._place.upload_content(draft.file_id), b"")
            self._put(self._place.upload_offset(draft.file_id), _record(0))
            self._put(f"{target}{PART_SUFFIX}", msgspec.json.encode(draft))
            self._calls.rename(f"{target}{PART_SUFFIX}", target)
            self._durability.names(self._place.uploads)
        except BaseException:
            self._commits.try_to_remove([target, f"{target}{PART_SUFFIX}", *self._leftovers(draft.file_id)])
            raise
        self._keep(draft.file_id, 0, hashlib.sha256())

    def offset(self, file_id: str) -> int:
        """Where it goes on. Raises ``FileNotThere``."""
        self._draft(file_id)
        return self._whole_bytes(file_id)

    def arrive(self, file_id: str, *, offset_bytes: int) -> Arriving:
        """Go on with it. Raises ``OffsetDiffers``, ``FileNotThere``."""
        draft = self._draft(file_id)
        stands = self._whole_bytes(file_id)
        if stands != offset_bytes:
            raise OffsetDiffers(offset_bytes=stands)
        kept_bytes, digest = self._digests.pop(file_id, (0, None))
        descriptor = self._calls.open(self._place.upload_content(file_id), os.O_WRONLY | os.O_APPEND)
        try:
            self._calls.truncate(descriptor, stands)
        except BaseException:
            self._calls.close(descriptor)
            raise
        return Arriving(draft, descriptor, stands, digest if kept_bytes == stands else None)

    def take(self, arriving: Arriving, pieces: Sequence[bytes]) -> None:
        """Write what comes next. Raises ``ContentDiffers``."""
        for piece in pieces:
            check_length(arriving.draft, arriving.size_bytes + len(piece))
            write_all(self._calls, arriving.descriptor, piece)
            arriving.size_bytes += len(piece)

    def settle(self, arriving: Arriving) -> int:
        """Make durable what was taken, and say where it stands. On an error it stands where it stood."""
        draft = arriving.draft
        try:
            if arriving.size_bytes != arriving.started_bytes:
                self._durability.content(arriving.descriptor, self._place.upload_content(draft.file_id))
                self._note(draft.file_id, arriving.size_bytes)
                self._commits.check_held()
        finally:
            self._calls.close(arriving.descriptor)
        if arriving.digest is not None:
            self._keep(draft.file_id, arriving.size_bytes, arriving.digest)
        return arriving.size_bytes

    def drop(self, arriving: Arriving) -> None:
        """Forget what was taken. Where it cannot be cut off now, it is when the next comes."""
        with suppress(OSError):
            self._calls.truncate(arriving.descriptor, arriving.started_bytes)
        self._calls.close(arriving.descriptor)

    def draft(self, file_id: str) -> Draft:
        """What it is to become. Raises ``FileNotThere``."""
        return self._draft(file_id)

    def finish(self, file_id: str) -> Attributes:
        """Make it a file. Raises ``ContentDiffers``: then it is open no more."""
        draft = self._draft(file_id)
        if (stands := self._commits.standing(draft)) is not None:
            self.abandon(file_id)
            return stands
        size_bytes = self._whole_bytes(file_id)
        digest = self._digest(file_id, size_bytes)
        try:
            self._commits.check(draft, size_bytes=size_bytes, digest=digest)
        except ContentDiffers:
            self.abandon(file_id)
            raise
        intent = self._journal.begin(Kind.FINISH, file_id=file_id, path=draft.path, revision=draft.revision)
        taking = Taking(draft, intent, self._place.upload_content(file_id))
        taking.digest, taking.size_bytes = digest, size_bytes
        try:
            self._durability.make_folder(self._place.folder(draft.path), below=self._place.root)
            taking.descriptor = self._calls.open(taking.content, os.O_WRONLY)
            self._calls.truncate(taking.descriptor, size_bytes)
            attributes = self._commits.commit(taking)
        except BaseException:
            self._commits.roll_back(taking)
            raise
        # It is a file now, whatever becomes of what is left of the upload: recovery takes that away, too.
        with suppress(OSError, ElementUnavailable):
            self.abandon(file_id)
        return attributes

    def abandon(self, file_id: str) -> None:
        """Forget it; the draft goes first, so that what is left of it is known to be nobody's."""
        self._digests.pop(file_id, None)
        if self._commits.remove(self._place.upload_draft(file_id)):
            self._durability.names(self._place.uploads)
        for name in self._leftovers(file_id):
            self._commits.remove(name)

    def sweep(self, *, older_than: float) -> None:
        """At the start: take away what has no draft, and what nobody has added to since ``older_than`` (seconds since 1970)."""
        names = {name for name, is_folder in self._calls.names(self._place.uploads) if not is_folder}
        for name in sorted(names):
            file_id, _, kind = name.partition(".")
            if f"{file_id}.json" not in names or kind not in ("json", "data", "offset"):
                self._commits.remove(f"{self._place.uploads}/{name}")
            elif kind == "offset" and self._calls.stat(f"{self._place.uploads}/{name}").modified_at < older_than:
                self.abandon(file_id)

    def _draft(self, file_id: str) -> Draft:
        try:
            raw = read_all(self._calls, self._place.upload_draft(file_id), limit_bytes=_DRAFT_BYTES)
        except FileNotFoundError as error:
            self._commits.check_held()
            raise FileNotThere(f"No upload is open as {file_id}.") from error
        try:
            return msgspec.json.decode(raw, type=Draft)
        except msgspec.DecodeError as error:
            raise DamagedFile(f"The open upload {file_id} cannot be read: {error}") from error

    def _whole_bytes(self, file_id: str) -> int:
        content = read_all(self._calls, self._place.upload_offset(file_id), limit_bytes=4 * _RECORD_APART_BYTES)
        found = [_offset(content[at : at + _RECORD.size]) for at in (0, _RECORD_APART_BYTES)]
        return max(found)

    def _note(self, file_id: str, size_bytes: int) -> None:
        path = self._place.upload_offset(file_id)
        descriptor = self._calls.open(path, os.O_RDWR)
        try:
            first = _offset(self._calls.pread(descriptor, _RECORD.size, 0))
            second = _offset(self._calls.pread(descriptor, _RECORD.size, _RECORD_APART_BYTES))
            # Over the older of the two.
            at = 0 if first < second else _RECORD_APART_BYTES
            self._calls.pwrite(descriptor, _record(size_bytes), at)
            self._durability.content(descriptor, path)
        finally:
            self._calls.close(descriptor)

    def _digest(self, file_id: str, size_bytes: int) -> "_Hash":
        kept_bytes, digest = self._digests.get(file_id, (-1, None))
        if digest is not None and kept_bytes == size_bytes:
            return digest
        digest, at = hashlib.sha256(), 0
        descriptor = self._calls.open(self._place.upload_content(file_id), os.O_RDONLY)
        try:
            while at < size_bytes and (piece := self._calls.pread(descriptor, min(_READ_BYTES, size_bytes - at), at)):
                digest.update(piece)
                at += len(piece)
        finally:
            self._calls.close(descriptor)
        if at != size_bytes:
            raise DamagedFile(f"Of the open upload {file_id} only {at} of {size_bytes} bytes are there.")
        return digest

    def _keep(self, file_id: str, size_bytes: int, digest: "_Hash") -> None:
        self._digests[file_id] = (size_bytes, digest)
        if len(self._digests) > _DIGESTS_KEPT:
            self._digests.popitem(last=False)

    def _put(self, path: str, content: bytes) -> None:
        descriptor = self._calls.open(path, _CREATE)
        try:
            write_all(self._calls, descriptor, content)
            self._durability.content(descriptor, path)
        finally:
            self._calls.close(descriptor)

    def _leftovers(self, file_id: str) -> tuple[str, str]:
        return self._place.upload_content(file_id), self._place.upload_offset(file_id)


def _record(offset_bytes: int) -> bytes:
    raw = offset_bytes.to_bytes(8, "little")
    return raw + crc32(raw).to_bytes(4, "little")


def _offset(content: bytes) -> int:
    """-1 where it is torn, or was never written."""
    if len(content) != _RECORD.size:
        return -1
    offset_bytes, checksum = _RECORD.unpack(content)
    return int(offset_bytes) if crc32(content[:8]) == checksum else -1
