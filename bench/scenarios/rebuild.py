"""Rows made from attributes: an element of many small files, a database that knows none of them."""

import os
import random
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import uvloop

from bench.figures import Figure, median
from bench.scenarios.bench import Bench
from bench.scenarios.ledger import postgres
from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.alembic import migrate
from samovar.adapters.disk import DiskElement
from samovar.adapters.jobs.table import JobTable
from samovar.adapters.memory import MemoryBus, MemoryCache
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock, SystemIds
from samovar.domains.audit.service import AuditService
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.model.names import stored_path
from samovar.domains.files.model.records import FileEvent, StoredFile
from samovar.domains.files.model.rounds import Extent
from samovar.domains.files.service import CareRules, FileCare, FileService, IngestRules
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, Mode, Retention, RetentionKind

TARGET = 5_000.0
FILES_A_SECOND_OF_MEASURE = 5_000
AN_HOUR = 500


def rebuild(bench: Bench) -> list[Figure]:
    """On each engine that answers; the median of the repeats, each into an empty database."""
    count = max(2_000, int(FILES_A_SECOND_OF_MEASURE * bench.measure.seconds))
    folder = bench.stage.fresh_directory()
    _fill(folder / "edit", count, seed=bench.measure.seed)
    found: dict[str, list[float]] = {}
    for _ in range(bench.measure.repeats):
        found.setdefault("SQLite", []).append(uvloop.run(_on_sqlite(folder, count)))
        with suppress(OSError):
            found.setdefault("PostgreSQL", []).append(uvloop.run(_on_postgres(folder, count)))
    shutil.rmtree(folder)
    note = f"{count:,} files with a few tags and attributes each, walked on a disk"
    return [
        Figure(f"rows rebuilt from attr.json, {engine}", median(rates), "files/s", TARGET, note=note)
        for engine, rates in found.items()
        if rates
    ]


def _fill(root: Path, count: int, *, seed: int) -> None:
    """As an element would leave it, but for the syncs."""
    chance, start = random.Random(seed), datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(count):
        at = start + timedelta(hours=number // AN_HOUR, seconds=number % AN_HOUR)
        at_ms = int(at.timestamp() * 1000)
        file_id = str(uuid.UUID(int=(at_ms << 80) | (7 << 76) | (2 << 62) | chance.getrandbits(62)))
        filename = f"Отчёт {number} quarterly report.pdf"
        path = stored_path(file_id=file_id, filename=filename, owner="ann", created_at=at)
        attributes = Attributes(
            file_id=file_id,
            path=path,
            filename=filename,
            content_type="application/pdf",
            size_bytes=1,
            checksum="2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
            storage_element_id="edit",
            created_at=at,
            team_id="team_bench",
            owner=f"person_{number % 50}",
            retention=Retention(kind=RetentionKind.PERMANENT),
            revision=1,
            tags=("report", f"q{number % 4}"),
            custom={"project": f"project {number % 100}", "pages": number % 90},
        )
        file = root / path
        if number % AN_HOUR == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
        Path(f"{file}.attr.json").write_bytes(msgspec.json.encode(attributes))


async def _on_sqlite(folder: Path, count: int) -> float:
    path = folder / f"{uuid.uuid4().hex}.db"
    await migrate(f"sqlite:///{path}")
    return await _measured(SqliteDatabase(path), folder, count)


async def _on_postgres(folder: Path, count: int) -> float:
    async with postgres() as url:
        await migrate(url)
        return await _measured(PostgresDatabase(url), folder, count)


def _no_audit() -> AuditService:
    raise LookupError("a rebuild leaves no records")


async def _measured(database: Database, folder: Path, count: int) -> float:
    """Files a second, from the first folder to the last count."""
    async with serving(database, folder) as files:
        clock = SystemClock()
        jobs = JobTable(kinds=(), clock=clock, ids=SystemIds(clock=clock), bus=MemoryBus())
        care = FileCare(files=files, database=database, jobs=jobs, audit=_no_audit, clock=clock, rules=CareRules())
        started = time.perf_counter()
        done = await care.rebuilder.run("edit", Extent.FULL)
        took_s = time.perf_counter() - started
    assert done.report.met == count, done.report
    return count / took_s


@asynccontextmanager
async def serving(database: Database, folder: Path) -> AsyncIterator[FileService]:
    """The files of one process, with one element on a disk; the database is closed with them."""
    clock, bus = SystemClock(), MemoryBus()
    now = clock.now()
    place = Element(
        id="edit",
        url=(folder / "edit").as_uri(),
        mode=Mode.EDIT,
        configured=True,
        created_at=now,
        updated_at=now,
    )
    files = FileService(
        database=database,
        clock=clock,
        ids=SystemIds(clock=clock),
        bus=bus,
        cache=MemoryCache(clock=clock),
        box=AesGcmBox(master_key=os.urandom(32)),
        configured=[place],
        open_element=lambda one: DiskElement(folder / "edit", element_id=one.id, mode=one.mode, clock=clock),
        rules=IngestRules(),
        notify=_nobody,
    )
    try:
        async with files.running(_keep):
            yield files
    finally:
        await bus.close()
        await database.close()


async def _nobody(event: FileEvent, file: StoredFile | None) -> None:
    pass


async def _keep(name: str, run: Callable[[], Awaitable[None]]) -> None:
    await run()
