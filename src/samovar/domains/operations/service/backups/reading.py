"""Reading a backup, once from its beginning to its end, believing nothing that was not checked."""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from samovar.domains.operations.errors import BackupDamaged, BackupTooNew
from samovar.domains.operations.model.archive import BLOCK_BYTES, NotOurs, ending, read_header
from samovar.domains.operations.model.backups import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    RECOVERY,
    SEAL,
    SUMS,
    ColumnKind,
    Manifest,
    PartSum,
    Sums,
    TableShape,
    table_of,
)

MAX_LINES_BYTES: Final = 256 * 1024 * 1024
"""What a part may hold when it is decompressed: one row may be large, a bomb is larger."""

Found = Callable[[str], None]
"""Told of something wrong that does not keep us from reading on; may raise."""


class ArchiveReader:
    """``found`` hears of a part that is damaged. What leaves no way to go on raises :class:`BackupDamaged`."""

    def __init__(self, stream: AsyncIterator[bytes], *, found: Found) -> None:
        self._bytes = _Bytes(stream)
        self._found = found
        self._digest = hashlib.sha256()
        self._modified_at: int | None = None
        self._sums: list[PartSum] = []
        self._pending: tuple[str, bytes] | None = None
        self.rows: dict[str, int] = {}
        self.recovery: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """How much was read."""
        return self._bytes.read_bytes

    async def open(self) -> Manifest:
        """Read what stands before the tables. Raises :class:`BackupDamaged`, :class:`BackupTooNew`."""
        name, content = await self._entry()
        if name != MANIFEST:
            raise BackupDamaged(f"This is no backup of Samovar: its first file is not {MANIFEST}.")
        manifest = _manifest(content)
        name, content = await self._entry()
        if name == RECOVERY:
            self.recovery = content
            name, content = await self._entry()
        self._pending = name, content
        return manifest

    async def parts(self, manifest: Manifest) -> AsyncIterator[tuple[TableShape, Sequence[Sequence[Any]]]]:
        """Rows of the tables, in the manifest's order, then the proof that none is missing. Until it has ended, nothing that
        came is to be relied on. Raises :class:`BackupDamaged`."""
        decoders = {shape.name: (at, shape, _decoder(shape)) for at, shape in enumerate(manifest.tables)}
        self.rows = dict.fromkeys(decoders, 0)
        assert self._pending is not None
        name, content = self._pending
        reached = 0
        while name != SUMS:
            at, shape, decoder = decoders.get(table_of(name) or "", (-1, None, None))
            if shape is None or decoder is None or at < reached:
                raise BackupDamaged(f"The backup holds the file {name!r}, which does not belong there.")
            reached = at
            rows = await self._rows(name, content, decoder)
            self.rows[shape.name] += len(rows)
            if rows:
                yield shape, rows
            name, content = await self._entry()
        await self._end(content)

    async def _rows(self, name: str, content: bytes, decoder: "msgspec.json.Decoder[Any]") -> list[Any]:
        try:
            return await asyncio.to_thread(_decoded, content, decoder)
        except (zlib.error, EOFError, ValueError) as error:
            # msgspec's errors are ValueErrors.
            self._found(f"{name} cannot be read: {error}")
            return []

    async def _entry(self) -> tuple[str, bytes]:
        block = await self._bytes.exactly(BLOCK_BYTES)
        try:
            name, size_bytes, modified_at = read_header(block)
        except NotOurs as error:
            raise BackupDamaged(f"At byte {self._bytes.read_bytes - BLOCK_BYTES}: {error}.") from error
        if self._modified_at is None:
            self._modified_at = modified_at
        padded = await self._bytes.exactly(size_bytes + -size_bytes % BLOCK_BYTES)
        content = padded[:size_bytes]
        part = PartSum(
            name=name, size_bytes=size_bytes, sha256=await asyncio.to_thread(self._digested, block, padded, content)
        )
        self._sums.append(part)
        return name, content

    def _digested(self, block: bytes, padded: bytes, content: bytes) -> str:
        self._digest.update(block)
        self._digest.update(padded)
        return hashlib.sha256(content).hexdigest()

    async def _end(self, content: bytes) -> None:
        try:
            sums = msgspec.json.decode(content, type=Sums)
        except ValueError as error:
            sums = None
            self._found(f"{SUMS} cannot be read: {error}")
        if sums is not None:
            self._compare(sums)
        assert self._modified_at is not None
        right = ending(self._digest.hexdigest(), self._modified_at)
        found = await self._bytes.exactly(len(right))
        if found != right:
            self._found(f"{SEAL} does not agree with the bytes before it: something was changed since it was made")
        await self._bytes.finish()

    def _compare(self, sums: Sums) -> None:
        kept = self._sums[:-1]
        wanted = {part.name: part for part in sums.parts}
        for part in kept:
            if wanted.pop(part.name, None) != part:
                self._found(f"{part.name} was changed since it was made")
        for name in wanted:
            self._found(f"{name} is missing")
        for table, rows in sums.rows.items():
            if self.rows.get(table) != rows:
                self._found(f"the table {table!r} has {self.rows.get(table, 0)} rows here, and had {rows}")


