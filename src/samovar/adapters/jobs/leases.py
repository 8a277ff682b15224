"""What a worker does with the table: claim, renew, end, and take over from those that died."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    exists,
    literal,
    select,
    update,
)

from samovar.adapters.jobs.rows import IN_QUEUE, UNDER_WAY, job_of, jobs
from samovar.ports.database import Instant, Tx
from samovar.ports.jobs import Job, JobState, Priority

MAX_TAKEN_OVER: Final = 100
"""Expired leases looked at in one transaction."""

Hold = tuple[str, int]
"""A job's id and the attempt that is ours."""


class Failure(msgspec.Struct, frozen=True):
    """How an attempt ended that did not do its job: ``state`` is queued (due again at ``run_at``), dead or cancelled."""

    hold: Hold
    state: JobState
    error: str | None
    run_at: datetime | None = None
    is_free: bool = False
    """It does not count: the worker gave the lease back."""

    @property
    def outcome(self) -> str:
        """For metrics."""
        if self.state is JobState.QUEUED:
            return "given_back" if self.is_free else "retried"
        return self.state.value


class Due(msgspec.Struct, frozen=True):
    """Whether there is anything to do."""

    queued: bool
    expired: bool


async def look(tx: Tx, kinds: Sequence[str], *, now: datetime) -> Due:
    """Reads only: an idle worker shall not take a write lock every second."""
    queued = exists().where(jobs.c.state == IN_QUEUE, jobs.c.run_at <= now, jobs.c.kind.in_(kinds))
    expired = exists().where(jobs.c.state == UNDER_WAY, jobs.c.lease_until < now)
    row = (await tx.execute(select(queued.label("queued"), expired.label("expired")))).one()
    return Due(bool(row.queued), bool(row.expired))


async def claim(
    tx: Tx, kinds: Sequence[str], *, worker: str, now: datetime, lease_until: datetime, limit: int
) -> list[Job]:
    """Jobs that are due, those of a higher priority first; they are ours until ``lease_until``. Their attempt is counted here,
    before it begins."""
    found: list[str] = []
    for priority in Priority:
        # One at a time: each walks its part of the index, which begins with what is due, however many are for later.
        given = {"priority": priority, "now": now, "kinds": list(kinds), "limit": limit - len(found)}
        found += [row.id for row in await tx.execute(_due(), given)]
        if len(found) >= limit:
            break
    if not found:
        return []
    # They are locked by now. By their keys, for an engine that joins what it found with the table may read all of it.
    taken = (
        update(jobs)
        .where(jobs.c.id.in_(found))
        .values(
            state=JobState.RUNNING, attempt=jobs.c.attempt + 1, started_at=now, lease_until=lease_until, worker=worker
        )
        .returning(*jobs.c)
    )
    some = [job_of(row) for row in await tx.execute(taken)]
    return sorted(some, key=lambda job: (job.priority, job.run_at, job.id))


@cache
def _due() -> Select[tuple[str]]:
    """Made once: it runs several times a turn."""
    return (
        select(jobs.c.id)
        .where(
            jobs.c.state == IN_QUEUE,
            jobs.c.priority == bindparam("priority", type_=Integer),
            jobs.c.run_at <= bindparam("now", type_=Instant),
            jobs.c.kind.in_(bindparam("kinds", type_=String, expanding=True)),
        )
        .order_by(jobs.c.run_at, jobs.c.id)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True)
    )


async def renew(tx: Tx, held: Sequence[Hold], *, lease_until: datetime) -> dict[Hold, bool]:
    """Lengthen leases. Those that are still ours, each with whether it shall be cancelled."""
    kept = (
        update(jobs)
        .where(_ours(held))
        .values(lease_until=lease_until)
        .returning(jobs.c.id, jobs.c.attempt, jobs.c.cancel_asked)
    )
    return {(row.id, row.attempt): row.cancel_asked for row in await tx.execute(kept)}


async def finish(tx: Tx, held: Sequence[Hold], *, now: datetime) -> set[Hold]:
    """These are done; which of them were still ours."""
    if not held:
        return set()
    ended = (
        update(jobs)
        .where(_ours(held))
        .values(state=JobState.DONE, finished_at=now, lease_until=None, error=None)
        .returning(jobs.c.id, jobs.c.attempt)
    )
    return {(row.id, row.attempt) for row in await tx.execute(ended)}


async def fail(tx: Tx, failure: Failure, *, now: datetime) -> bool:
    """This attempt failed, or was given back; whether it was still ours."""
    job_id, attempt = failure.hold
    values: dict[str, Any] = {"state": failure.state, "lease_until": None, "finished_at": now}
    if failure.error is not None:
        values["error"] = failure.error
    if failure.state is not JobState.CANCELLED:
        # What was cancelled meanwhile neither begins again nor waits for somebody to look.
        values["state"] = case((jobs.c.cancel_asked, JobState.CANCELLED.value), else_=failure.state.value)
    if failure.state is JobState.QUEUED:
        values["finished_at"] = case((jobs.c.cancel_asked, literal(now, Instant)), else_=None)
        values["run_at"] = failure.run_at or now
    if failure.is_free:
        # Not one attempt less: its number must never come again.
        values["max_attempts"] = jobs.c.max_attempts + 1
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.attempt == attempt, jobs.c.state == JobState.RUNNING)
    return (await tx.execute(statement.values(**values).returning(jobs.c.id))).first() is not None


async def expired(tx: Tx, *, now: datetime) -> list[Job]:
    """Jobs whose worker did not renew its lease, locked for the transaction."""
    query = (
        select(jobs)
        .where(jobs.c.state == UNDER_WAY, jobs.c.lease_until < now)
        .order_by(jobs.c.lease_until)
        .limit(MAX_TAKEN_OVER)
        .with_for_update(skip_locked=True)
    )
    return [job_of(row) for row in await tx.execute(query)]


def _ours(held: Sequence[Hold]) -> ColumnElement[bool]:
    """The id finds the row, both together say that nobody has taken it over. There are as many as a process runs at once."""
    both = jobs.c.id.concat(literal("#")).concat(cast(jobs.c.attempt, String))
    return and_(
        jobs.c.state == UNDER_WAY,
        jobs.c.id.in_([job_id for job_id, _ in held]),
        both.in_([f"{job_id}#{attempt}" for job_id, attempt in held]),
    )
