"""A backup as a stream, made while it is sent: what is in memory does not grow with the database."""

import asyncio
import gzip
import hashlib
import io
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from samovar.domains.operations.errors import SchemaUnlike
from samovar.domains.operations.model.archive import Framer
from samovar.domains.operations.model.backups import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    RECOVERY,
    SUMS,
    ColumnKind,
    Manifest,
    PartSum,
    Sums,
    TableShape,
    part_name,
)
from samovar.domains.operations.store import backups as store
from samovar.domains.operations.store import recovery
from samovar.kernel.time import rfc3339
from samovar.ports.database import Database, Tx

PART_BYTES: Final = 2 * 1024 * 1024
"""A table goes into pieces of about this size, before they are compressed."""

_GZIP_LEVEL: Final = 6
# Sorted keys: the same row gives the same bytes, whatever engine it comes from.
_ENCODER: Final = msgspec.json.Encoder(order="deterministic", decimal_format="string")


async def write_archive(
    database: Database, *, samovar: str, at: datetime, master_key_check: str
) -> AsyncGenerator[bytes, None]:
    """The bytes of a backup of all tables as they are when the first piece is asked for. Raises ``Unavailable`` and
    :class:`SchemaUnlike`. Close it if it is not read to its end: it holds a transaction."""
    async with database.reading() as tx:
        schema = await store.begin_snapshot(tx)
        shapes = store.shapes()
        await _check(tx, shapes)
        manifest = Manifest(
            format=FORMAT,
            version=FORMAT_VERSION,
            samovar=samovar,
            schema=schema or "",
            engine=database.engine,
            created_at=rfc3339(at),
            master_key_check=master_key_check,
            tables=tuple(shapes),
        )
        book = _Book(modified_at=int(at.timestamp()))
        yield book.entry(MANIFEST, _pretty(manifest))
        copy = await recovery.copy_of(tx, master_key_check)
        if copy is not None:
            yield book.entry(RECOVERY, copy)
        for shape in shapes:
            async for name, content in _parts(tx, shape, book.count):
                yield await asyncio.to_thread(book.entry, name, content)
        yield book.end()


async def _check(tx: Tx, shapes: Sequence[TableShape]) -> None:
    """A table that nobody declares would be missing from the backup without a word."""
    there = await store.tables_there(tx)
    known = {shape.name for shape in shapes}
    odd = (there ^ known) - (await store.kept_by_triggers(tx) - known)
    if odd:
        raise SchemaUnlike(
            f"The database has other tables than this version of Samovar knows ({', '.join(sorted(odd))}). Run `samovar migrate`"
            " first; tables of others have no place in Samovar's database."
        )


async def _parts(tx: Tx, shape: TableShape, count: Callable[[str, int], None]) -> AsyncIterator[tuple[str, bytes]]:
    lines = _Lines(shape)
    number = 0
    count(shape.name, 0)
    async for rows in store.read_rows(tx, shape):
        count(shape.name, len(rows))
        if await asyncio.to_thread(lines.add, rows):
            yield part_name(shape.name, number), await asyncio.to_thread(lines.compressed)
            number += 1
    if lines.waiting:
        yield part_name(shape.name, number), await asyncio.to_thread(lines.compressed)


class _Lines:
    """Rows of a table as lines of JSON, until they are enough for a part."""

    def __init__(self, shape: TableShape) -> None:
        self._numbers = [at for at, column in enumerate(shape.columns) if column.kind is ColumnKind.NUMBER]
        self._name = shape.name
        self._lines = bytearray()

    @property
    def waiting(self) -> bool:
        return bool(self._lines)

    def add(self, rows: Sequence[Sequence[Any]]) -> bool:
        """Whether it is time for a part."""
        for row in rows:
            for at in self._numbers:
                if row[at] is not None and not math.isfinite(row[at]):
                    raise SchemaUnlike(f"A row of the table {self._name!r} holds {row[at]}, which JSON cannot say.")
        self._lines += _ENCODER.encode_lines([tuple(row) for row in rows])
        return len(self._lines) >= PART_BYTES

    def compressed(self) -> bytes:
        whole, self._lines = self._lines, bytearray()
        packed = io.BytesIO()
        # Without name and time: the same lines give the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=_GZIP_LEVEL, mtime=0) as file:
            file.write(whole)
        return packed.getvalue()


class _Book:
    """Frames files, and keeps the account that the last one gives."""

    def __init__(self, *, modified_at: int) -> None:
        self._framer = Framer(modified_at=modified_at)
        self._sums: list[PartSum] = []
        self._rows: dict[str, int] = {}

    def count(self, table: str, rows: int) -> None:
        self._rows[table] = self._rows.get(table, 0) + rows

    def entry(self, name: str, content: bytes) -> bytes:
        self._sums.append(PartSum(name=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()))
        return self._framer.entry(name, content)

    def end(self) -> bytes:
        sums = Sums(rows=self._rows, parts=tuple(self._sums))
        return self._framer.entry(SUMS, _pretty(sums)) + self._framer.end()


def _pretty(data: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n"
