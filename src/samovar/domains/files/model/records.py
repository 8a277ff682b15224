"""A file as it is told to others, and news of it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from samovar.domains.identity.model import Permission
from samovar.kernel.principal import Principal
from samovar.ports.elements import Attributes, Custom, Provenance, RetentionKind


class CopyState(StrEnum):
    """How a copy was last seen."""

    GOOD = "good"
    DAMAGED = "damaged"
    MISSING = "missing"


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file's content stands; ``checked_at`` is when its element was last asked what stands beside it. One that
    ``expires_at`` an instant is what a file that has moved left behind."""

    element_id: str
    path: str
    state: CopyState = CopyState.GOOD
    checked_at: datetime | None = None
    expires_at: datetime | None = None


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file: what its attributes say, and its copies, the original first."""

    attributes: Attributes
    copies: tuple[Copy, ...]

    @property
    def etag(self) -> str:
        """Of the content: its checksum. Never an MD5, whatever a bucket says."""
        return f'"{self.attributes.checksum}"'


def stored_file(attributes: Attributes) -> StoredFile:
    """A file that has just been made: it stands on one element."""
    copy = Copy(element_id=attributes.storage_element_id, path=attributes.path)
    return StoredFile(attributes=attributes, copies=(copy,))


class FileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A file as the API shows it. ``attributes`` are its owner's own words; ``retention`` says until when it stays."""

    file_id: str
    filename: str
    content_type: str
    size_bytes: int
    checksum: str
    storage_element_id: str
    created_at: datetime
    owner: str
    retention: RetentionKind
    expires_at: datetime | None
    tags: tuple[str, ...]
    attributes: Custom
    provenance: Provenance | None
    revision: int


class FilePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some files; ``next_cursor`` leads on, ``None`` at the end."""

    items: tuple[FileAnswer, ...]
    next_cursor: str | None


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """Several files of one form, in its order."""

    items: tuple[FileAnswer, ...]


class Usage(NamedTuple):
    """What an owner has, and may have (``None``: what the installation says)."""

    files: int
    size_bytes: int
    max_files: int | None
    max_bytes: int | None


class FileHappened(StrEnum):
    """What news tells. ``DELETING`` is no news but a note to whoever goes through it: a deletion was begun."""

    STORED = "file.stored"
    AMENDED = "file.amended"
    DELETED = "file.deleted"
    DELETING = "file.deleting"


class FileEvent(msgspec.Struct, frozen=True, kw_only=True):
    """News of a file, told at least once. ``details`` is JSON."""

    happened: FileHappened
    team_id: str
    file_id: str
    revision: int
    at: datetime
    details: Mapping[str, str | int] = {}


def says_the_same(row: Attributes, told: Attributes) -> bool:
    """Whether a file's row says what its attributes do. Which change was made last is no matter of the row's."""
    return row == msgspec.structs.replace(told, change=None)


def told(attributes: Attributes) -> FileAnswer:
    """As the API shows it."""
    return FileAnswer(
        file_id=attributes.file_id,
        filename=attributes.filename,
        content_type=attributes.content_type,
        size_bytes=attributes.size_bytes,
        checksum=attributes.checksum,
        storage_element_id=attributes.storage_element_id,
        created_at=attributes.created_at,
        owner=attributes.owner,
        retention=attributes.retention.kind,
        expires_at=attributes.retention.expires_at,
        tags=attributes.tags,
        attributes=attributes.custom,
        provenance=attributes.provenance,
        revision=attributes.revision,
    )


def owner_of(principal: Principal) -> str:
    """Whose files a caller's are: the person's, if it is somebody's, else its own."""
    return principal.person_id or principal.id


def may_see(principal: Principal, owner: str) -> bool:
    """Whether files of ``owner`` (in the caller's team) are there for the caller: its own are, and all are for those who look
    after the storage or audit it."""
    return owner_of(principal) == owner or Permission.ELEMENTS_READ in principal.permissions


def may_change(principal: Principal, owner: str) -> bool:
    """Whether the caller may change what ``owner`` has: its own, and anybody's for those who administer the storage."""
    return owner_of(principal) == owner or Permission.ELEMENTS_ADMIN in principal.permissions
