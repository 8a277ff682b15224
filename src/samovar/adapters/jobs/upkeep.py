"""Beside the running of jobs: counts those that wait, and deletes those that are past their retention."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select

from samovar.adapters.jobs.rows import IN_QUEUE, UNDER_WAY, jobs
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock
from samovar.ports.database import Database, Tx
from samovar.ports.jobs import JobFigures, JobState
from samovar.ports.outages import Outage

MAX_COUNTED: Final = 100_000
"""A longer queue is said to be this long: to count it would cost more than the figure is worth."""
_PRUNED: Final = 500
"""Jobs deleted in one transaction: a few milliseconds."""
_PRUNE_EVERY_S: Final = 600.0
_BREATH_S: Final = 0.02


class JobUpkeep:
    """Any number of processes may run it on one database. ``retention`` is of jobs that are done or cancelled,
    ``dead_retention`` of dead letters. ``report`` takes failures, to log them."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        kinds: Sequence[str],
        retention: timedelta,
        dead_retention: timedelta,
        report: Callable[[BaseException, str], None],
        every_s: float = 15.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._kinds = frozenset(kinds)
        self._retention = retention
        self._dead_retention = dead_retention
        self._report = report
        self._every_s = every_s
        self.figures = JobFigures()

    async def run(self) -> None:
        """Count every few seconds and prune every few minutes, until cancelled."""
        prune_at = self._clock.monotonic()
        outage = Outage(
            "jobs are not counted: the database does not answer", logger="samovar.jobs", report=self._report
        )
        while True:
            try:
                await self.count()
                if self._clock.monotonic() >= prune_at:
                    await self.prune()
                    prune_at = self._clock.monotonic() + _PRUNE_EVERY_S
                outage.over()
            except Unavailable as error:
                outage.tell(error)
            await asyncio.sleep(self._every_s)

    async def count(self) -> None:
        """Read the figures anew. Raises ``Unavailable``."""
        now = self._clock.now()
        async with self._database.reading() as tx:
            waiting = await _by_kind(tx, IN_QUEUE)
            running = await _by_kind(tx, UNDER_WAY)
            query = select(func.min(jobs.c.run_at)).where(jobs.c.state == IN_QUEUE, jobs.c.run_at <= now)
            oldest: datetime | None = await tx.scalar(query)
        self.figures = JobFigures(
            waiting={kind: waiting.get(kind, 0) for kind in self._kinds},
            running={kind: running.get(kind, 0) for kind in self._kinds},
            oldest_waiting_s=0.0 if oldest is None else (now - oldest).total_seconds(),
        )

    async def prune(self) -> int:
        """Delete what is past its retention; how many. Raises ``Unavailable``."""
        now = self._clock.now()
        ended = (JobState.DONE, JobState.CANCELLED)
        return await self._prune(ended, now - self._retention) + await self._prune(
            (JobState.DEAD,), now - self._dead_retention
        )

    async def _prune(self, states: Sequence[JobState], before: datetime) -> int:
        deleted = 0
        over = (
            select(jobs.c.id).where(jobs.c.finished_at < before, jobs.c.state.in_(states)).order_by(jobs.c.finished_at)
        ).limit(_PRUNED)
        while True:
            async with self._database.transaction() as tx:
                count = (await tx.execute(delete(jobs).where(jobs.c.id.in_(over)))).rowcount
            deleted += count
            if count < _PRUNED:
                return deleted
            # Whoever else wants to write goes first.
            await asyncio.sleep(_BREATH_S)


async def _by_kind(tx: Tx, state: ColumnElement[str]) -> dict[str, int]:
    some = select(jobs.c.kind).where(jobs.c.state == state).limit(MAX_COUNTED).subquery()
    found = await tx.execute(select(some.c.kind, func.count().label("count")).group_by(some.c.kind))
    return {row.kind: row._mapping["count"] for row in found}
