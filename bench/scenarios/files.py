"""A storage element on this machine's disk: one large file beside `cp` and `sync`, and small ones with full durability."""

import asyncio
import gc
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from bench.figures import Figure, median
from bench.scenarios.bench import Bench
from bench.scenarios.rebuild import rebuild
from bench.scenarios.uploads import uploads
from samovar.adapters.disk import DiskElement
from samovar.adapters.system import SystemClock
from samovar.app.background import calm_the_collector
from samovar.ports.elements import Draft, Mode, Retention, RetentionKind

MEBIBYTE = 1024 * 1024
LARGE_BYTES = 1024 * MEBIBYTE
LARGE_BYTES_A_SECOND_OF_MEASURE = 256 * MEBIBYTE
RATIO_TARGET = 0.8
GROWTH_TARGET_MB = 60.0
SMALL_BYTES = 64 * 1024
ALONE_TARGET, TOGETHER_TARGET = 250.0, 1_000.0
TOGETHER = 32
PIECE_BYTES, PIECES_A_TURN = 256 * 1024, 8
SAMPLE_S = 0.01


def files(bench: Bench) -> list[Figure]:
    """The median of the repeats; each is a new element in a new folder. Small files come first, and nothing of them is removed
    before all is measured: where much was just deleted ext4 looks long for a new file's inode."""
    # The load's one core is for loads: an element's threads, and cp, have the machine.
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        with as_served():
            small, whole = _small_files(bench), uploads(bench)
            return [*_large_files(bench), *small, *whole, *rebuild(bench)]
    finally:
        os.sched_setaffinity(0, own)


@contextmanager
def as_served() -> Iterator[None]:
    """The interpreter set as ``samovar serve`` sets it."""
    thresholds, interval_s = gc.get_threshold(), sys.getswitchinterval()
    calm_the_collector()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval_s)


def _small_files(bench: Bench) -> list[Figure]:
    alone, together = [], []
    for _ in range(bench.measure.repeats):
        folder = bench.stage.fresh_directory()
        alone.append(_small(folder / "alone", bench.measure.seconds, 1))
        together.append(_small(folder / "together", bench.measure.seconds, TOGETHER))
    return [
        Figure("64 KiB files, durable, one at a time", median(alone), "files/s", ALONE_TARGET),
        Figure(f"64 KiB files, durable, {TOGETHER} at a time", median(together), "files/s", TOGETHER_TARGET),
    ]


def _large_files(bench: Bench) -> list[Figure]:
    large_bytes = min(LARGE_BYTES, int(LARGE_BYTES_A_SECOND_OF_MEASURE * bench.measure.seconds))
    source = bench.stage.fresh_directory() / "source"
    _fill(source, large_bytes)
    copied, written, grown = [], [], []
    for _ in range(bench.measure.repeats):
        folder = bench.stage.fresh_directory()
        # Each of them first and last: a virtual machine's disk and memory are faster for whoever comes first.
        copies_s = [_copied_s(source, folder / "copy")]
        took = [_large(source, folder / f"large{turn}") for turn in range(2)]
        copies_s.append(_copied_s(source, folder / "copy again"))
        copied.append(2 * large_bytes / MEBIBYTE / sum(copies_s))
        written.append(2 * large_bytes / MEBIBYTE / sum(took_s for took_s, _ in took))
        grown.append(max(growth_bytes for _, growth_bytes in took) / 1e6)
        shutil.rmtree(folder)
    source.unlink()
    size = f"{large_bytes // MEBIBYTE:,} MiB"
    return [
        Figure(
            "one large file, beside cp and sync",
            median([ours / theirs for ours, theirs in zip(written, copied, strict=True)]),
            "of its speed",
            RATIO_TARGET,
            note=f"{size}: {median(written):,.0f} MiB/s with SHA-256, cp and sync {median(copied):,.0f} MiB/s",
        ),
        Figure("memory while one large file is written", max(grown), "MB more", GROWTH_TARGET_MB, at_least=False),
    ]


def _fill(path: Path, size_bytes: int) -> None:
    block = os.urandom(MEBIBYTE)
    with path.open("wb") as file:
        for _ in range(size_bytes // MEBIBYTE):
            file.write(block)
        os.fsync(file.fileno())


def _copied_s(source: Path, target: Path) -> float:
    """What `cp` and a sync of that one file take."""
    started = time.perf_counter()
    subprocess.run(["cp", "--reflink=never", source, target], check=True)
    subprocess.run(["sync", target], check=True)
    return time.perf_counter() - started


def _large(source: Path, root: Path) -> tuple[float, int]:
    """Seconds, and bytes of memory at the highest beyond those before."""

    size_bytes = source.stat().st_size

    async def write(element: DiskElement) -> float:
        # What is loaded at the first use is not this file's.
        await element.write(_draft(0), _pieces(b"x"))
        started = time.perf_counter()
        made = await element.write(_draft(1), _read(source))
        took_s = time.perf_counter() - started
        assert made.size_bytes == size_bytes
        return took_s

    with Peak() as peak:
        took_s = uvloop.run(_with_element(root, write))
    return took_s, peak.growth_bytes


def _small(root: Path, seconds: float, writers: int) -> float:
    """Files a second."""
    content = os.urandom(SMALL_BYTES)

    async def write(element: DiskElement) -> float:
        count = 0
        started = time.perf_counter()

        async def go_on() -> None:
            nonlocal count
            while time.perf_counter() - started < seconds:
                count += 1
                made = await element.write(_draft(count), _pieces(content))
                await element.acknowledge([(made.file_id, made.revision)])

        await asyncio.gather(*(go_on() for _ in range(writers)))
        return count / (time.perf_counter() - started)

    return uvloop.run(_with_element(root, write))


async def _with_element(root: Path, work: Callable[[DiskElement], Awaitable[float]]) -> float:
    element = DiskElement(root, element_id="bench", mode=Mode.EDIT, clock=SystemClock())
    await element.start()
    try:
        return await work(element)
    finally:
        await element.close()


def _draft(number: int) -> Draft:
    return Draft(
        file_id=f"file_{number}",
        path=f"2026/11/21/13/report_ann_20261121T133100Z_file_{number}.bin",
        filename="report.bin",
        content_type="application/octet-stream",
        team_id="team_bench",
        owner="ann",
        created_at=SystemClock().now(),
        retention=Retention(kind=RetentionKind.PERMANENT),
        tags=("bench",),
    )


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _read(path: Path) -> AsyncIterator[bytes]:
    """In pieces of the size that a server hands on, several at a time from a thread."""
    with path.open("rb", buffering=0) as file:
        while True:
            for piece in await asyncio.to_thread(lambda: [file.read(PIECE_BYTES) for _ in range(PIECES_A_TURN)]):
                if not piece:
                    return
                yield piece


class Peak:
    """This process's resident memory, looked at all the time."""

    def __enter__(self) -> "Peak":
        self._before = self._highest = _resident_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth_bytes(self) -> int:
        """The highest beyond what was before."""
        return self._highest - self._before

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self._highest = max(self._highest, _resident_bytes())


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
