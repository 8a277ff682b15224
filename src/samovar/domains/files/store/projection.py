"""Rows made from attributes, over and over: only what is newer changes anything.

One of these runs with every upload, so they are scripts: see :mod:`samovar.ports.scripts`.

All who write these tables take them in one order, and the rows of each by their keys, so that no two wait for each other:
files, marks, copies, elements' spaces, transactions, holds, and owners last, in one statement, for those all wait for.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, bindparam, delete, select, update

from samovar.domains.files.model.names import number_of
from samovar.domains.files.store.tables import copies, files, marks, spaces
from samovar.domains.files.store.values import copy_values_of, marks_of, values_of
from samovar.ports.database import among_json
from samovar.ports.elements import Attributes
from samovar.ports.scripts import Add, Ask, Script, plain


class Projected(NamedTuple):
    """``new`` are files that were not there: their owners have them from now on, which is for the caller to count. ``changed``
    are at a newer revision."""

    new: list[Attributes]
    changed: list[Attributes]


def project(told: Sequence[Attributes], *, amended: Sequence[Attributes] = ()) -> Script[Projected]:
    """Bring the rows up to what these say. The same may be told any number of times, and by several at once. A row that is not
    there is not made by what was ``amended``: its file was deleted since."""
    originals = {one.file_id: one for one in sorted(told, key=_revision) if one.replica_of is None}
    new = yield from add_rows([*originals.values()])
    added = {one.file_id for one in new}
    changed = []
    stood = [one for file_id, one in originals.items() if file_id not in added]
    for one in sorted([*stood, *amended], key=lambda one: (one.file_id, one.revision)):
        if (yield from _changed(one)):
            changed.append(one)
    yield from _keep_copies(told)
    return Projected(new, changed)


def absent(told: Sequence[Attributes]) -> Script[set[str]]:
    """Which of these files have no row."""
    wanted = {one.file_id for one in told}
    return wanted - (yield from _there(wanted)) if wanted else wanted


def count_spaces(copied: Iterable[tuple[str, int]], *, sign: int = 1) -> Script[None]:
    """A copy more (or less, where ``sign`` is -1) of so many bytes on its element, for each of these."""
    by_element: dict[str, tuple[int, int]] = {}
    for element_id, size_bytes in copied:
        count, size = by_element.get(element_id, (0, 0))
        by_element[element_id] = (count + sign, size + sign * size_bytes)
    grown = [(element_id, *more) for element_id, more in sorted(by_element.items())]
    yield Add(spaces, grown, ("element_id",), grown=("files", "size_bytes"))


def add_rows(told: Sequence[Attributes]) -> Script[list[Attributes]]:
    """Insert those that are not there yet, and what they are looked up by; which those were. The database decides it for each, so
    that of two who tell the same only one does. What their owners have is not counted."""
    told = sorted(told, key=_file_id)
    numbers = {one.file_id: number_of(one.file_id) for one in told}
    written = yield _rows_of(told, numbers)
    new = {file_id for (file_id,) in written.rows}
    if len(new) < len(told):
        there = yield from _there(numbers.keys() - new)
        for one in told:
            # Another file has its number: the next one that is free.
            while one.file_id not in new and one.file_id not in there:
                numbers[one.file_id] += 1
                if (yield _rows_of([one], numbers)).rows:
                    new.add(one.file_id)
                else:
                    there |= yield from _there([one.file_id])
    added = [one for one in told if one.file_id in new]
    yield Add(marks, _mark_rows(added, numbers))
    return added


def add_copies(told: Sequence[Attributes]) -> Script[Sequence[tuple[str, int]]]:
    """Insert the copies that these are, where they are not known; the element and the bytes of those."""
    return (yield Add(copies, _copy_rows(told), ("file_id", "element_id"), returning=("element_id", "size_bytes"))).rows


def new_rows(told: Sequence[Attributes]) -> list[Add]:
    """All rows of files of which none stands in the tables, put together ahead: some 30 microseconds a file, for a thread. A
    replica is no file."""
    originals = sorted([one for one in told if one.replica_of is None], key=_file_id)
    numbers = {one.file_id: number_of(one.file_id) for one in originals}
    rows = (
        (files, _file_rows(originals, numbers)),
        (marks, _mark_rows(originals, numbers)),
        (copies, _copy_rows(told)),
    )
    return [Add(table, some, are_new=True) for table, some in rows]


def _rows_of(told: Iterable[Attributes], numbers: Mapping[str, int]) -> Add:
    return Add(files, _file_rows(told, numbers), returning=("file_id",))


def _file_rows(told: Iterable[Attributes], numbers: Mapping[str, int]) -> list[Sequence[object]]:
    return plain(files, [values_of(one, numbers[one.file_id]) for one in told])


def _mark_rows(told: Iterable[Attributes], numbers: Mapping[str, int]) -> list[Sequence[object]]:
    return plain(marks, [row for one in told for row in marks_of(one, numbers[one.file_id])])


def _copy_rows(told: Iterable[Attributes]) -> list[Sequence[object]]:
    one_each = {_copy_key(one): one for one in told}
    return plain(copies, [copy_values_of(one) for _, one in sorted(one_each.items())])


def _there(file_ids: Iterable[str]) -> Script[set[str]]:
    found = yield Ask(_those_there, {"among": msgspec.json.encode(sorted(file_ids)).decode()})
    return {file_id for (file_id,) in found.rows}


@cache
def _those_there(dialect: str) -> Any:
    return select(files.c.file_id).where(among_json(dialect, files.c.file_id))


def _changed(one: Attributes) -> Script[bool]:
    """Write a newer revision over an older one; whether it was newer."""
    values = {f"to_{name}": value for name, value in values_of(one, 0).items()}
    found = yield Ask(_newer, values)
    if not found.rows:
        return False
    ((number,),) = found.rows
    yield Ask(_unmarked, {"of_team": one.team_id, "of_number": number})
    yield Add(marks, plain(marks, marks_of(one, number)))
    return True


@cache
def _newer(_: str) -> Any:
    given = {column.name: bindparam(f"to_{column.name}", type_=column.type) for column in files.columns}
    stands = [files.c.team_id == given.pop("team_id"), files.c.file_id == given.pop("file_id")]
    del given["number"]
    older = files.c.revision < given["revision"]
    return update(files).where(*stands, older).values(**given).returning(files.c.number)


@cache
def _unmarked(_: str) -> Any:
    number = bindparam("of_number", type_=BigInteger)
    return delete(marks).where(marks.c.team_id == bindparam("of_team"), marks.c.number == number)


def _keep_copies(told: Sequence[Attributes]) -> Script[None]:
    copied = yield from add_copies(told)
    for one in sorted([one for one in told if one.replica_of], key=_copy_key):
        values = copy_values_of(one)
        if values["expires_at"] is not None:
            yield Ask(_ending, {f"of_{name}": values[name] for name in ("file_id", "element_id", "expires_at")})
    yield from count_spaces(copied)


@cache
def _ending(_: str) -> Any:
    mine = (copies.c.file_id == bindparam("of_file_id"), copies.c.element_id == bindparam("of_element_id"))
    return update(copies).where(*mine).values(expires_at=bindparam("of_expires_at", type_=copies.c.expires_at.type))


def _revision(one: Attributes) -> int:
    return one.revision


def _file_id(one: Attributes) -> str:
    return one.file_id


def _copy_key(one: Attributes) -> tuple[str, str]:
    return one.file_id, one.storage_element_id