class _Bytes:
    """A stream of pieces of any size, taken in pieces of the sizes that are wanted."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._waiting = bytearray()
        self.read_bytes = 0

    async def exactly(self, size_bytes: int) -> bytes:
        while len(self._waiting) < size_bytes:
            piece = await anext(self._stream, None)
            if piece is None:
                end = self.read_bytes + len(self._waiting)
                raise BackupDamaged(f"The backup ends after {end} bytes, before it is complete: it was cut short.")
            self._waiting += piece
        taken = bytes(self._waiting[:size_bytes])
        del self._waiting[:size_bytes]
        self.read_bytes += size_bytes
        return taken

    async def finish(self) -> None:
        """Nothing more may come; an encrypted stream proves its own end only when asked for it."""
        if self._waiting or await anext(self._stream, None) is not None:
            raise BackupDamaged(f"The backup goes on after its end, at byte {self.read_bytes}.")


def _manifest(content: bytes) -> Manifest:
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.format != FORMAT:
            raise BackupDamaged("This is no backup of Samovar.")
        if head.version > FORMAT_VERSION:
            raise BackupTooNew(
                f"The backup's format is {head.version}, this Samovar reads {FORMAT_VERSION} and older: run the newer version."
            )
        return msgspec.json.decode(content, type=Manifest)
    except ValueError as error:
        raise BackupDamaged(f"{MANIFEST} cannot be read: {error}") from error


class _Head(msgspec.Struct):
    format: str
    version: int


def _decoded(content: bytes, decoder: "msgspec.json.Decoder[Any]") -> list[Any]:
    inflate = zlib.decompressobj(wbits=31)
    lines = bytearray(inflate.decompress(content, MAX_LINES_BYTES))
    if inflate.unconsumed_tail:
        raise ValueError(f"it holds more than {MAX_LINES_BYTES} bytes")
    if not inflate.eof or inflate.unused_data:
        raise ValueError("it is not one whole gzip file")
    found: list[Any] = decoder.decode_lines(lines)
    return found


_WRITTEN: Final[dict[ColumnKind, Any]] = {
    ColumnKind.TEXT: str,
    ColumnKind.INTEGER: int,
    ColumnKind.NUMBER: float,
    ColumnKind.DECIMAL: Decimal,
    ColumnKind.BOOLEAN: bool,
    ColumnKind.INSTANT: datetime,
    ColumnKind.JSON: Any,
    ColumnKind.BYTES: bytes,
}


def _decoder(shape: TableShape) -> "msgspec.json.Decoder[Any]":
    """Of one row: a list of so many values, each of its kind or null."""
    kinds = tuple(
        _WRITTEN[column.kind] | None if column.kind is not ColumnKind.JSON else Any for column in shape.columns
    )
    return msgspec.json.Decoder(tuple[kinds])  # type: ignore[valid-type]
