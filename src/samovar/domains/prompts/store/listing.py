"""Lists of prompts: filtered and sorted in SQL, before the limit."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, or_, select

from samovar.domains.prompts.model.prompt import Prompt
from samovar.domains.prompts.model.query import ORDERS, PromptQuery, Sort, place_of
from samovar.domains.prompts.model.words import query_stems
from samovar.domains.prompts.store.rows import SHOWN, read
from samovar.domains.prompts.store.search import has_tag, holds_all
from samovar.domains.prompts.store.tables import labels, prompts
from samovar.ports.database import Tx


async def page(tx: Tx, team_id: str, query: PromptQuery, *, limit: int) -> list[Prompt]:
    """``limit`` prompts that ``query`` asks for, from its cursor on. Raises ``BadPrompt``."""
    chosen = select(*SHOWN).where(prompts.c.team_id == team_id, prompts.c.namespace == query.namespace)
    chosen = _filtered(tx, team_id, chosen, query)
    if query.cursor is not None:
        chosen = chosen.where(_after(query.sort, place_of(query.cursor, query.sort)))
    order = [_column(one.column).desc() if one.descending else _column(one.column) for one in ORDERS[query.sort]]
    return await read(tx, (await tx.execute(chosen.order_by(*order).limit(limit))).all())


def _filtered(tx: Tx, team_id: str, chosen: Select[Any], query: PromptQuery) -> Select[Any]:
    if query.lang is not None:
        chosen = chosen.where(prompts.c.lang == query.lang)
    if query.active is not None:
        chosen = chosen.where(prompts.c.is_active if query.active else ~prompts.c.is_active)
    if query.name is not None:
        chosen = chosen.where(prompts.c.name == query.name)
    if query.tag is not None:
        chosen = chosen.where(has_tag(tx, team_id, query.namespace, query.tag))
    if query.label is not None:
        pointed = select(labels.c.prompt_id).where(
            labels.c.team_id == team_id, labels.c.namespace == query.namespace, labels.c.label == query.label
        )
        chosen = chosen.where(prompts.c.id.in_(pointed))
    if query.q is not None:
        stems = query_stems(query.q)
        # Where nothing is asked for that could be a word, nothing is found.
        chosen = chosen.where(holds_all(tx, stems) if stems else false())
    return chosen


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


def _column(name: str) -> ColumnElement[Any]:
    return prompts.c[name]
