"""Pictures on their way to a model: how long one takes to be prepared, and what everybody else notices of it."""

import asyncio
import os
import random
import resource
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from time import perf_counter

import uvloop
from PIL import Image

from bench.figures import Figure, median
from bench.scenarios.bench import Bench
from samovar.adapters.pillow import PillowImages
from samovar.ports.image_limits import limits_of

PREPARED_MS = 300.0
DELAY_MS = 20.0
WIDTH_PX, HEIGHT_PX = 4_000, 3_000
IMAGES_A_REPEAT = 20
VENDORS = ("anthropic", "openai", "gemini")
TICK_S = 0.001
QUIET_S = 3.0


def vision(bench: Bench) -> list[Figure]:
    """One worker and a photograph of 12 megapixels, for the limits of each vendor; the median of all repeats."""
    # As a serving process has it (app/background.py): threads beside the loop give way sooner.
    sys.setswitchinterval(0.0005)
    photo = photograph(random.Random(bench.measure.seed))
    took_s: dict[str, list[float]] = {vendor: [] for vendor in VENDORS}
    first_s: list[float] = []
    delays_s: list[float] = []
    quiet_s: list[float] = []
    before_s = _children_s()
    with _every_core():
        for _ in range(bench.measure.repeats):
            uvloop.run(_quiet(quiet_s))
            uvloop.run(_prepared(photo, first_s, took_s, delays_s))
    each_s = (_children_s() - before_s) / (len(first_s) + sum(map(len, took_s.values())))
    note = f"{len(photo) / 1e6:.1f} MB, of {IMAGES_A_REPEAT * bench.measure.repeats}"
    figures = [
        Figure(f"12 MP JPEG prepared for {vendor}", median(times) * 1000, "ms", PREPARED_MS, at_least=False, note=note)
        for vendor, times in took_s.items()
    ]
    figures.append(
        Figure(
            "another call's delay while preparing",
            max(delays_s) * 1000,
            "ms",
            DELAY_MS,
            at_least=False,
            ceiling=max(quiet_s) * 1000,
            note="the worst; straight: while nothing is prepared",
        )
    )
    figures.append(Figure("the first image, with its worker's start", median(first_s) * 1000, "ms"))
    figures.append(
        Figure("its worker's processor time, each", each_s * 1000, "ms", note="of all; the workers' starts too")
    )
    return figures


def photograph(randomness: random.Random) -> bytes:
    """Soft shapes with the noise of a sensor, as a camera would write them: some 2 MB."""
    width, height = WIDTH_PX // 16, HEIGHT_PX // 16
    shapes = Image.frombytes("RGB", (width, height), randomness.randbytes(width * height * 3))
    shapes = shapes.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC)
    noise = Image.frombytes("L", (WIDTH_PX, HEIGHT_PX), randomness.randbytes(WIDTH_PX * HEIGHT_PX)).convert("RGB")
    buffer = BytesIO()
    Image.blend(shapes, noise, 0.05).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@contextmanager
def _every_core() -> Iterator[None]:
    """The bench keeps to the core of the load; here it stands in for Samovar, whose workers have the machine's others."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def _children_s() -> float:
    """Processor time of all processes of ours that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def _quiet(delays_s: list[float]) -> None:
    async with _watched(delays_s):
        await asyncio.sleep(QUIET_S)


async def _prepared(photo: bytes, first_s: list[float], took_s: dict[str, list[float]], delays_s: list[float]) -> None:
    images = PillowImages(workers=1)
    try:
        async with _watched(delays_s):
            began = perf_counter()
            await images.prepare(photo, limits=limits_of(VENDORS[0]))
            first_s.append(perf_counter() - began)
            for vendor, times in took_s.items():
                for _ in range(IMAGES_A_REPEAT):
                    began = perf_counter()
                    await images.prepare(photo, limits=limits_of(vendor))
                    times.append(perf_counter() - began)
    finally:
        await images.close()


@asynccontextmanager
async def _watched(delays_s: list[float]) -> AsyncIterator[None]:
    """How much later than asked for the loop wakes a task, all the while."""

    async def watch() -> None:
        while True:
            began = perf_counter()
            await asyncio.sleep(TICK_S)
            delays_s.append(perf_counter() - began - TICK_S)

    async with asyncio.TaskGroup() as group:
        watcher = group.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()
