"""Small jobs from the order to the end: enqueued in the orders' transactions, run, and written down as done."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.figures import Figure, median
from bench.scenarios.bench import Bench
from bench.scenarios.ledger import postgres
from samovar.adapters.alembic import migrate
from samovar.adapters.jobs.table import JobTable
from samovar.adapters.jobs.worker import Worker, WorkerSettings
from samovar.adapters.memory import MemoryBus
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock, SystemIds
from samovar.ports.database import Database
from samovar.ports.jobs import Job, JobContext, JobKind, JobOrder

TARGET = 1_000.0
TEAM = "bench"
BATCH = 100
ORDERERS = 8
JOBS_A_SECOND_OF_MEASURE = 1_000


def jobs(bench: Bench) -> list[Figure]:
    """Each engine where it answers; the median of the repeats."""
    count = max(ORDERERS * BATCH, int(JOBS_A_SECOND_OF_MEASURE * bench.measure.seconds))
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(bench.measure.repeats):
        folder = bench.stage.fresh_directory()
        found.setdefault("SQLite", []).append(uvloop.run(_on_sqlite(folder, count)))
        try:
            on_postgres = uvloop.run(_on_postgres(count))
        except OSError:
            continue
        found.setdefault("PostgreSQL", []).append(on_postgres)
    figures: list[Figure] = []
    for engine, runs in found.items():
        batched, single = ([run[place] for run in runs] for place in range(2))
        figures += [
            Figure(
                f"small jobs, enqueued and run, {engine}",
                median(batched),
                "jobs/s",
                TARGET,
                note=f"{count:,} jobs, {BATCH} in an order's transaction, {ORDERERS} orders at once, one worker",
            ),
            Figure(f"small jobs, a transaction each, {engine}", median(single), "jobs/s"),
        ]
    return figures


async def _on_sqlite(folder: Path, count: int) -> tuple[float, float]:
    path = folder / "jobs.db"
    await migrate(f"sqlite:///{path}")
    return await _measured(SqliteDatabase(path), count)


async def _on_postgres(count: int) -> tuple[float, float]:
    async with postgres() as url:
        await migrate(url)
        return await _measured(PostgresDatabase(url), count)


async def _measured(database: Database, count: int) -> tuple[float, float]:
    """Jobs a second from the first order to the last end: in batches, and each in a transaction of its own."""
    try:
        return await _rate(database, count, batch=BATCH), await _rate(database, max(ORDERERS, count // 5), batch=1)
    finally:
        await database.close()


async def _rate(database: Database, count: int, *, batch: int) -> float:
    clock, bus, over = SystemClock(), MemoryBus(), asyncio.Event()
    ids = SystemIds(clock=clock)
    each = count // ORDERERS // batch
    left = ORDERERS * each * batch
    seen: set[str] = set()

    async def run(job: Job, context: JobContext) -> None:
        seen.add(job.id)
        if len(seen) == left:
            over.set()

    kinds: Sequence[JobKind] = [JobKind(name="small", handler=run)]
    table = JobTable(kinds=kinds, clock=clock, ids=ids, bus=bus)
    worker = Worker(
        name="bench",
        kinds=kinds,
        database=database,
        bus=bus,
        clock=clock,
        chance=float,
        report=lambda error, words: print(words, error),
        settings=WorkerSettings(),
    )
    worker.subscribe()
    await bus.start()
    running = asyncio.create_task(worker.run())

    async def order() -> None:
        for _ in range(each):
            wanted = [JobOrder(kind="small", team_id=TEAM, payload={"cups": 2}) for _ in range(batch)]
            async with database.transaction() as tx:
                await table.enqueue_many(tx, wanted)
            await table.wake()

    started = time.perf_counter()
    await asyncio.gather(*(order() for _ in range(ORDERERS)))
    async with asyncio.timeout(120):
        await over.wait()
    # Until the last end is written, too.
    await worker.stop()
    took_s = time.perf_counter() - started
    running.cancel()
    await asyncio.wait([running])
    await bus.close()
    assert worker.ended["small", "done"] == left
    return left / took_s
