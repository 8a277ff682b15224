"""Cron jobs: each due run becomes one job, whatever number of processes look at the clock."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.engine import Row

from samovar.adapters.jobs.rows import cron_jobs
from samovar.adapters.jobs.schedule import OFF, last_until, next_after, zone_of
from samovar.adapters.jobs.table import JobTable
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock
from samovar.ports.database import Database, Tx, insert_new
from samovar.ports.jobs import CronEntry, CronJob, Enqueued, JobOrder
from samovar.ports.outages import Outage

_LONGEST_PAUSE_S: Final = 30.0
"""The wall clock may jump; what it says is looked at this often."""
_SHORTEST_PAUSE_S: Final = 0.05

log = structlog.get_logger("samovar.cron")


class TableCron:
    """A :class:`samovar.ports.jobs.Cron`. ``team_id`` is whose jobs they are; ``report`` takes failures, to log them."""

    def __init__(
        self,
        *,
        table: Sequence[CronJob],
        time_zone: str,
        team_id: str,
        jobs: JobTable,
        database: Database,
        clock: Clock,
        report: Callable[[BaseException, str], None],
    ) -> None:
        self._table = {job.name: job for job in sorted(table, key=lambda job: job.name)}
        self._time_zone = time_zone
        self._zone = zone_of(time_zone)
        self._team_id = team_id
        self._jobs = jobs
        self._database = database
        self._clock = clock
        self._report = report

    @property
    def team_id(self) -> str:
        """See the port."""
        return self._team_id

    async def entries(self, tx: Tx) -> list[CronEntry]:
        """See the port."""
        rows = await self._rows(tx)
        return [self._entry(job, rows.get(name)) for name, job in self._table.items()]

    async def run_now(self, tx: Tx, name: str) -> Enqueued | None:
        """See the port."""
        job = self._table.get(name)
        if job is None:
            return None
        made = await self._jobs.enqueue_scheduled(tx, self._order(job), cron=name, scheduled_at=None)
        assert made is not None
        if made.is_new:
            now = self._clock.now()
            # Where nobody has planned it yet, without a plan: the next look makes one.
            await insert_new(tx, cron_jobs, [{"name": name, "plan": "", "next_at": now}], keys=("name",))
            ran = {"last_at": now, "last_job_id": made.id}
            await tx.execute(update(cron_jobs).where(cron_jobs.c.name == name).values(**ran))
        return made

    async def run(self) -> None:
        """Enqueue what is due until cancelled."""
        outage = Outage(
            "cron jobs are not looked at: the database does not answer", logger="samovar.cron", report=self._report
        )
        while True:
            try:
                pause_s = await self.tick()
                outage.over()
            except Unavailable as error:
                outage.tell(error)
                pause_s = 1.0
            await asyncio.sleep(pause_s)

    async def tick(self) -> float:
        """Enqueue what is due now; seconds until the next look. Raises ``Unavailable``."""
        planned = [job for job in self._table.values() if job.schedule not in OFF]
        if not planned:
            return _LONGEST_PAUSE_S
        now = self._clock.now()
        async with self._database.reading() as tx:
            rows = await self._rows(tx)
        made = False
        for job in planned:
            if self._is_right(job, rows.get(job.name), now):
                continue
            async with self._database.transaction() as tx:
                made |= await self._plan(tx, job, now)
        if made:
            await self._jobs.wake()
        soonest = min(next_after(job.schedule, self._zone, now) for job in planned)
        return min(max((soonest - now).total_seconds(), _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)

    def _is_right(self, job: CronJob, row: Row[Any] | None, now: datetime) -> bool:
        """Whether the plan stands and is not due. One that lies further ahead than the next time is of a clock that went
        back since."""
        if row is None or row.plan != self._plan_of(job) or row.next_at <= now:
            return False
        return bool(row.next_at <= next_after(job.schedule, self._zone, now))

    async def _plan(self, tx: Tx, job: CronJob, now: datetime) -> bool:
        """Enqueue the run that is due, if there is one, and plan the next; whether one was enqueued."""
        plan = self._plan_of(job)
        next_at = next_after(job.schedule, self._zone, now)
        await insert_new(tx, cron_jobs, [{"name": job.name, "plan": plan, "next_at": next_at}], keys=("name",))
        # Of all processes one has the row; the others find it planned when they get it.
        found = select(cron_jobs).where(cron_jobs.c.name == job.name).with_for_update()
        row = (await tx.execute(found)).one()
        if self._is_right(job, row, now):
            return False
        values: dict[str, Any] = {"plan": plan, "next_at": next_at}
        made = None
        if row.plan == plan and row.next_at <= now:
            # Several missed runs are one: the latest.
            due = max(row.next_at, last_until(job.schedule, self._zone, now))
            if now - due <= timedelta(seconds=job.catch_up_s):
                made = await self._jobs.enqueue_scheduled(tx, self._order(job), cron=job.name, scheduled_at=due)
            else:
                log.warning("a missed run is too old to be made up for", cron=job.name, due=due.isoformat())
        if made is not None:
            values |= {"last_at": due, "last_job_id": made.id}
            if not made.is_new:
                log.warning("the run before is unfinished, so this one is left out", cron=job.name, job=made.id)
        await tx.execute(update(cron_jobs).where(cron_jobs.c.name == job.name).values(**values))
        return made is not None and made.is_new

    async def _rows(self, tx: Tx) -> dict[str, Row[Any]]:
        query = select(cron_jobs).where(cron_jobs.c.name.in_(list(self._table))).limit(len(self._table) or 1)
        return {row.name: row for row in await tx.execute(query)}

    def _entry(self, job: CronJob, row: Row[Any] | None) -> CronEntry:
        is_planned = row is not None and row.plan == self._plan_of(job) and job.schedule not in OFF
        return CronEntry(
            name=job.name,
            kind=job.kind,
            schedule=job.schedule or OFF[1],
            time_zone=self._time_zone,
            next_at=row.next_at if row is not None and is_planned else None,
            last_at=None if row is None else row.last_at,
            last_job_id=None if row is None else row.last_job_id,
        )

    def _order(self, job: CronJob) -> JobOrder:
        return JobOrder(kind=job.kind, team_id=self._team_id, payload=job.payload, key=job.name)

    def _plan_of(self, job: CronJob) -> str:
        return f"{job.schedule} {self._time_zone}"
