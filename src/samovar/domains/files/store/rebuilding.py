"""Many rows made from attributes at once, whatever stood there before.

What owners and elements have is not counted along the way: :func:`recount` does it at the end, for all of them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import case, delete, func, insert, or_, select, text, update

from samovar.domains.files.model.records import CopyState
from samovar.domains.files.store.rows import SHOWN, attributes_of, holders_of, marks_of, numbers_for, values_of
from samovar.domains.files.store.tables import copies, files, marks, owners, spaces
from samovar.ports.database import Instant, Json, Tx, among, insert_rows
from samovar.ports.elements import Attributes


class KnownCopy(NamedTuple):
    """A copy that the rows know. ``is_original``: its attributes are the file's."""

    file_id: str
    team_id: str
    path: str
    state: CopyState
    is_original: bool


async def known(tx: Tx, file_ids: Sequence[str]) -> dict[str, Attributes]:
    """What the rows say of these files, of whatever team."""
    query = select(*SHOWN).where(among(tx, files.c.file_id, file_ids)).limit(len(file_ids))
    return {row.file_id: attributes_of(row) for row in await tx.execute(query)}


async def add(tx: Tx, told: Sequence[Attributes]) -> None:
    """Rows for files that have none."""
    numbers = await numbers_for(tx, told)
    values = [values_of(one, number) for one, number in zip(told, numbers, strict=True)]
    new = await insert_rows(tx, files, [_driven(tx, files, value) for value in values], keys=("file_id",))
    taken = {number: one.file_id for one, number in zip(told, numbers, strict=True)}
    if new != len(values):
        # Somebody else wrote some of them just now, their marks too.
        taken = await holders_of(tx, numbers)
    marked = [
        (mark["team_id"], mark["mark"], mark["number"])
        for one, number in zip(told, numbers, strict=True)
        if taken.get(number) == one.file_id
        for mark in marks_of(one, number)
    ]
    await insert_rows(tx, marks, marked, keys=("team_id", "mark", "number"))


async def overwrite(tx: Tx, one: Attributes, *, revision: int) -> bool:
    """The row of a file over that of ``revision``, which may be newer than it should be; whether it still was of that."""
    values = values_of(one, 0)
    del values["number"], values["file_id"]
    stands = (files.c.file_id == one.file_id, files.c.revision == revision)
    number = (
        await tx.execute(update(files).where(*stands).values(**values).returning(files.c.number))
    ).scalar_one_or_none()
    if number is None:
        return False
    await tx.execute(delete(marks).where(marks.c.number == number))
    if rows := [*marks_of(one, number)]:
        await tx.execute(insert(marks), rows)
    return True


async def add_copies(tx: Tx, told: Sequence[Attributes]) -> None:
    """The copies that these are, where they are not known."""
    rows = [
        _driven(
            tx,
            copies,
            {
                "file_id": one.file_id,
                "element_id": one.storage_element_id,
                "team_id": one.team_id,
                "path": one.path,
                "state": CopyState.GOOD.value,
                "size_bytes": one.size_bytes,
                "checked_at": None,
                "expires_at": one.retention.expires_at if one.replica_of else None,
            },
        )
        for one in told
    ]
    await insert_rows(tx, copies, rows, keys=("file_id", "element_id"))


async def on_element(tx: Tx, element_id: str, *, after: str, limit: int) -> list[KnownCopy]:
    """What the rows say is on an element, by file id."""
    is_original = case((files.c.element_id == element_id, 1), else_=0).label("is_original")
    query = (
        select(copies.c.file_id, copies.c.team_id, copies.c.path, copies.c.state, is_original)
        .join(files, files.c.file_id == copies.c.file_id, isouter=True)
        .where(copies.c.element_id == element_id, copies.c.file_id > after)
        .order_by(copies.c.file_id)
        .limit(limit)
    )
    return [
        KnownCopy(row.file_id, row.team_id, row.path, CopyState(row.state), bool(row.is_original))
        for row in await tx.execute(query)
    ]


async def without_copies(tx: Tx, element_id: str, *, after: int, limit: int) -> list[tuple[int, Attributes]]:
    """Files that should be on an element, and of which the rows know no copy there; each with its number."""
    mine = (copies.c.file_id == files.c.file_id, copies.c.element_id == element_id)
    query = (
        select(*SHOWN)
        .where(files.c.element_id == element_id, files.c.number > after)
        .where(~select(copies.c.file_id).where(*mine).correlate(files).exists())
        .order_by(files.c.number)
        .limit(limit)
    )
    return [(row.number, attributes_of(row)) for row in await tx.execute(query)]


