"""The rows of quotas. :func:`everything` and :func:`fingerprint` are for the memory of a process, which serves all teams."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.engine import Row

from samovar.domains.billing.model.quotas import Quota, Subject
from samovar.ports.database import Instant, Tx, insert_new, metadata

MAX_QUOTAS: Final = 5_000
"""Of a team."""
_MAX_ALL: Final = 1_000_000

quotas: Final = Table(
    "quotas",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team_id", String(64), ForeignKey("teams.id"), nullable=False),
    Column("subject", String(16), nullable=False),
    Column("subject_id", String(320), nullable=False),
    Column("limits", String(400), nullable=False),
    Column("tokens", String(400), nullable=False),
    Column("concurrency", Integer, nullable=True),
    Column("revision", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("team_id", "subject", "subject_id"),
)


async def fingerprint(tx: Tx) -> tuple[int, int, datetime | None]:
    """Changes with every change of any row: how many there are, their revisions together, the latest change."""
    found = await tx.execute(
        select(func.count(), func.coalesce(func.sum(quotas.c.revision), 0), func.max(quotas.c.updated_at))
    )
    count, revisions, latest = found.one()
    return int(count), int(revisions), latest


async def everything(tx: Tx) -> list[Quota]:
    """All rows of all teams."""
    found = await tx.execute(select(*quotas.c).order_by(quotas.c.id).limit(_MAX_ALL))
    return [_quota(row) for row in found]


async def page(tx: Tx, team_id: str, *, after_id: str | None, limit: int) -> list[Quota]:
    """The team's rows in the order they were made, from the one after ``after_id``."""
    query = select(*quotas.c).where(quotas.c.team_id == team_id)
    if after_id is not None:
        query = query.where(quotas.c.id > after_id)
    return [_quota(row) for row in await tx.execute(query.order_by(quotas.c.id).limit(limit))]


async def one(tx: Tx, team_id: str, quota_id: str) -> Quota | None:
    """One row of the team."""
    found = await tx.execute(select(*quotas.c).where(quotas.c.team_id == team_id, quotas.c.id == quota_id))
    row = found.one_or_none()
    return None if row is None else _quota(row)


async def of_subject(tx: Tx, team_id: str, subject: Subject, subject_id: str) -> Quota | None:
    """The row of a subject."""
    found = await tx.execute(
        select(*quotas.c).where(
            quotas.c.team_id == team_id, quotas.c.subject == subject.value, quotas.c.subject_id == subject_id
        )
    )
    row = found.one_or_none()
    return None if row is None else _quota(row)


async def count(tx: Tx, team_id: str) -> int:
    """How many rows the team has."""
    return int(await tx.scalar(select(func.count()).select_from(quotas).where(quotas.c.team_id == team_id)) or 0)


async def add(tx: Tx, quota: Quota) -> bool:
    """Insert, unless the subject has one; whether it does now. Of callers that race one gets ``True``."""
    row = {
        "id": quota.id,
        "team_id": quota.team_id,
        "subject": quota.subject.value,
        "subject_id": quota.subject_id,
        "limits": quota.limits,
        "tokens": quota.tokens,
        "concurrency": quota.concurrency,
        "revision": quota.revision,
        "updated_at": quota.updated_at,
    }
    await insert_new(tx, quotas, [row], keys=("team_id", "subject", "subject_id"))
    standing = await of_subject(tx, quota.team_id, quota.subject, quota.subject_id)
    return standing is not None and standing.id == quota.id


async def change(tx: Tx, quota: Quota) -> bool:
    """Set what may change, where the row stands at the revision before; whether it does."""
    found = await tx.execute(
        update(quotas)
        .where(quotas.c.team_id == quota.team_id, quotas.c.id == quota.id, quotas.c.revision == quota.revision - 1)
        .values(
            limits=quota.limits,
            tokens=quota.tokens,
            concurrency=quota.concurrency,
            revision=quota.revision,
            updated_at=quota.updated_at,
        )
    )
    return bool(found.rowcount)


async def drop(tx: Tx, team_id: str, quota_id: str) -> bool:
    """Delete; whether it was there."""
    found = await tx.execute(delete(quotas).where(quotas.c.team_id == team_id, quotas.c.id == quota_id))
    return bool(found.rowcount)


def _quota(row: Row[Any]) -> Quota:
    return Quota(
        id=row.id,
        team_id=row.team_id,
        subject=Subject(row.subject),
        subject_id=row.subject_id,
        limits=row.limits,
        tokens=row.tokens,
        concurrency=row.concurrency,
        revision=row.revision,
        updated_at=row.updated_at,
    )
