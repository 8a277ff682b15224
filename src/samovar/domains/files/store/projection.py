"""Rows made from attributes, over and over: only what is newer changes anything.

One of these runs with every upload, so they are scripts: see :mod:`samovar.ports.scripts`.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, bindparam, delete, select, update

from samovar.domains.files.model.names import number_of
from samovar.domains.files.store.tables import copies, files, marks, owners, spaces
from samovar.domains.files.store.values import copy_values_of, marks_of, values_of
from samovar.ports.database import among_json
from samovar.ports.elements import Attributes
from samovar.ports.scripts import Add, Ask, Script, plain


def project(told: Sequence[Attributes], *, amended: Sequence[Attributes] = ()) -> Script[list[Attributes]]:
    """Bring the rows up to what these say, and return those that were news: a file that was not there, or at a newer
    revision. The same may be told any number of times, and by several at once. A row that is not there is not made by what was
    ``amended``: its file was deleted since."""
    # One order for all writers, so that two of them cannot wait for each other.
    ordered = sorted({one.file_id: one for one in sorted(told, key=_revision)}.values(), key=_file_id)
    originals = [one for one in ordered if one.replica_of is None]
    news = yield from add_rows(originals)
    yield from count_owners(_by_owner(news))
    fresh = {one.file_id for one in news}
    for one in originals:
        if one.file_id not in fresh and (yield from _changed(one)):
            news.append(one)
    for one in sorted(amended, key=lambda one: (one.file_id, one.revision)):
        if (yield from _changed(one)):
            news.append(one)
    yield from _keep_copies(told)
    return news


def absent(told: Sequence[Attributes]) -> Script[set[str]]:
    """Which of these files have no row."""
    wanted = {one.file_id for one in told}
    return wanted - (yield from _there(wanted)) if wanted else wanted


def count_owners(by_owner: Mapping[tuple[str, str], tuple[int, int]]) -> Script[None]:
    """So many files and bytes more for each team and owner."""
    grown = [(team_id, owner, *more, 0, 0) for (team_id, owner), more in sorted(by_owner.items())]
    columns = ("team_id", "owner", "files", "size_bytes", "held_files", "held_bytes")
    yield Add(owners, grown, ("team_id", "owner"), columns, grown=("files", "size_bytes"))


def count_spaces(by_element: Mapping[str, tuple[int, int]]) -> Script[None]:
    """So many copies and bytes more on each element."""
    grown = [(element_id, *more) for element_id, more in sorted(by_element.items())]
    yield Add(spaces, grown, ("element_id",), grown=("files", "size_bytes"))


def add_rows(told: Sequence[Attributes]) -> Script[list[Attributes]]:
    """Insert those that are not there yet, and what they are looked up by; which those were. The database decides it for each, so
    that of two who tell the same only one does. What their owners have is not counted."""
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
    yield Add(marks, plain(marks, [row for one in added for row in marks_of(one, numbers[one.file_id])]))
    return added


def add_copies(told: Sequence[Attributes]) -> Script[Sequence[tuple[str, int]]]:
    """Insert the copies that these are, where they are not known; the element and the bytes of those."""
    one_each = {(one.storage_element_id, one.file_id): one for one in told}
    values = plain(copies, [copy_values_of(one) for _, one in sorted(one_each.items())])
    return (yield Add(copies, values, ("file_id", "element_id"), returning=("element_id", "size_bytes"))).rows


def _rows_of(told: Iterable[Attributes], numbers: Mapping[str, int]) -> Add:
    values = [values_of(one, numbers[one.file_id]) for one in told]
    return Add(files, plain(files, values), returning=("file_id",))


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


def _by_owner(told: Sequence[Attributes]) -> dict[tuple[str, str], tuple[int, int]]:
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for one in told:
        count, size = found.get((one.team_id, one.owner), (0, 0))
        found[one.team_id, one.owner] = (count + 1, size + one.size_bytes)
    return found


def _keep_copies(told: Sequence[Attributes]) -> Script[None]:
    by_element: dict[str, tuple[int, int]] = {}
    for element_id, size_bytes in (yield from add_copies(told)):
        count, size = by_element.get(element_id, (0, 0))
        by_element[element_id] = (count + 1, size + size_bytes)
    yield from count_spaces(by_element)
    for one in told:
        values = copy_values_of(one)
        if values["expires_at"] is not None:
            yield Ask(_ending, {f"of_{name}": values[name] for name in ("file_id", "element_id", "expires_at")})


@cache
def _ending(_: str) -> Any:
    mine = (copies.c.file_id == bindparam("of_file_id"), copies.c.element_id == bindparam("of_element_id"))
    return update(copies).where(*mine).values(expires_at=bindparam("of_expires_at", type_=copies.c.expires_at.type))


def _revision(one: Attributes) -> int:
    return one.revision


def _file_id(one: Attributes) -> str:
    return one.file_id