async def set_state(tx: Tx, file_id: str, element_id: str, state: CopyState) -> None:
    """How a copy was seen last."""
    mine = (copies.c.file_id == file_id, copies.c.element_id == element_id)
    await tx.execute(update(copies).where(*mine).values(state=state.value))


async def recount(tx: Tx) -> None:
    """What owners and elements have, counted anew. What uploads hold, and what owners may have, stays."""
    if tx.dialect.name == "postgresql":
        # Else what is written just now is counted twice, or not at all. In this order, as all who write them do.
        await tx.execute(text("LOCK TABLE files IN SHARE MODE"))
        await tx.execute(text("LOCK TABLE file_copies IN SHARE MODE"))
    await tx.execute(update(owners).values(files=0, size_bytes=0))
    having = select(
        files.c.team_id,
        files.c.owner,
        func.count().label("files"),
        func.sum(files.c.size_bytes).label("size_bytes"),
    ).group_by(files.c.team_id, files.c.owner)
    for row in (await tx.execute(having)).all():
        mine = (owners.c.team_id == row.team_id, owners.c.owner == row.owner)
        said = {"files": row.files, "size_bytes": int(row.size_bytes)}
        if (await tx.execute(update(owners).where(*mine).values(**said))).rowcount == 0:
            none = {"team_id": row.team_id, "owner": row.owner, "held_files": 0, "held_bytes": 0}
            await tx.execute(insert(owners).values(**none, **said))
    await tx.execute(delete(spaces))
    on_elements = select(
        copies.c.element_id, func.count().label("files"), func.sum(copies.c.size_bytes).label("size_bytes")
    ).group_by(copies.c.element_id)
    rows = [
        {"element_id": row.element_id, "files": row.files, "size_bytes": int(row.size_bytes)}
        for row in await tx.execute(on_elements)
    ]
    if rows:
        await tx.execute(insert(spaces), rows)


def _driven(tx: Tx, table: Any, values: dict[str, Any]) -> list[object]:
    """As the driver takes them: see :func:`~samovar.ports.database.insert_rows`."""
    return [_plain(tx, column.type, values[column.name]) for column in table.columns]


def _plain(tx: Tx, kind: Any, value: Any) -> object:
    if value is None:
        return None
    if isinstance(kind, Instant):
        return kind.process_bind_param(value, tx.dialect)
    if isinstance(kind, Json):
        return msgspec.json.encode(value).decode()
    return value


async def at_path(tx: Tx, element_id: str, path: str) -> KnownCopy | None:
    """The copy that should stand at a path of an element."""
    is_original = case((files.c.element_id == element_id, 1), else_=0).label("is_original")
    query = (
        select(copies.c.file_id, copies.c.team_id, copies.c.path, copies.c.state, is_original)
        .join(files, files.c.file_id == copies.c.file_id, isouter=True)
        .where(copies.c.element_id == element_id, copies.c.path == path)
        .limit(1)
    )
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else KnownCopy(row.file_id, row.team_id, row.path, CopyState(row.state), bool(row[4]))


async def checked(tx: Tx, element_id: str, file_ids: Sequence[str], *, at: datetime) -> None:
    """These copies were looked at."""
    mine = (among(tx, copies.c.file_id, file_ids), copies.c.element_id == element_id)
    await tx.execute(update(copies).where(*mine).values(checked_at=at))


async def unchecked(tx: Tx, element_id: str, *, since: datetime, after: str, limit: int) -> list[KnownCopy]:
    """Copies on an element that nobody has looked at ``since`` then, by file id; all of them count as no originals here."""
    old = or_(copies.c.checked_at.is_(None), copies.c.checked_at < since)
    query = (
        select(copies.c.file_id, copies.c.team_id, copies.c.path, copies.c.state)
        .where(copies.c.element_id == element_id, copies.c.file_id > after, old)
        .order_by(copies.c.file_id)
        .limit(limit)
    )
    return [
        KnownCopy(row.file_id, row.team_id, row.path, CopyState(row.state), False) for row in await tx.execute(query)
    ]
