"""What a backup is: its manifest, its sums, its name, and how long it is kept. The format is told in docs/backups.md."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

FORMAT: Final = "samovar-backup"
FORMAT_VERSION: Final = 1

MANIFEST: Final = "manifest.json"
RECOVERY: Final = "recovery.age"
SUMS: Final = "sums.json"
SEAL: Final = "seal.sha256"

_NAME: Final = re.compile(r"samovar-(?P<at>[0-9]{8}T[0-9]{6}Z)-[0-9a-f]{8}\.tar(?P<sealed>\.age)?", re.ASCII)
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_PART: Final = re.compile(r"tables/(?P<table>[a-z][a-z0-9_]{0,62})/[0-9]{6}\.jsonl\.gz", re.ASCII)


class ColumnKind(StrEnum):
    """How a value is written in JSON: an ``instant`` as RFC 3339, ``bytes`` as base64, a ``decimal`` as text, ``json`` as
    itself."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    JSON = "json"
    BYTES = "bytes"


class ColumnShape(msgspec.Struct, frozen=True):
    """A column, and how its values are written."""

    name: str
    kind: ColumnKind


class TableShape(msgspec.Struct, frozen=True):
    """A table; a row of it is a JSON list of values in this order."""

    name: str
    columns: tuple[ColumnShape, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The first file of a backup: what is needed to read the rest. ``schema`` is the revision of the tables;
    ``master_key_check`` tells the key that secrets are sealed under from others, and does not reveal it; ``tables`` are in an
    order in which no row comes before one that it points to."""

    format: str
    version: int
    samovar: str
    schema: str
    engine: str
    created_at: str
    master_key_check: str
    tables: tuple[TableShape, ...]


class PartSum(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the backup. ``sha256`` is of its bytes as they stand there, in hexadecimal."""

    name: str
    size_bytes: int
    sha256: str


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """The last file but one: all files before it, and how many rows each table has."""

    rows: dict[str, int]
    parts: tuple[PartSum, ...]


class StoredBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup as it stands in its place; ``created_at`` is from its name."""

    name: str
    created_at: datetime
    size_bytes: int
    encrypted: bool


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a backup from end to end has shown; no ``problems`` is a good one."""

    problems: tuple[str, ...]
    manifest: Manifest | None
    rows: dict[str, int]
    size_bytes: int

    @property
    def is_good(self) -> bool:
        """Whether it can be restored."""
        return not self.problems


def backup_name(at: datetime, chance: str, *, encrypted: bool) -> str:
    """``chance`` is eight hexadecimal digits, which tell two of the same second apart."""
    name = f"samovar-{at.astimezone(UTC).strftime(_STAMP)}-{chance}.tar{'.age' if encrypted else ''}"
    assert _NAME.fullmatch(name), name
    return name


def stored_backup(name: str, size_bytes: int) -> StoredBackup | None:
    """``None`` for a name that we never give."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        created_at = datetime.strptime(match["at"], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return StoredBackup(name=name, created_at=created_at, size_bytes=size_bytes, encrypted=match["sealed"] is not None)


def outdated(stored: Iterable[StoredBackup], *, now: datetime, keep: timedelta, good: str) -> list[StoredBackup]:
    """Those past their time, the oldest first. ``good`` is the name of one that was proved whole just now: it stays, and
    without one nothing would be here to delete others for."""
    return sorted(
        (one for one in stored if one.name != good and now - one.created_at > keep), key=lambda one: one.created_at
    )


def part_name(table: str, number: int) -> str:
    """Of the ``number``-th piece of a table."""
    return f"tables/{table}/{number:06d}.jsonl.gz"


def table_of(part: str) -> str | None:
    """The table that a part belongs to, ``None`` for what is no part of a table."""
    match = _PART.fullmatch(part)
    return match["table"] if match else None
