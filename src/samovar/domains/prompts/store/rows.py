"""Rows of prompts: read, made, changed and deleted. The caller holds the team's turn (:func:`take_turn`) for what writes."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Row

from samovar.domains.prompts.model.prompt import FormerText, Prompt
from samovar.domains.prompts.model.variables import Variable
from samovar.domains.prompts.model.words import searched
from samovar.domains.prompts.store.tables import counters, history, labels, prompts, registries
from samovar.ports.database import Tx

SHOWN: Final = tuple(column for column in prompts.c if column.name not in ("stems", "team_id"))
MAX_HISTORY: Final = 500
"""Former texts kept of a version: of more the oldest go."""
_IDS: Final = "ids"


async def take_turn(tx: Tx, team_id: str) -> int:
    """From here to the end of the transaction nobody else writes this team's prompts. The answer counts its writes."""
    statement = _insert(tx, registries).values(team_id=team_id, changes=1)
    taken = statement.on_conflict_do_update(
        index_elements=["team_id"], set_={"changes": registries.c.changes + 1}
    ).returning(registries.c.changes)
    return int((await tx.execute(taken)).scalar_one())


async def writes(tx: Tx, team_ids: Iterable[str]) -> dict[str, int]:
    """How often each of these teams' prompts were written."""
    wanted = list(team_ids)
    query = (
        select(registries.c.team_id, registries.c.changes).where(registries.c.team_id.in_(wanted)).limit(len(wanted))
    )
    return {row.team_id: row.changes for row in await tx.execute(query)}


async def new_ids(tx: Tx, count: int = 1) -> range:
    """``count`` ids that nobody had and nobody else gets."""
    statement = _insert(tx, counters).values(name=_IDS, last=count)
    taken = statement.on_conflict_do_update(index_elements=["name"], set_={"last": counters.c.last + count}).returning(
        counters.c.last
    )
    last = int((await tx.execute(taken)).scalar_one())
    return range(last - count + 1, last + 1)


async def one(tx: Tx, team_id: str, prompt_id: int) -> Prompt | None:
    """One version."""
    return await first(tx, team_id, prompts.c.id == prompt_id)


async def default(tx: Tx, team_id: str, namespace: str, lang: str) -> Prompt | None:
    """The default of a namespace and language."""
    return await first(tx, team_id, prompts.c.namespace == namespace, prompts.c.lang == lang, prompts.c.is_default)


async def version(tx: Tx, team_id: str, place: tuple[str, str, str], number: int) -> Prompt | None:
    """One version of the prompt at ``place``: namespace, name, language."""
    return await first(tx, team_id, *_at(place), prompts.c.version == number)


async def labelled(tx: Tx, team_id: str, place: tuple[str, str, str], label: str) -> Prompt | None:
    """Where the label of the prompt at ``place`` points."""
    namespace, name, lang = place
    pointed = select(labels.c.prompt_id).where(
        labels.c.team_id == team_id,
        labels.c.namespace == namespace,
        labels.c.name == name,
        labels.c.lang == lang,
        labels.c.label == label,
    )
    return await first(tx, team_id, prompts.c.id == pointed.scalar_subquery())


async def newest(tx: Tx, team_id: str, place: tuple[str, str, str], *, active: bool = False) -> Prompt | None:
    """The highest version of the prompt at ``place``, or the highest active one."""
    rules = [*_at(place), *([prompts.c.is_active] if active else [])]
    return await first(tx, team_id, *rules, order=prompts.c.version.desc())


async def versions(tx: Tx, team_id: str, place: tuple[str, str, str], *, below: int | None, limit: int) -> list[Prompt]:
    """The versions of the prompt at ``place``, the newest first, from the one before version ``below``."""
    query = select(*SHOWN).where(prompts.c.team_id == team_id, *_at(place))
    if below is not None:
        query = query.where(prompts.c.version < below)
    found = await tx.execute(query.order_by(prompts.c.version.desc()).limit(limit))
    return await read(tx, found.all())


async def first(tx: Tx, team_id: str, *rules: Any, order: Any = None) -> Prompt | None:
    """The first row of the team that keeps the rules."""
    query = select(*SHOWN).where(prompts.c.team_id == team_id, *rules).limit(1)
    found = (await tx.execute(query if order is None else query.order_by(order))).all()
    return (await read(tx, found))[0] if found else None


async def read(tx: Tx, rows: Sequence[Row[Any]]) -> list[Prompt]:
    """The prompts in ``rows``, with their labels."""
    pointing: dict[int, list[str]] = {}
    if rows:
        query = select(labels.c.prompt_id, labels.c.label).where(labels.c.prompt_id.in_([row.id for row in rows]))
        for prompt_id, label in await tx.execute(query.limit(len(rows) * 1000)):
            pointing.setdefault(prompt_id, []).append(label)
    return [_prompt(row, tuple(sorted(pointing.get(row.id, ())))) for row in rows]


