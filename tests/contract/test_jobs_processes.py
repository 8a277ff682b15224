"""Real processes on one database: racing for jobs, killed in the middle of them, and looking at one clock."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from samovar.adapters.jobs.table import JobTable
from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemClock, SystemIds
from samovar.ports.database import Database
from samovar.ports.jobs import Job, JobOrder, JobState
from tests.contract.jobs_process import TEAM, kinds
from tests.support.jobs import eventually

ROOT = Path(__file__).parents[2]
WITHIN_S = 60.0


class Yard:
    """The database, and the processes on it."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.url = url
        self.table = JobTable(kinds=kinds(), clock=SystemClock(), ids=SystemIds(clock=SystemClock()), bus=MemoryBus())

    async def enqueue(self, kind: str, count: int) -> list[str]:
        """Many at once."""
        async with self.database.transaction() as tx:
            orders = [JobOrder(kind=kind, team_id=TEAM, payload={}) for _ in range(count)]
            return [made.id for made in await self.table.enqueue_many(tx, orders)]

    async def all(self) -> list[Job]:
        """The newest first."""
        async with self.database.reading() as tx:
            return await self.table.page(tx, TEAM, state=None, kind=None, before=None, limit=100_000)

    async def all_done(self) -> bool:
        """Whether nothing is left to do."""
        return all(job.state is JobState.DONE for job in await self.all())

    @asynccontextmanager
    async def process(
        self, *, lease_s: float = 30.0, start: datetime | None = None, pace: float = 0
    ) -> AsyncIterator[Process]:
        """A worker that is ready."""
        figures = (str(lease_s), str(start.timestamp() if start else 0), str(pace))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.contract.jobs_process", self.url, *figures, cwd=ROOT, stdin=PIPE, stdout=PIPE
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(WITHIN_S):
                assert await process.stdout.readline() == b"ready\n"
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


@pytest.fixture
def yard(database: Database, request: pytest.FixtureRequest, tmp_path: Path) -> Yard:
    """A yard on each engine."""
    if database.engine == "sqlite":
        return Yard(database, f"sqlite:///{tmp_path / 'samovar.db'}")
    return Yard(database, str(request.getfixturevalue("postgres_url")))


async def farewell(process: Process) -> list[list[str]]:
    """Let it end in order: the words of each of its lines."""
    async with asyncio.timeout(WITHIN_S):
        said, _ = await process.communicate(b"\n")
    assert process.returncode == 0
    return [line.split() for line in said.decode().splitlines()]


async def line(process: Process) -> list[str]:
    """The words of its next line."""
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        return (await process.stdout.readline()).decode().split()


async def test_three_processes_do_each_job_exactly_once(yard: Yard) -> None:
    async with yard.process() as a, yard.process() as b, yard.process() as c:
        made = await yard.enqueue("note", 600)
        await eventually(yard.all_done, within_s=WITHIN_S)
        said = [await farewell(process) for process in (a, b, c)]
    ran = Counter(words[1] for part in said for words in part if words[0] == "ran")
    assert ran == dict.fromkeys(made, 1)
    assert {job.attempt for job in await yard.all()} == {1}


async def test_jobs_of_a_process_that_is_killed_are_done_by_another_after_their_leases(yard: Yard) -> None:
    made = await yard.enqueue("hang", 5)
    async with yard.process(lease_s=1.0) as victim:
        began = [await line(victim) for _ in made]
        assert {words[1] for words in began} == set(made)
        leases = {job.id: job.lease_until for job in await yard.all()}
        os.kill(victim.pid, signal.SIGKILL)
        async with yard.process(lease_s=1.0) as heir:
            await eventually(yard.all_done, within_s=WITHIN_S)
            said = await farewell(heir)
    assert Counter(words[1] for words in said if words[0] == "ran") == dict.fromkeys(made, 1)
    for job in await yard.all():
        lease = leases[job.id]
        assert job.attempt == 2
        assert lease is not None
        assert job.started_at is not None
        assert job.started_at > lease


async def test_a_process_that_is_told_to_stop_gives_its_jobs_back_at_once(yard: Yard) -> None:
    made = await yard.enqueue("hang", 3)
    async with yard.process(lease_s=3600.0) as first:
        for _ in made:
            await line(first)
        await farewell(first)
    assert {job.state for job in await yard.all()} == {JobState.QUEUED}
    async with yard.process() as second:
        await eventually(yard.all_done, within_s=WITHIN_S)
        await farewell(second)


async def test_three_processes_enqueue_each_run_of_the_clock_once_and_make_up_for_a_missed_one(yard: Yard) -> None:
    start = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)

    async def has(count: int) -> bool:
        return len(await yard.all()) >= count

    # A minute goes by in half a second.
    clock = {"start": start, "pace": 120.0}
    async with yard.process(**clock) as a, yard.process(**clock) as b, yard.process(**clock) as c:  # type: ignore[arg-type]
        await eventually(lambda: has(4), within_s=WITHIN_S)
        for process in (a, b, c):
            await farewell(process)
    seen = [job.scheduled_at for job in await yard.all()]
    assert len(set(seen)) == len(seen)
    assert all(job.cron == "tick" for job in await yard.all())
    last = max(at for at in seen if at is not None)
    # A run that they had under way is ended first: while it is not, no other is ordered.
    async with yard.process(start=last + timedelta(seconds=1), pace=1.0) as one:
        await eventually(yard.all_done, within_s=WITHIN_S)
        await farewell(one)
    # Nobody is there for an hour; and the next minute is far enough away for processes that are slow to start.
    late = {"start": last + timedelta(minutes=60, seconds=1), "pace": 1.0}
    count = len(seen)
    async with yard.process(**late) as a, yard.process(**late) as b:  # type: ignore[arg-type]
        await eventually(lambda: has(count + 1), within_s=WITHIN_S)
        for process in (a, b):
            await farewell(process)
    caught_up = [job.scheduled_at for job in await yard.all()][: len(await yard.all()) - count]
    assert caught_up == [last + timedelta(minutes=60)]
