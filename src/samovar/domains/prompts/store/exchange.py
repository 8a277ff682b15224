"""Prompts in bulk: read in the order of an export, and found and labelled by what an import names."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, delete, func, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from samovar.domains.prompts.model.exchange.entries import Slot
from samovar.domains.prompts.model.prompt import Prompt
from samovar.domains.prompts.store.rows import SHOWN, read
from samovar.domains.prompts.store.tables import labels, prompts
from samovar.ports.database import Tx

_PLACE: Final = ("namespace", "name", "lang")
_SLOT: Final = tuple(prompts.c[field] for field in _PLACE)
_LABELS: Final = 50
# Four parameters each, of some 32,000 that a statement may have.
_VERSIONS: Final = 1_000


async def count(tx: Tx, team_id: str, *, namespace: str | None, lang: str | None, current: bool) -> int:
    """How many versions :func:`page` would give in all."""
    rules = _rules(team_id, namespace=namespace, lang=lang, current=current)
    return int((await tx.execute(select(func.count()).select_from(prompts).where(*rules))).scalar_one())


async def page(
    tx: Tx,
    team_id: str,
    *,
    namespace: str | None,
    lang: str | None,
    current: bool,
    after: Prompt | None,
    limit: int,
) -> list[Prompt]:
    """Versions by namespace, name and language, of each prompt the newest first; with ``current`` only the newest, the
    default and those that labels point to."""
    rules = _rules(team_id, namespace=namespace, lang=lang, current=current)
    if after is not None:
        place = (after.namespace, after.name, after.lang)
        rules.append(or_(tuple_(*_SLOT) > place, and_(tuple_(*_SLOT) == place, prompts.c.version < after.version)))
    query = select(*SHOWN).where(*rules).order_by(*_SLOT, prompts.c.version.desc()).limit(limit)
    return await read(tx, (await tx.execute(query)).all())


async def standing(tx: Tx, team_id: str, wanted: Sequence[tuple[Slot, Collection[int]]]) -> list[Prompt]:
    """Of each of these prompts the versions named, and the newest."""
    slots = [slot for slot, _ in wanted]
    found = await _standing(tx, team_id, slots, tuple_(*_SLOT).in_(slots), ~_newer(), limit=len(slots))
    versions = [(*slot, number) for slot, numbers in wanted for number in numbers]
    for start in range(0, len(versions), _VERSIONS):
        some = versions[start : start + _VERSIONS]
        named = tuple_(*_SLOT, prompts.c.version).in_(some)
        found |= await _standing(tx, team_id, [version[:3] for version in some], named, limit=len(some))
    return [*found.values()]


async def _standing(tx: Tx, team_id: str, slots: Sequence[Slot], *rules: Any, limit: int) -> dict[int, Prompt]:
    # Each field once more by itself: SQLite enters an index by these, and not by a list of whole keys.
    fields = [column.in_(sorted(set(said))) for column, said in zip(_SLOT, zip(*slots, strict=True), strict=True)]
    query = select(*SHOWN).where(prompts.c.team_id == team_id, *fields, *rules).limit(limit)
    return {prompt.id: prompt for prompt in await read(tx, (await tx.execute(query)).all())}


async def point(
    tx: Tx, team_id: str, pointing: Sequence[tuple[Prompt, str]], *, at: datetime, by: str
) -> dict[int, Slot]:
    """Move labels to these versions; the ids of those and of the versions they pointed to before, each with its prompt."""
    changed: dict[int, Slot] = {}
    for start in range(0, len(pointing), _LABELS):
        some = pointing[start : start + _LABELS]
        places = [
            and_(*(labels.c[field] == getattr(prompt, field) for field in _PLACE), labels.c.label == label)
            for prompt, label in some
        ]
        before = select(labels.c.prompt_id, *(labels.c[field] for field in _PLACE))
        found = await tx.execute(before.where(labels.c.team_id == team_id, or_(*places)).limit(len(some)))
        changed |= {row.prompt_id: (row.namespace, row.name, row.lang) for row in found}
        changed |= {prompt.id: (prompt.namespace, prompt.name, prompt.lang) for prompt, _ in some}
        rows = [
            {
                "team_id": team_id,
                **{field: getattr(prompt, field) for field in _PLACE},
                "label": label,
                "prompt_id": prompt.id,
                "moved_at": at,
                "moved_by": by,
            }
            for prompt, label in some
        ]
        statement = (postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert)(labels)
        moved = {field: statement.excluded[field] for field in ("prompt_id", "moved_at", "moved_by")}
        keys = ["team_id", *_PLACE, "label"]
        await tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=moved), rows)
    return changed


async def drop(tx: Tx, team_id: str, prompt_id: int, dropped: Collection[str]) -> None:
    """Take these labels away from a version, where they still point to it."""
    await tx.execute(
        delete(labels).where(
            labels.c.team_id == team_id, labels.c.prompt_id == prompt_id, labels.c.label.in_(list(dropped))
        )
    )


def _rules(team_id: str, *, namespace: str | None, lang: str | None, current: bool) -> list[Any]:
    rules: list[Any] = [prompts.c.team_id == team_id]
    if namespace is not None:
        rules.append(prompts.c.namespace == namespace)
    if lang is not None:
        rules.append(prompts.c.lang == lang)
    if current:
        labelled = select(labels.c.prompt_id).where(labels.c.team_id == team_id)
        rules.append(or_(prompts.c.is_default, ~_newer(), prompts.c.id.in_(labelled)))
    return rules


def _newer() -> Any:
    """There is a later version of the same prompt."""
    other = prompts.alias("newer")
    same = [other.c[name] == prompts.c[name] for name in ("team_id", "namespace", "name", "lang")]
    return select(other.c.id).where(*same, other.c.version > prompts.c.version).exists()