async def count(tx: Tx, team_id: str, *, most: int) -> int:
    """How many rows the team has, counted to ``most``."""
    some = select(prompts.c.id).where(prompts.c.team_id == team_id).limit(most).subquery()
    return int((await tx.execute(select(func.count()).select_from(some))).scalar_one())


async def add(tx: Tx, team_id: str, made: Sequence[Prompt]) -> None:
    """Insert. Their labels and what is default among them are set apart."""
    if made:
        await tx.execute(insert(prompts), [{"team_id": team_id, **_values(prompt)} for prompt in made])


async def change(tx: Tx, team_id: str, prompt: Prompt, *, before: Prompt) -> None:
    """Write a version anew, its former text into its history where it has another."""
    if (prompt.text, prompt.variables) != (before.text, before.variables):
        await _keep(tx, team_id, before, prompt)
    await tx.execute(
        update(prompts).where(prompts.c.team_id == team_id, prompts.c.id == prompt.id).values(**_values(prompt))
    )


async def remove(tx: Tx, team_id: str, prompt_id: int) -> None:
    """Delete a version, its history and the labels that point to it."""
    await tx.execute(delete(labels).where(labels.c.team_id == team_id, labels.c.prompt_id == prompt_id))
    await tx.execute(delete(prompts).where(prompts.c.team_id == team_id, prompts.c.id == prompt_id))


async def former(tx: Tx, team_id: str, prompt_id: int, revision: int) -> FormerText | None:
    """The text that a version had at a revision."""
    query = select(history).where(
        history.c.team_id == team_id, history.c.prompt_id == prompt_id, history.c.revision == revision
    )
    row = (await tx.execute(query.limit(1))).one_or_none()
    return None if row is None else _former(row)


async def formers(tx: Tx, team_id: str, prompt_id: int, *, below: int | None, limit: int) -> list[FormerText]:
    """The former texts of a version, the newest first, from the one before revision ``below``."""
    query = select(history).where(history.c.team_id == team_id, history.c.prompt_id == prompt_id)
    if below is not None:
        query = query.where(history.c.revision < below)
    return [_former(row) for row in await tx.execute(query.order_by(history.c.revision.desc()).limit(limit))]


async def _keep(tx: Tx, team_id: str, before: Prompt, after: Prompt) -> None:
    await tx.execute(
        insert(history).values(
            prompt_id=before.id,
            revision=before.revision,
            team_id=team_id,
            replaced_at=after.updated_at,
            replaced_by=after.updated_by,
            variables=msgspec.to_builtins(before.variables),
            text=before.text,
        )
    )
    oldest = (
        select(history.c.revision)
        .where(history.c.team_id == team_id, history.c.prompt_id == before.id)
        .order_by(history.c.revision.desc())
        .offset(MAX_HISTORY)
        .limit(1)
    )
    await tx.execute(
        delete(history).where(
            history.c.team_id == team_id,
            history.c.prompt_id == before.id,
            history.c.revision <= oldest.scalar_subquery(),
        )
    )


def _at(place: tuple[str, str, str]) -> list[Any]:
    namespace, name, lang = place
    return [prompts.c.namespace == namespace, prompts.c.name == name, prompts.c.lang == lang]


def _insert(tx: Tx, table: Any) -> Any:
    return (postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert)(table)


def _values(prompt: Prompt) -> dict[str, Any]:
    return {
        "id": prompt.id,
        "namespace": prompt.namespace,
        "name": prompt.name,
        "lang": prompt.lang,
        "version": prompt.version,
        "priority": prompt.priority,
        "is_active": prompt.is_active,
        "is_default": prompt.is_default,
        "revision": prompt.revision,
        "created_at": prompt.created_at,
        "created_by": prompt.created_by,
        "updated_at": prompt.updated_at,
        "updated_by": prompt.updated_by,
        "tags": list(prompt.tags),
        "variables": msgspec.to_builtins(prompt.variables),
        "text": prompt.text,
        "stems": searched(prompt.name, prompt.tags, prompt.text),
    }


def _prompt(row: Row[Any], labels: tuple[str, ...]) -> Prompt:
    return Prompt(
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        version=row.version,
        lang=row.lang,
        text=row.text,
        tags=tuple(row.tags),
        priority=row.priority,
        is_active=row.is_active,
        is_default=row.is_default,
        labels=labels,
        variables=_variables(row.variables),
        revision=row.revision,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )


def _former(row: Row[Any]) -> FormerText:
    return FormerText(
        revision=row.revision,
        text=row.text,
        variables=_variables(row.variables),
        replaced_at=row.replaced_at,
        replaced_by=row.replaced_by,
    )


def _variables(stored: Any) -> tuple[Variable, ...]:
    return msgspec.convert(stored, tuple[Variable, ...])
