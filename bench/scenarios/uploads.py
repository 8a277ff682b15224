"""Whole uploads in one process: a transaction that begins, the element on this machine's disk, the rows, and the news of them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

from bench.figures import Figure, median
from bench.scenarios.bench import Bench
from bench.scenarios.rebuild import serving
from samovar.adapters.alembic import migrate
from samovar.adapters.sqlite import SqliteDatabase
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.service import FileService
from samovar.domains.identity.model import administrator

SMALL_BYTES = 64 * 1024
ALONE_TARGET, TOGETHER_TARGET = 250.0, 1_000.0
TOGETHER = 32


def uploads(bench: Bench) -> list[Figure]:
    """The median of the repeats; each has a new database and a new element in a new folder."""
    alone, together = [], []
    for _ in range(bench.measure.repeats):
        alone.append(uvloop.run(measured(bench.stage.fresh_directory(), bench.measure.seconds, 1)))
        together.append(uvloop.run(measured(bench.stage.fresh_directory(), bench.measure.seconds, TOGETHER)))
    return [
        _figure("one at a time", alone, ALONE_TARGET),
        _figure(f"{TOGETHER} at a time", together, TOGETHER_TARGET),
    ]


async def measured(folder: Path, seconds: float, writers: int) -> tuple[float, float]:
    """Files a second and milliseconds of processor time for each, until the news of the last one is told."""
    path = folder / "samovar.db"
    await migrate(f"sqlite:///{path}")
    async with serving(SqliteDatabase(path), folder) as files:
        # What is loaded at the first use is not this file's.
        await _put(files, b"x")
        await files.teller.tell_all()
        started, spent = time.perf_counter(), time.process_time()
        count = await _put_for(files, seconds, writers)
        await files.teller.tell_all()
        return count / (time.perf_counter() - started), (time.process_time() - spent) * 1e3 / count


async def _put_for(files: FileService, seconds: float, writers: int) -> int:
    content, count, started = os.urandom(SMALL_BYTES), 0, time.perf_counter()

    async def go_on() -> None:
        nonlocal count
        while time.perf_counter() - started < seconds:
            await _put(files, content)
            count += 1

    await asyncio.gather(*(go_on() for _ in range(writers)))
    return count


async def _put(files: FileService, content: bytes) -> None:
    intent = Intent(filename="report.bin", content_type="application/octet-stream", tags=("bench",))
    await files.ingest.upload(administrator(), intent, _pieces(content))


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _figure(how: str, found: list[tuple[float, float]], target: float) -> Figure:
    spent_ms = median([spent for _, spent in found])
    note = f"{spent_ms:.2f} ms of processor time each"
    return Figure(
        f"64 KiB uploads with their rows, SQLite, {how}",
        median([rate for rate, _ in found]),
        "files/s",
        target,
        note=note,
    )
