"""Rows made from attributes, over and over: only what is newer changes anything."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Row, bindparam, delete, func, insert, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from samovar.domains.files.model.names import number_of
from samovar.domains.files.model.query import custom_text, searched
from samovar.domains.files.model.records import Copy, CopyState, StoredFile
from samovar.domains.files.store.tables import copies, files, marks, owners, spaces
from samovar.ports.database import Tx, add_to_rows
from samovar.ports.elements import Attributes, Provenance, Retention, RetentionKind

SHOWN: Final = tuple([column for column in files.columns if column.name not in ("stems",)])
_MAX_COPIES: Final = 16
_MAX_MARK_CHARS: Final = 400


async def project(tx: Tx, told: Sequence[Attributes], *, amended: Sequence[Attributes] = ()) -> list[Attributes]:
    """Bring the rows up to what these say, and return those that were news: a file that was not there, or at a newer
    revision. The same may be told any number of times, and by several at once. A row that is not there is not made by what was
    ``amended``: its file was deleted since."""
    # One order for all writers, so that two of them cannot wait for each other.
    ordered = sorted({one.file_id: one for one in sorted(told, key=_revision)}.values(), key=lambda one: one.file_id)
    originals = [one for one in ordered if one.replica_of is None]
    news = await _added(tx, originals) if originals else []
    fresh = {one.file_id for one in news}
    for one in originals:
        if one.file_id not in fresh and await _changed(tx, one):
            news.append(one)
    news += [one for one in sorted(amended, key=lambda one: (one.file_id, one.revision)) if await _changed(tx, one)]
    await _keep_copies(tx, told)
    return news


async def absent(tx: Tx, told: Sequence[Attributes]) -> set[str]:
    """Which of these files have no row."""
    wanted = {one.file_id for one in told}
    if not wanted:
        return wanted
    query = select(files.c.file_id).where(files.c.file_id.in_(sorted(wanted))).limit(len(wanted))
    return wanted - {row.file_id for row in await tx.execute(query)}


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
    for copy in stored.copies:
        await forget_copy(tx, team_id, file_id, copy.element_id)
    await _count_owners(tx, {(team_id, row.owner): (-1, -row.size_bytes)})
    return stored


async def forget_copy(tx: Tx, team_id: str, file_id: str, element_id: str) -> None:
    """One copy is not there any more."""
    gone = await tx.execute(
        delete(copies)
        .where(copies.c.team_id == team_id, copies.c.file_id == file_id, copies.c.element_id == element_id)
        .returning(copies.c.size_bytes)
    )
    for (size,) in gone.all():
        await _count_space(tx, {element_id: (-1, -size)})


async def _added(tx: Tx, told: Sequence[Attributes]) -> list[Attributes]:
    """Insert those that are not there yet; which those were. The database decides it for each, so that of two who tell the
    same only one counts it."""
    values = [values_of(one, number) for one, number in zip(told, await numbers_for(tx, told), strict=True)]
    new = {row.file_id for row in await tx.execute(_files_added(tx.dialect.name), values)}
    number_by_id = {value["file_id"]: value["number"] for value in values}
    added = [one for one in told if one.file_id in new]
    if rows := [row for one in added for row in marks_of(one, number_by_id[one.file_id])]:
        await tx.execute(insert(marks), rows)
    by_owner: dict[tuple[str, str], tuple[int, int]] = {}
    for one in added:
        count, size = by_owner.get((one.team_id, one.owner), (0, 0))
        by_owner[one.team_id, one.owner] = (count + 1, size + one.size_bytes)
    await _count_owners(tx, by_owner)
    return added


async def numbers_for(tx: Tx, told: Sequence[Attributes]) -> list[int]:
    """A number for each: its own, or the next one that is free."""
    wanted = [number_of(one.file_id) for one in told]
    holders: dict[int, str | None] = dict.fromkeys(wanted)
    holders.update(await holders_of(tx, wanted))
    numbers = []
    for one, own in zip(told, wanted, strict=True):
        number = own
        while holders[number] not in (None, one.file_id):
            number += 1
            if number not in holders:
                holders[number] = await tx.scalar(select(files.c.file_id).where(files.c.number == number).limit(1))
        holders[number] = one.file_id
        numbers.append(number)
    return numbers


async def holders_of(tx: Tx, numbers: Sequence[int]) -> dict[int, str]:
    """Which file has each of these numbers, where one has."""
    # As one parameter: to bind hundreds costs more than to look them up.
    listed = "SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:numbers AS jsonb))"
    if tx.dialect.name != "postgresql":
        listed = "SELECT value FROM json_each(:numbers)"
    given = text(f"({listed})").bindparams(numbers=msgspec.json.encode(numbers).decode())
    query = select(files.c.number, files.c.file_id).where(files.c.number.op("IN")(given)).limit(len(numbers))
    return {row.number: row.file_id for row in await tx.execute(query)}


async def _changed(tx: Tx, one: Attributes) -> bool:
    """Write a newer revision over an older one; whether it was newer."""
    values = values_of(one, 0)
    del values["number"], values["file_id"], values["team_id"]
    statement = (
        update(files)
        .where(files.c.team_id == one.team_id, files.c.file_id == one.file_id, files.c.revision < one.revision)
        .values(**values)
        .returning(files.c.number)
    )
    number = (await tx.execute(statement)).scalar_one_or_none()
    if number is None:
        return False
    await tx.execute(delete(marks).where(marks.c.team_id == one.team_id, marks.c.number == number))
    if rows := [*marks_of(one, number)]:
        await tx.execute(insert(marks), rows)
    return True


async def _keep_copies(tx: Tx, told: Sequence[Attributes]) -> None:
    values = [
        {
            "file_id": one.file_id,
            "element_id": one.storage_element_id,
            "team_id": one.team_id,
            "path": one.path,
            "state": CopyState.GOOD.value,
            "size_bytes": one.size_bytes,
            "checked_at": None,
            "expires_at": one.retention.expires_at if one.replica_of else None,
        }
        for one in sorted({(one.file_id, one.storage_element_id): one for one in told}.values(), key=_copy_key)
    ]
    if not values:
        return
    added = await tx.execute(_copies_added(tx.dialect.name), values)
    by_element: dict[str, tuple[int, int]] = {}
    for row in added:
        count, size = by_element.get(row.element_id, (0, 0))
        by_element[row.element_id] = (count + 1, size + row.size_bytes)
    await _count_space(tx, by_element)
    for value in values:
        if value["expires_at"] is not None:
            mine = (copies.c.file_id == value["file_id"], copies.c.element_id == value["element_id"])
            await tx.execute(update(copies).where(*mine).values(expires_at=value["expires_at"]))


async def _count_owners(tx: Tx, by_owner: Mapping[tuple[str, str], tuple[int, int]]) -> None:
    if by_owner:
        values = [
            {"of_team": team_id, "of_owner": owner, "count": count, "size": size}
            for (team_id, owner), (count, size) in sorted(by_owner.items())
        ]
        await tx.execute(_owners_grown(tx.dialect.name), values)


@cache
def _owners_grown(dialect: str) -> Any:
    # Made once: to put such a statement together costs as much as to run it, and one runs with every upload.
    count, size = bindparam("count", type_=BigInteger), bindparam("size", type_=BigInteger)
    return (
        _insert_in(dialect, owners)
        .values(
            team_id=bindparam("of_team"),
            owner=bindparam("of_owner"),
            files=count,
            size_bytes=size,
            held_files=0,
            held_bytes=0,
        )
        .on_conflict_do_update(
            index_elements=["team_id", "owner"],
            set_={"files": owners.c.files + count, "size_bytes": owners.c.size_bytes + size},
        )
    )


async def _count_space(tx: Tx, by_element: Mapping[str, tuple[int, int]]) -> None:
    grown = [(element_id, count, size) for element_id, (count, size) in sorted(by_element.items())]
    await add_to_rows(tx, spaces, grown, keys=("element_id",))


async def count(tx: Tx, team_id: str) -> int:
    """How many files the team has."""
    return int(
        (await tx.execute(select(func.count()).select_from(files).where(files.c.team_id == team_id))).scalar_one()
    )


def mark_of_tag(tag: str) -> str:
    """What a tag is looked up by."""
    return f"#{tag}"


def mark_of_custom(key: str, value: str) -> str:
    """What a custom attribute with its value (as :func:`custom_text`) is looked up by."""
    return f"{key}={value}"[:_MAX_MARK_CHARS]


def marks_of(one: Attributes, number: int) -> Iterable[dict[str, Any]]:
    """The rows that a file is looked up by."""
    found = [mark_of_tag(tag) for tag in one.tags]
    found += [mark_of_custom(key, custom_text(value)) for key, value in one.custom.items()]
    return [{"team_id": one.team_id, "mark": mark, "number": number} for mark in dict.fromkeys(found)]


def _revision(one: Attributes) -> int:
    return one.revision


def _copy_key(one: Attributes) -> tuple[str, str]:
    return one.storage_element_id, one.file_id


def _insert_in(dialect: str, table: Any) -> Any:
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)


@cache
def _files_added(dialect: str) -> Any:
    return _insert_in(dialect, files).on_conflict_do_nothing(index_elements=["file_id"]).returning(files.c.file_id)


@cache
def _copies_added(dialect: str) -> Any:
    statement = _insert_in(dialect, copies).on_conflict_do_nothing(index_elements=["file_id", "element_id"])
    return statement.returning(copies.c.element_id, copies.c.size_bytes)


def values_of(one: Attributes, number: int) -> dict[str, Any]:
    """The row of a file under its number."""
    return {
        "number": number,
        "team_id": one.team_id,
        "file_id": one.file_id,
        "owner": one.owner,
        "content_type": one.content_type,
        "size_bytes": one.size_bytes,
        "checksum": one.checksum,
        "element_id": one.storage_element_id,
        "retention": one.retention.kind.value,
        "created_at": one.created_at,
        "expires_at": one.retention.expires_at,
        "revision": one.revision,
        "path": one.path,
        "filename": one.filename,
        "tags": list(one.tags),
        "custom": one.custom,
        "provenance": None if one.provenance is None else msgspec.to_builtins(one.provenance),
        "stems": searched(one.filename, one.tags, one.custom),
        "replicas": one.replicas,
    }


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
