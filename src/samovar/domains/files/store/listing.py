"""Lists of files: filtered and sorted in SQL, before the limit.

Every list walks an index in the order that is asked for and stops when the page is full. Which index that is PostgreSQL finds
out by its statistics. SQLite has none of words and marks: so the rarest of what is asked for is looked up first (counted to a
bound), its index is walked, and all else is asked of each row.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, false, func, literal_column, or_, select, text

from samovar.domains.files.model.query import FileQuery, Place, Sort, number_from, place_of
from samovar.domains.files.model.records import StoredFile
from samovar.domains.files.store.rows import SHOWN, mark_of_custom, mark_of_tag, read
from samovar.domains.files.store.search import fts_expression, is_sqlite, words_match
from samovar.domains.files.store.tables import files, marks
from samovar.ports.database import Tx
from samovar.ports.words import query_stems

_PROBE: Final = 400
"""Counted no further: more than that is not rare."""


async def page(tx: Tx, team_id: str, query: FileQuery, *, limit: int) -> list[tuple[Place, StoredFile]]:
    """``limit`` files that ``query`` asks for, from its cursor on, each with its place. Raises ``BadFile``."""
    place = place_of(query)
    rules = [files.c.team_id == team_id, *_columns(query), *_bounds(query, place)]
    stems = () if query.text is None else query_stems(query.text)
    if query.text is not None and not stems:
        # Where nothing is asked for that could be a word, nothing is found.
        rules.append(false())
    wanted = [*(mark_of_tag(tag) for tag in query.tags), *(mark_of_custom(*pair) for pair in query.custom.items())]
    chosen = select(*SHOWN)
    if is_sqlite(tx):
        chosen = await _by_the_rarest(tx, team_id, chosen, wanted, stems)
    else:
        chosen = chosen.where(*[_has_mark(team_id, mark) for mark in wanted], *([words_match(stems)] if stems else []))
    rows = (await tx.execute(chosen.where(*rules).order_by(*_order(query.sort)).limit(limit))).all()
    places = [Place(query.sort, row.number, row.size_bytes) for row in rows]
    return [*zip(places, await read(tx, rows), strict=True)]


def _columns(query: FileQuery) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = []
    if query.owner is not None:
        rules.append(files.c.owner == query.owner)
    if query.content_type is not None:
        kind, star = query.content_type.removesuffix("*"), query.content_type.endswith("/*")
        column = files.c.content_type
        rules.append(and_(column >= kind, column < kind[:-1] + "0") if star else column == query.content_type)
    if query.retention is not None:
        rules.append(files.c.retention == query.retention.value)
    if query.checksum is not None:
        rules.append(files.c.checksum == query.checksum)
    if query.min_bytes is not None:
        rules.append(files.c.size_bytes >= query.min_bytes)
    if query.max_bytes is not None:
        rules.append(files.c.size_bytes <= query.max_bytes)
    return rules


def _bounds(query: FileQuery, place: Place | None) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = []
    if query.created_from is not None:
        rules += [files.c.number >= number_from(query.created_from), files.c.created_at >= query.created_from]
    if query.created_to is not None:
        # A number may have had to give way to another of its millisecond: the instant itself is the judge.
        rules.append(files.c.created_at < query.created_to)
        rules.append(files.c.number < number_from(query.created_to) + (1 << 20))
    if place is not None:
        number, size = files.c.number, files.c.size_bytes
        if query.sort is Sort.NEWEST:
            rules.append(number < place.number)
        elif query.sort is Sort.OLDEST:
            rules.append(number > place.number)
        else:
            # The first rule said apart, so that the index is entered at the place and not walked from its start.
            behind = or_(size < place.size_bytes, and_(size == place.size_bytes, number < place.number))
            rules += [size <= place.size_bytes, behind]
    return rules


def _order(sort: Sort) -> tuple[ColumnElement[Any], ...]:
    if sort is Sort.LARGEST:
        return files.c.size_bytes.desc(), files.c.number.desc()
    return (files.c.number.desc() if sort is Sort.NEWEST else files.c.number.asc(),)


def _has_mark(team_id: str, mark: str) -> ColumnElement[bool]:
    mine = (marks.c.team_id == team_id, marks.c.mark == mark, marks.c.number == files.c.number)
    return select(marks.c.number).where(*mine).exists()


async def _by_the_rarest(
    tx: Tx, team_id: str, chosen: Select[Any], wanted: list[str], stems: tuple[str, ...]
) -> Select[Any]:
    """On SQLite: the join that begins where there is least."""
    counted = [(await _count_mark(tx, team_id, mark), mark) for mark in wanted]
    rare, rarest = min(counted, default=(_PROBE, ""))
    if stems:
        matches = await _count_words(tx, stems)
        if matches < _PROBE or matches <= rare:
            # Few, or all are many: then the words' own index is walked, by number.
            chosen = _from_words(chosen, stems, materialised=matches < _PROBE)
        else:
            chosen = chosen.where(_has_words(stems))
    if wanted and (not stems or rare < _PROBE):
        mine = (marks.c.team_id == team_id, marks.c.mark == rarest)
        chosen = chosen.join(marks, marks.c.number == files.c.number).where(*mine)
        wanted = [mark for mark in wanted if mark != rarest]
    return chosen.where(*[_has_mark(team_id, mark) for mark in wanted])


async def _count_mark(tx: Tx, team_id: str, mark: str) -> int:
    some = select(marks.c.number).where(marks.c.team_id == team_id, marks.c.mark == mark).limit(_PROBE).subquery()
    return int((await tx.execute(select(func.count()).select_from(some))).scalar_one())


async def _count_words(tx: Tx, stems: tuple[str, ...]) -> int:
    some = "SELECT count(*) FROM (SELECT rowid FROM file_search WHERE file_search MATCH :wanted LIMIT :most)"
    found = await tx.execute(text(some).bindparams(wanted=fts_expression(stems), most=_PROBE))
    return int(found.scalar_one())


def _from_words(chosen: Select[Any], stems: tuple[str, ...], *, materialised: bool) -> Select[Any]:
    if materialised:
        found = text("(SELECT rowid FROM file_search WHERE file_search MATCH :wanted)")
        return chosen.where(files.c.number.op("IN")(found.bindparams(wanted=fts_expression(stems))))
    return chosen.where(_has_words(stems))


def _has_words(stems: tuple[str, ...]) -> ColumnElement[bool]:
    # The unary plus keeps SQLite from visiting the matches and sorting them: it walks the sort's index instead.
    plain: ColumnElement[Any] = literal_column("+files.number")
    found = text("(SELECT rowid FROM file_search WHERE file_search MATCH :wanted)")
    return plain.op("IN")(found.bindparams(wanted=fts_expression(stems)))
