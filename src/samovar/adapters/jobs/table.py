"""The table as those see it who enqueue and administer."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from samovar.adapters.jobs.rows import LIVE, LIVE_KEY, job_of, jobs
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Tx
from samovar.ports.events import Bus
from samovar.ports.jobs import (
    MAX_ATTEMPTS,
    MAX_KEY_CHARS,
    MAX_ORDERS,
    MAX_PAYLOAD_BYTES,
    UNFINISHED,
    Enqueued,
    Job,
    JobKind,
    JobOrder,
    JobState,
    Priority,
)
from samovar.ports.scripts import insert_rows, plain

JOBS_WAITING: Final = "jobs.waiting"
"""Bus topic: look at the table now. An empty message; or the id of a running job that shall be cancelled."""

_TRIES: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A JSON escape of the character NUL, which PostgreSQL's text cannot hold. An even number of backslashes before it escapes them.
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BLANK: Final[Mapping[str, Any]] = dict.fromkeys(column.name for column in jobs.columns)
_encode = msgspec.json.Encoder().encode

log = structlog.get_logger("samovar.jobs")


class JobTable:
    """A :class:`samovar.ports.jobs.Jobs`. ``kinds`` is the table of kinds; a job of another is refused."""

    def __init__(self, *, kinds: Sequence[JobKind], clock: Clock, ids: Ids, bus: Bus) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._clock = clock
        self._ids = ids
        self._bus = bus

    async def enqueue(
        self,
        tx: Tx,
        kind: str,
        payload: Mapping[str, Any],
        *,
        team_id: str,
        run_at: datetime | None = None,
        key: str | None = None,
        priority: Priority = Priority.NORMAL,
        max_attempts: int | None = None,
    ) -> Enqueued:
        """See the port."""
        order = JobOrder(
            kind=kind,
            team_id=team_id,
            payload=payload,
            run_at=run_at,
            key=key,
            priority=priority,
            max_attempts=max_attempts,
        )
        return await self._keyed(tx, self._row(order)) if key else (await self.enqueue_many(tx, [order]))[0]

    async def enqueue_scheduled(
        self, tx: Tx, order: JobOrder, *, cron: str, scheduled_at: datetime | None
    ) -> Enqueued | None:
        """A run of a cron job, whose key is its name; ``None`` where that instant was enqueued before."""
        if scheduled_at is not None:
            ran = select(jobs.c.id).where(jobs.c.cron == cron, jobs.c.scheduled_at == scheduled_at)
            if (await tx.execute(ran)).first() is not None:
                return None
        return await self._keyed(tx, self._row(order) | {"cron": cron, "scheduled_at": scheduled_at})

    async def enqueue_many(self, tx: Tx, orders: Sequence[JobOrder]) -> list[Enqueued]:
        """See the port."""
        if len(orders) > MAX_ORDERS:
            raise ValueError(f"{len(orders)} jobs at once; at most {MAX_ORDERS}")
        rows = [self._row(order) for order in orders]
        await insert_rows(tx, jobs, plain(jobs, [row for row in rows if row["key"] is None]), keys=("id",))
        return [Enqueued(row["id"], True) if row["key"] is None else await self._keyed(tx, row) for row in rows]

    async def wake(self) -> None:
        """See the port."""
        await self._tell(b"")

    async def tell_cancelled(self, job_id: str) -> None:
        """See the port."""
        await self._tell(job_id.encode())

    async def get(self, tx: Tx, team_id: str, job_id: str) -> Job | None:
        """See the port."""
        found = (await tx.execute(select(jobs).where(jobs.c.team_id == team_id, jobs.c.id == job_id))).one_or_none()
        return None if found is None else job_of(found)

    async def unfinished(self, tx: Tx, team_id: str, kind: str, *, key_prefix: str, limit: int) -> list[Job]:
        """See the port."""
        query = (
            select(jobs)
            .where(LIVE, jobs.c.team_id == team_id, jobs.c.kind == kind, jobs.c.key.startswith(key_prefix))
            .order_by(jobs.c.key)
            .limit(limit)
        )
        return [job_of(row) for row in await tx.execute(query)]

    async def page(
        self, tx: Tx, team_id: str, *, state: JobState | None, kind: str | None, before: str | None, limit: int
    ) -> list[Job]:
        """See the port."""
        query = select(jobs).where(jobs.c.team_id == team_id)
        if state is not None:
            query = query.where(jobs.c.state == state)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        if before is not None:
            query = query.where(jobs.c.id < before)
        return [job_of(row) for row in await tx.execute(query.order_by(jobs.c.id.desc()).limit(limit))]

    async def cancel(self, tx: Tx, team_id: str, job_id: str) -> Job | None:
        """See the port."""
        mine = (jobs.c.team_id == team_id, jobs.c.id == job_id)
        ended = await tx.execute(
            update(jobs)
            .where(*mine, jobs.c.state == JobState.QUEUED)
            .values(state=JobState.CANCELLED, finished_at=self._clock.now(), cancel_asked=True)
            .returning(*jobs.c)
        )
        row = ended.one_or_none()
        if row is None:
            # Asked once more is as good as asked.
            asked = update(jobs).where(*mine, jobs.c.state == JobState.RUNNING).values(cancel_asked=True)
            row = (await tx.execute(asked.returning(*jobs.c))).one_or_none()
        return None if row is None else job_of(row)

    async def replay(self, tx: Tx, team_id: str, job_id: str) -> Job | None:
        """See the port."""
        found = await self.get(tx, team_id, job_id)
        if found is None or found.state not in (JobState.DEAD, JobState.CANCELLED):
            return None
        kind = self._kinds.get(found.kind)
        tries = kind.retry.max_attempts if kind is not None else found.max_attempts
        replayed = (
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == found.state)
            # The count goes on, for it tells this attempt from those of workers that were lost.
            .values(
                state=JobState.QUEUED,
                max_attempts=found.attempt + tries,
                run_at=self._clock.now(),
                finished_at=None,
                cancel_asked=False,
            )
        )
        if found.key is not None:
            live = jobs.alias("live")
            others = select(live.c.id).where(
                live.c.team_id == team_id,
                live.c.kind == found.kind,
                live.c.key == found.key,
                live.c.state.in_(UNFINISHED),
            )
            replayed = replayed.where(~others.exists())
        try:
            # A transaction that is not committed yet may hold the key, where no condition sees it: the index does.
            async with tx.begin_nested():
                row = (await tx.execute(replayed.returning(*jobs.c))).one_or_none()
        except IntegrityError:
            return None
        return None if row is None else job_of(row)

    async def _keyed(self, tx: Tx, row: dict[str, Any]) -> Enqueued:
        """Insert it, or find the unfinished one of its key."""
        insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        made = insert(jobs).values(**row).on_conflict_do_nothing(index_elements=list(LIVE_KEY), index_where=LIVE)
        same = select(jobs.c.id).where(
            *(jobs.c[name] == row[name] for name in LIVE_KEY), or_(*(jobs.c.state == state for state in UNFINISHED))
        )
        for _ in range(_TRIES):
            if (await tx.execute(made.returning(jobs.c.id))).first() is not None:
                return Enqueued(row["id"], True)
            found = (await tx.execute(same)).first()
            if found is not None:
                return Enqueued(found.id, False)
            # It ended between the two statements: try again.
        raise Unavailable("Another job of the same key came and went meanwhile. Try again.")

    def _row(self, order: JobOrder) -> dict[str, Any]:
        kind = self._kinds.get(order.kind)
        if kind is None:
            raise ValueError(f"there is no kind of job {order.kind!r}; see app/jobs.py")
        encoded = _encode(order.payload)
        if len(encoded) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a job's payload of {len(encoded)} bytes; at most {MAX_PAYLOAD_BYTES}")
        if _NUL_ESCAPE.search(encoded):
            raise ValueError("a job's payload holds a NUL character")
        if order.key is not None and not 1 <= len(order.key) <= MAX_KEY_CHARS:
            raise ValueError(f"a job's key must have from 1 to {MAX_KEY_CHARS} characters")
        attempts = kind.retry.max_attempts if order.max_attempts is None else order.max_attempts
        if not 1 <= attempts <= MAX_ATTEMPTS:
            raise ValueError(f"a job's attempts must be from 1 to {MAX_ATTEMPTS}")
        now = self._clock.now()
        return {**_BLANK} | {
            "id": self._ids.new("job"),
            "team_id": order.team_id,
            "kind": order.kind,
            "payload": msgspec.to_builtins(order.payload),
            "state": JobState.QUEUED.value,
            "priority": int(order.priority),
            "attempt": 0,
            "max_attempts": attempts,
            "created_at": now,
            "run_at": order.run_at or now,
            "key": order.key,
            "cancel_asked": False,
        }

    async def _tell(self, message: bytes) -> None:
        try:
            await self._bus.publish(JOBS_WAITING, message)
        except Unavailable as error:
            log.debug("workers are not woken; they look every second", reason=error.detail)
