"""Lists of prompts: filtered and sorted in SQL, before the limit."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlalchemy.engine import Row
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from samovar.domains.prompts.model.prompt import Prompt
from samovar.domains.prompts.model.query import ORDERS, PromptQuery, Sort, place_of
from samovar.domains.prompts.model.words import query_stems
from samovar.domains.prompts.store.rows import SHOWN, read
from samovar.domains.prompts.store.search import WORDS, has_tag, holds_all, sorts_all_found
from samovar.domains.prompts.store.tables import labels, prompts
from samovar.ports.database import Tx

# For each prompt that is wanted.
_LOOKED_AT: Final = 4


async def page(tx: Tx, team_id: str, query: PromptQuery, *, limit: int) -> list[Prompt]:
    """``limit`` prompts that ``query`` asks for, from its cursor on. Raises ``BadPrompt``."""
    rules = _rules(tx, team_id, query)
    if query.q is None:
        return await read(tx, await _first(tx, query.sort, limit, *rules))
    stems = query_stems(query.q)
    # Where nothing is asked for that could be a word, nothing is found.
    return await read(tx, await _searched(tx, query.sort, limit, rules, stems)) if stems else []


async def _first(tx: Tx, sort: Sort, limit: int, *rules: ColumnElement[bool]) -> Sequence[Row[Any]]:
    return (await tx.execute(select(*SHOWN).where(*rules).order_by(*_order(sort, prompts.c)).limit(limit))).all()


async def _searched(
    tx: Tx, sort: Sort, limit: int, rules: Sequence[ColumnElement[bool]], stems: Sequence[str]
) -> Sequence[Row[Any]]:
    words = holds_all(tx, stems)
    if sorts_all_found(tx):
        # Words that are in a quarter of the prompts fill the page from the list's next few. That is seen fast, and else the
        # index has little to sort.
        few = select(*SHOWN, WORDS).where(*rules).order_by(*_order(sort, prompts.c)).limit(limit * _LOOKED_AT)
        near = few.subquery(prompts.name)
        shown = [near.c[column.name] for column in SHOWN]
        found = (await tx.execute(select(*shown).where(words).order_by(*_order(sort, near.c)).limit(limit))).all()
        if len(found) == limit:
            return found
    return await _first(tx, sort, limit, *rules, words)


def _rules(tx: Tx, team_id: str, query: PromptQuery) -> list[ColumnElement[bool]]:
    """All that is asked for but the words."""
    rules: list[ColumnElement[bool]] = [prompts.c.team_id == team_id, prompts.c.namespace == query.namespace]
    if query.lang is not None:
        rules.append(prompts.c.lang == query.lang)
    if query.active is not None:
        rules.append(prompts.c.is_active if query.active else ~prompts.c.is_active)
    if query.name is not None:
        rules.append(prompts.c.name == query.name)
    if query.tag is not None:
        rules.append(has_tag(tx, team_id, query.namespace, query.tag))
    if query.label is not None:
        pointed = select(labels.c.prompt_id).where(
            labels.c.team_id == team_id, labels.c.namespace == query.namespace, labels.c.label == query.label
        )
        rules.append(prompts.c.id.in_(pointed))
    if query.cursor is not None:
        rules.append(_after(query.sort, place_of(query.cursor, query.sort)))
    return rules


def _after(sort: Sort, place: tuple[Any, ...]) -> ColumnElement[bool]:
    """Behind ``place`` in the sort: greater in the first column, or the same there and behind in the rest."""
    orders = ORDERS[sort]
    behind: ColumnElement[bool] = false()
    for order, value in reversed([*zip(orders, place, strict=True)]):
        column = _column(order.column)
        beyond = column < value if order.descending else column > value
        behind = or_(beyond, and_(column == value, behind))
    head, first = _column(orders[0].column), place[0]
    # Said apart, so that the index is entered at the place and not walked from its start.
    return and_(head <= first if orders[0].descending else head >= first, behind)


def _order(sort: Sort, columns: ReadOnlyColumnCollection[str, Any]) -> list[ColumnElement[Any]]:
    return [columns[one.column].desc() if one.descending else columns[one.column] for one in ORDERS[sort]]


def _column(name: str) -> ColumnElement[Any]:
    return prompts.c[name]
