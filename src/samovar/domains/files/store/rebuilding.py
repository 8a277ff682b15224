"""Many rows made from attributes at once, whatever stood there before.

What owners and elements have is not counted along the way: :func:`recount` does it at the end, for all of them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, case, delete, func, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError

from samovar.domains.files.model.records import CopyState
from samovar.domains.files.store.projection import add_copies, add_rows
from samovar.domains.files.store.rows import SHOWN, attributes_of
from samovar.domains.files.store.tables import copies, files, marks, owners, spaces
from samovar.domains.files.store.values import marks_of, values_of
from samovar.ports.database import Tx, among
from samovar.ports.elements import Attributes
from samovar.ports.scripts import Add, Script, perform


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


class SomethingStands(Exception):
    """A row that should be new is there already. The transaction is good for nothing more."""


async def add(tx: Tx, added: Sequence[Attributes], copied: Sequence[Attributes]) -> bool:
    """Rows for files that have none, and the copies that these are, where they are not known. Whether none of it stood there."""
    return await perform(tx, _add(added, copied))


async def add_new(tx: Tx, steps: Sequence[Add]) -> None:
    """What :func:`projection.new_rows` made. Raises :class:`SomethingStands`."""
    try:
        await perform(tx, _add_new(steps))
    except IntegrityError as error:
        raise SomethingStands from error


def _add(added: Sequence[Attributes], copied: Sequence[Attributes]) -> Script[bool]:
    new = yield from add_rows(added)
    newly_copied = yield from add_copies(copied)
    return len(new) == len(added) and len(newly_copied) == len(copied)


def _add_new(steps: Sequence[Add]) -> Script[None]:
    # Not "yield from": what each found is sent here, and a list takes nothing.
    for step in steps:  # noqa: UP028
        yield step


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


async def on_element(tx: Tx, element_id: str, *, after: str, limit: int) -> list[KnownCopy]:
    """What the rows say is on an element, by file id."""
    return await _known_copies(tx, element_id, copies.c.file_id > after, limit=limit)


async def ids_on_element(tx: Tx, element_id: str, *, after: str, limit: int) -> list[str]:
    """The ids of those alone: an index has them."""
    mine = (copies.c.element_id == element_id, copies.c.file_id > after)
    return [*await tx.scalars(select(copies.c.file_id).where(*mine).order_by(copies.c.file_id).limit(limit))]


async def these_on_element(tx: Tx, element_id: str, file_ids: Sequence[str]) -> list[KnownCopy]:
    """What the rows say of these copies on an element, by file id."""
    return await _known_copies(tx, element_id, among(tx, copies.c.file_id, file_ids), limit=len(file_ids))


async def _known_copies(tx: Tx, element_id: str, which: ColumnElement[bool], *, limit: int) -> list[KnownCopy]:
    is_original = case((files.c.element_id == element_id, 1), else_=0).label("is_original")
    query = (
        select(copies.c.file_id, copies.c.team_id, copies.c.path, copies.c.state, is_original)
        .join(files, files.c.file_id == copies.c.file_id, isouter=True)
        .where(copies.c.element_id == element_id, which)
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
        # All owners are written below, in no order.
        await tx.execute(text("LOCK TABLE file_owners IN SHARE ROW EXCLUSIVE MODE"))
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
