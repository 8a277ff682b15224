"""What points to a version: labels, and the mark of a default. The caller holds the team's turn."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, update

from samovar.domains.prompts.model.prompt import Prompt
from samovar.domains.prompts.store.tables import labels, prompts
from samovar.ports.database import Tx, upsert


async def set_default(tx: Tx, team_id: str, prompt: Prompt) -> list[int]:
    """Make ``prompt`` the default of its namespace and language; the ids of the rows that changed."""
    cleared = await clear_default(tx, team_id, prompt.namespace, prompt.lang)
    await tx.execute(
        update(prompts)
        .where(prompts.c.team_id == team_id, prompts.c.id == prompt.id)
        .values(is_default=True, revision=prompts.c.revision + 1)
    )
    return [*cleared, prompt.id]


async def clear_default(tx: Tx, team_id: str, namespace: str, lang: str) -> list[int]:
    """From now on nothing is the default there; the ids of the rows that changed."""
    found = await tx.execute(
        update(prompts)
        .where(
            prompts.c.team_id == team_id,
            prompts.c.namespace == namespace,
            prompts.c.lang == lang,
            prompts.c.is_default,
        )
        .values(is_default=False, revision=prompts.c.revision + 1)
        .returning(prompts.c.id)
    )
    return [row.id for row in found]


async def point(tx: Tx, team_id: str, prompt: Prompt, pointing: Sequence[str], *, at: datetime, by: str) -> list[int]:
    """Move labels of the prompt to this version; the ids of the versions that they pointed to before."""
    if not pointing:
        return []
    place = (
        labels.c.team_id == team_id,
        labels.c.namespace == prompt.namespace,
        labels.c.name == prompt.name,
        labels.c.lang == prompt.lang,
        labels.c.label.in_(pointing),
    )
    before = await tx.execute(select(labels.c.prompt_id).where(*place).limit(len(pointing)))
    left = sorted({row.prompt_id for row in before} - {prompt.id})
    for label in pointing:
        row = {
            "team_id": team_id,
            "namespace": prompt.namespace,
            "name": prompt.name,
            "lang": prompt.lang,
            "label": label,
            "prompt_id": prompt.id,
            "moved_at": at,
            "moved_by": by,
        }
        await upsert(tx, labels, row, keys=("team_id", "namespace", "name", "lang", "label"))
    return left


async def drop(tx: Tx, team_id: str, prompt_id: int, label: str) -> bool:
    """Take a label away from a version; ``False`` where it does not point there."""
    found = await tx.execute(
        delete(labels).where(labels.c.team_id == team_id, labels.c.prompt_id == prompt_id, labels.c.label == label)
    )
    return found.rowcount == 1


async def touch(tx: Tx, team_id: str, prompt_ids: Sequence[int]) -> None:
    """A new revision for versions whose labels changed: they are answered differently now."""
    if prompt_ids:
        await tx.execute(
            update(prompts)
            .where(prompts.c.team_id == team_id, prompts.c.id.in_(prompt_ids))
            .values(revision=prompts.c.revision + 1)
        )
