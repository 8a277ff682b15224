"""Lists of files: filtered and sorted in SQL, before the limit.

Every list either has few rows to look at, or walks an index in the order that is asked for and stops when the page is full.
PostgreSQL finds out by its statistics which it is. SQLite has none: there the rarest of what is asked for is looked up first,
counted to a bound (see ``ways.py``).
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, and_, or_, select

from samovar.domains.files.model.query import FileQuery, Place, Sort, number_from, place_of
from samovar.domains.files.store.rows import SHOWN, attributes_of
from samovar.domains.files.store.search import is_sqlite, plan_for_words, words_match
from samovar.domains.files.store.tables import files
from samovar.domains.files.store.values import mark_of_custom, mark_of_tag
from samovar.domains.files.store.ways import Asked, Rule, has_mark, of_a_rare_mark, on_sqlite, order_of
from samovar.ports.database import Tx
from samovar.ports.elements import Attributes
from samovar.ports.words import query_stems

_LAST_NUMBER: Final = 2**63 - 1


async def page(tx: Tx, team_id: str, query: FileQuery, *, limit: int) -> list[tuple[Place, Attributes]]:
    """``limit`` files that ``query`` asks for, from its cursor on, each with its place. Raises ``BadFile``."""
    place = place_of(query)
    stems = () if query.text is None else query_stems(query.text)
    if query.text is not None and not stems:
        # Where nothing is asked for that could be a word, nothing is found.
        return []
    asked = Asked(
        team_id=team_id,
        sort=query.sort,
        stems=stems,
        marks=(*(mark_of_tag(tag) for tag in query.tags), *(mark_of_custom(*pair) for pair in query.custom.items())),
        rules=tuple(_rules(query)),
    )
    bounds = _bounds(query, place)
    if is_sqlite(tx):
        chosen = await on_sqlite(tx, select(*SHOWN), asked)
    else:
        if stems:
            await plan_for_words(tx)
        chosen = (await of_a_rare_mark(tx, select(*SHOWN), asked)).where(
            files.c.team_id == team_id, *[rule.plain() for rule in asked.rules]
        )
        chosen = chosen.where(
            *[has_mark(team_id, mark) for mark in asked.marks], *([words_match(stems)] if stems else [])
        )
        chosen = chosen.order_by(*order_of(query.sort, files.c.number))
    rows = (await tx.execute(chosen.where(*bounds).limit(limit))).all()
    return [(Place(query.sort, row.number, row.size_bytes), attributes_of(row)) for row in rows]


def _rules(query: FileQuery) -> list[Rule]:
    rules: list[Rule] = []
    if query.owner is not None:
        rules.append(Rule(files.c.owner, query.owner, query.owner))
    if query.content_type is not None:
        if query.content_type.endswith("/*"):
            kind = query.content_type[:-1]
            # Behind the slash comes the naught, in the order of code points.
            rules.append(Rule(files.c.content_type, kind, kind[:-1] + "0", is_open=True))
        else:
            rules.append(Rule(files.c.content_type, query.content_type, query.content_type))
    if query.checksum is not None:
        rules.append(Rule(files.c.checksum, query.checksum, query.checksum))
    if query.min_bytes is not None or query.max_bytes is not None:
        rules.append(Rule(files.c.size_bytes, query.min_bytes, query.max_bytes))
    if query.retention is not None:
        rules.append(Rule(files.c.retention, query.retention.value, query.retention.value, is_indexed=False))
    return rules


def _bounds(query: FileQuery, place: Place | None) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = []
    number, size = files.c.number, files.c.size_bytes
    if query.created_from is not None:
        rules += [number >= number_from(query.created_from), files.c.created_at >= query.created_from]
    if query.created_to is not None:
        # A number may have had to give way to another of its millisecond: the instant itself is the judge.
        rules += [
            number < min(number_from(query.created_to) + (1 << 20), _LAST_NUMBER),
            files.c.created_at < query.created_to,
        ]
    if place is None:
        return rules
    if query.sort is not Sort.LARGEST:
        return [*rules, number < place.number if query.sort is Sort.NEWEST else number > place.number]
    behind: ColumnElement[Any] = or_(size < place.size_bytes, and_(size == place.size_bytes, number < place.number))
    # The first rule said apart, so that the index is entered at the place and not walked from its start.
    return [*rules, size <= place.size_bytes, behind]
