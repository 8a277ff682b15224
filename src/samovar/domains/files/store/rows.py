"""Rows of files, as they are read and forgotten; :mod:`projection` makes them."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, select, tuple_

from samovar.domains.files.model.records import Copy, CopyState, StoredFile
from samovar.domains.files.store import owners
from samovar.domains.files.store.projection import count_spaces
from samovar.domains.files.store.tables import copies, files, marks
from samovar.ports.database import Tx
from samovar.ports.elements import Attributes, Provenance, Retention, RetentionKind
from samovar.ports.scripts import perform

SHOWN: Final = tuple([column for column in files.columns if column.name not in ("stems",)])
_MAX_COPIES: Final = 16


async def one(tx: Tx, team_id: str, file_id: str) -> StoredFile | None:
    """One file of the team."""
    query = select(*SHOWN).where(files.c.team_id == team_id, files.c.file_id == file_id).limit(1)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else (await read(tx, [row]))[0]


async def several(tx: Tx, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], StoredFile]:
    """Those of these files, by team and id, that are there."""
    query = select(*SHOWN).where(tuple_(files.c.team_id, files.c.file_id).in_(sorted(keys))).limit(len(keys))
    found = await read(tx, (await tx.execute(query)).all())
    return {(one.attributes.team_id, one.attributes.file_id): one for one in found}


async def read(tx: Tx, rows: Sequence[Row[Any]]) -> list[StoredFile]:
    """The files in ``rows``, with their copies."""
    found: dict[str, list[Copy]] = {}
    if rows:
        ids = [row.file_id for row in rows]
        query = select(copies).where(copies.c.file_id.in_(ids)).order_by(copies.c.file_id, copies.c.element_id)
        for copy in await tx.execute(query.limit(len(ids) * _MAX_COPIES)):
            found.setdefault(copy.file_id, []).append(
                Copy(
                    element_id=copy.element_id,
                    path=copy.path,
                    state=CopyState(copy.state),
                    checked_at=copy.checked_at,
                    expires_at=copy.expires_at,
                )
            )
    return [_stored(row, found.get(row.file_id, [])) for row in rows]


async def forget(tx: Tx, team_id: str, file_id: str) -> StoredFile | None:
    """Take the rows of a file away; what stood there. The file itself is gone already, or never was."""
    query = select(*SHOWN).where(files.c.team_id == team_id, files.c.file_id == file_id).limit(1)
    row = (await tx.execute(query.with_for_update())).one_or_none()
    if row is None:
        return None
    stored = (await read(tx, [row]))[0]
    await tx.execute(delete(marks).where(marks.c.team_id == team_id, marks.c.number == row.number))
    await tx.execute(delete(files).where(files.c.team_id == team_id, files.c.number == row.number))
    await forget_copies(tx, team_id, file_id, [copy.element_id for copy in stored.copies])
    await perform(tx, owners.count([(team_id, row.owner, row.size_bytes)], sign=-1))
    return stored


async def forget_copies(tx: Tx, team_id: str, file_id: str, element_ids: Collection[str]) -> None:
    """The copies on these elements are not there any more."""
    theirs = (copies.c.team_id == team_id, copies.c.file_id == file_id, copies.c.element_id.in_(sorted(element_ids)))
    gone = await tx.execute(delete(copies).where(*theirs).returning(copies.c.element_id, copies.c.size_bytes))
    await perform(tx, count_spaces([(element_id, size) for element_id, size in gone.all()], sign=-1))


async def count(tx: Tx, team_id: str) -> int:
    """How many files the team has."""
    return int(
        (await tx.execute(select(func.count()).select_from(files).where(files.c.team_id == team_id))).scalar_one()
    )


def attributes_of(row: Row[Any]) -> Attributes:
    """The attributes in a row of :data:`SHOWN`."""
    return Attributes(
        file_id=row.file_id,
        path=row.path,
        filename=row.filename,
        content_type=row.content_type,
        size_bytes=row.size_bytes,
        checksum=row.checksum,
        storage_element_id=row.element_id,
        created_at=row.created_at,
        team_id=row.team_id,
        owner=row.owner,
        retention=Retention(kind=RetentionKind(row.retention), expires_at=row.expires_at),
        revision=row.revision,
        tags=tuple(row.tags),
        custom=row.custom,
        provenance=None if row.provenance is None else msgspec.convert(row.provenance, Provenance),
        replicas=row.replicas,
    )


def _stored(row: Row[Any], found: Sequence[Copy]) -> StoredFile:
    first = sorted(found, key=lambda copy: (copy.element_id != row.element_id, copy.element_id))
    return StoredFile(attributes=attributes_of(row), copies=tuple(first))
