"""Job tables and workers as processes have them, driven by hand: a turn is taken when a test says so."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from samovar.adapters.jobs.cron import TableCron
from samovar.adapters.jobs.table import JobTable
from samovar.adapters.jobs.worker import Worker, WorkerSettings
from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemIds
from samovar.ports.database import Database
from samovar.ports.events import Bus
from samovar.ports.jobs import CronJob, Enqueued, Job, JobContext, JobKind, JobState, Retry
from tests.support.clock import ManualClock

TEAM = "team_of_jobs"
LEASE_S = 30.0
RETRY = Retry(max_attempts=3, first_s=10.0, most_s=600.0)

Work = Callable[[Job, JobContext], Awaitable[None]]


class Hands:
    """A handler that notes its jobs; what it does is what the test puts into ``work``."""

    def __init__(self, work: Work | None = None) -> None:
        self.jobs: list[Job] = []
        self.work = work

    async def __call__(self, job: Job, context: JobContext) -> None:
        self.jobs.append(job)
        if self.work is not None:
            await self.work(job, context)


async def fails(job: Job, context: JobContext) -> None:
    """A handler that never does its work."""
    raise ValueError("no tea left")


class Shop:
    """One installation's jobs; ``workers`` are as many processes."""

    def __init__(
        self,
        database: Database,
        clock: ManualClock,
        ids: SystemIds,
        *,
        kinds: Sequence[JobKind] = (),
        bus: Bus | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.ids = ids
        self.hands = Hands()
        self.kinds = (JobKind(name="brew", handler=self.hands, retry=RETRY), *kinds)
        self.bus: Bus = bus or MemoryBus()
        self.reports: list[str] = []
        self.table = JobTable(kinds=self.kinds, clock=clock, ids=ids, bus=self.bus)

    def worker(self, **settings: float) -> Worker:
        """A process that runs jobs, by hand."""
        return Worker(
            name=self.ids.new("worker"),
            kinds=self.kinds,
            database=self.database,
            bus=self.bus,
            clock=self.clock,
            chance=lambda: 1.0,
            report=lambda error, words: self.reports.append(words),
            settings=WorkerSettings(**{"lease_s": LEASE_S, "grace_s": 0.2, **settings}),  # type: ignore[arg-type]
        )

    def cron(self, *table: CronJob, time_zone: str = "UTC", clock: ManualClock | None = None) -> TableCron:
        """A process that looks at the clock."""
        return TableCron(
            table=table,
            time_zone=time_zone,
            team_id=TEAM,
            jobs=self.table,
            database=self.database,
            clock=clock or self.clock,
            report=lambda error, words: self.reports.append(words),
        )

    async def enqueue(self, kind: str = "brew", payload: Any = None, **how: Any) -> Enqueued:
        """In a transaction of its own."""
        async with self.database.transaction() as tx:
            return await self.table.enqueue(tx, kind, payload or {}, **{"team_id": TEAM, **how})

    async def get(self, job_id: str) -> Job:
        """As it stands."""
        async with self.database.reading() as tx:
            found = await self.table.get(tx, TEAM, job_id)
        assert found is not None
        return found

    async def all(self, state: JobState | None = None) -> list[Job]:
        """The newest first."""
        async with self.database.reading() as tx:
            return await self.table.page(tx, TEAM, state=state, kind=None, before=None, limit=1000)

    async def cancel(self, job_id: str, team_id: str = TEAM) -> Job | None:
        """In a transaction of its own."""
        async with self.database.transaction() as tx:
            return await self.table.cancel(tx, team_id, job_id)

    async def replay(self, job_id: str, team_id: str = TEAM) -> Job | None:
        """In a transaction of its own."""
        async with self.database.transaction() as tx:
            return await self.table.replay(tx, team_id, job_id)

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)


async def ended(worker: Worker) -> None:
    """Wait for the handlers under way."""
    tasks = [one.task for one in worker._running.values() if one.task is not None]
    if tasks:
        async with asyncio.timeout(10):
            await asyncio.wait(tasks)


async def work_off(worker: Worker) -> None:
    """Turn until nothing is due and all ends are written."""
    while True:
        began = await worker.turn()
        await ended(worker)
        if not began and not worker._done and not worker._failed:
            return


async def pour(worker: Worker) -> None:
    """Begin what is due, and let the handlers come to where they wait."""
    await worker.turn()
    for _ in range(3):
        await asyncio.sleep(0)


async def eventually(is_so: Callable[[], Awaitable[bool]], *, within_s: float = 10.0) -> None:
    """Look until it is so."""
    async with asyncio.timeout(within_s):
        while True:
            if await is_so():
                return
            await asyncio.sleep(0.01)
