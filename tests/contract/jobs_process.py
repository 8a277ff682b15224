"""A process that runs jobs: ``python -m tests.contract.jobs_process URL LEASE_S``.

Its kinds: ``note`` prints ``ran ID ATTEMPT``; ``hang`` prints ``began ID ATTEMPT`` and then waits for ever at its first attempt,
at a later one it prints ``ran``. Cron: ``tick`` every minute, of the kind ``note``, by a clock whose start and pace the command
line gives (``START_S PACE``), or none. Each line is one write. Ends in order after a line on its standard input.
"""

import asyncio
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from samovar.adapters.jobs.cron import TableCron
from samovar.adapters.jobs.table import JobTable
from samovar.adapters.jobs.worker import Worker, WorkerSettings
from samovar.adapters.memory import MemoryBus
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock, SystemIds
from samovar.ports.database import Database
from samovar.ports.jobs import CronJob, Job, JobContext, JobKind, Retry

TEAM = "team_of_jobs"
QUICK = Retry(max_attempts=5, first_s=0.05, most_s=0.2)


def say(*words: str) -> None:
    """A line that is out when this returns, whatever becomes of the process."""
    os.write(1, (" ".join(words) + "\n").encode())


async def note(job: Job, context: JobContext) -> None:
    """A small job."""
    say("ran", job.id, str(job.attempt))


async def hang(job: Job, context: JobContext) -> None:
    """A job that its first worker does not survive."""
    say("began", job.id, str(job.attempt))
    if job.attempt == 1:
        await asyncio.Event().wait()
    say("ran", job.id, str(job.attempt))


class HastyClock(SystemClock):
    """Begins at an instant and goes faster than time does."""

    def __init__(self, start: datetime, pace: float) -> None:
        self._start = start
        self._pace = pace
        self._began = super().monotonic()

    def now(self) -> datetime:
        """See the port."""
        return self._start + timedelta(seconds=(super().monotonic() - self._began) * self._pace)


def opened(url: str) -> Database:
    """The database that the address names."""
    path = url.removeprefix("sqlite:///")
    return SqliteDatabase(Path(path)) if path != url else PostgresDatabase(url)


def kinds() -> list[JobKind]:
    """The table of this process."""
    return [JobKind(name="note", handler=note, retry=QUICK), JobKind(name="hang", handler=hang, retry=QUICK)]


async def main(url: str, lease_s: float, start_s: float, pace: float) -> None:
    """One process, from its start to its end in order."""
    database, bus = opened(url), MemoryBus()
    clock = HastyClock(datetime.fromtimestamp(start_s, UTC), pace) if pace else SystemClock()
    ids = SystemIds(clock=SystemClock())

    def report(error: BaseException, words: str) -> None:
        say("report", words.replace(" ", "_"), type(error).__name__)

    worker = Worker(
        name=ids.new("worker"),
        kinds=kinds(),
        database=database,
        bus=bus,
        clock=clock,
        chance=lambda: 0.5,
        report=report,
        settings=WorkerSettings(at_once=8, lease_s=lease_s, poll_s=0.05, grace_s=1.0),
    )
    running = [asyncio.create_task(worker.run())]
    if pace:
        cron = TableCron(
            table=[CronJob(name="tick", kind="note", schedule="* * * * *")],
            time_zone="UTC",
            team_id=TEAM,
            jobs=JobTable(kinds=kinds(), clock=clock, ids=ids, bus=bus),
            database=database,
            clock=clock,
            report=report,
        )

        async def look() -> None:
            while True:
                await cron.tick()
                await asyncio.sleep(0.01)

        running.append(asyncio.create_task(look()))
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    await worker.stop()
    for task in running:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await database.close()


if __name__ == "__main__":
    address, *figures = sys.argv[1:]
    asyncio.run(main(address, *map(float, [*figures, "0", "0"][:3])))
