"""The processes behind the images port: bounded, replaced when lost, and never in anybody's way."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from PIL import Image

from samovar.adapters.pillow import PillowImages
from samovar.ports.images import BrokenImage, ImagesBusy, Picture
from tests.contract.images.making import LIMITS, encoded, flag, slow_jpeg

SMALL = encoded(flag(), "PNG")
SLOW = slow_jpeg()


@asynccontextmanager
async def adapter(**settings: Any) -> AsyncIterator[PillowImages]:
    images = PillowImages(**{"workers": 1, "wait_s": 60.0, "processor_s": 30, **settings})
    try:
        yield images
    finally:
        await images.close()
        assert images.workers == 0
        assert workers_of_ours() == []


def workers_of_ours() -> list[int]:
    """The ids of our worker processes, dead ones that nobody buried included."""
    found = []
    # By parent and not by thread: one that ends just now has left its children to another.
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parent = int((process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            command = (process / "cmdline").read_bytes() if parent == os.getpid() else b"another's"
            if b"pillow.worker" in command or not command:
                found.append(int(process.name))
    return found


async def seen(process: int) -> None:
    """Wait until the process has worked on something: its next image has come to it."""
    async with asyncio.timeout(30):
        before = ticks(process)
        while ticks(process) < before + 5:  # noqa: ASYNC110 - another process has no event for us
            await asyncio.sleep(0.01)


def ticks(process: int) -> int:
    """The processor time that a process has used, in hundredths of a second."""
    fields = Path("/proc", str(process), "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


async def test_no_process_starts_before_an_image_comes_and_one_serves_many() -> None:
    async with adapter() as images:
        assert (images.workers, workers_of_ours()) == (0, [])
        await images.prepare(SMALL, limits=LIMITS)
        first = workers_of_ours()
        await images.prepare(SMALL, limits=LIMITS)
        assert workers_of_ours() == first
        assert len(first) == 1


async def test_a_worker_knows_no_secret_and_can_do_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_MASTER_KEY", "do not tell")
    async with adapter(memory_bytes=700_000_000) as images:
        await images.prepare(SMALL, limits=LIMITS)
        process = Path("/proc", str(workers_of_ours()[0]))
        assert process.joinpath("environ").read_bytes() == b"MALLOC_ARENA_MAX=2\0"
        limits = {line[:26].strip(): line[26:].split() for line in process.joinpath("limits").read_text().splitlines()}
        assert limits["Max address space"][:2] == ["700000000", "700000000"]
        assert limits["Max file size"][:2] == ["0", "0"]
        assert limits["Max core file size"][:2] == ["0", "0"]
        assert limits["Max open files"][:2] == ["32", "32"]
        assert int(limits["Max cpu time"][0]) <= 40
        assert process.joinpath("oom_score_adj").read_text() == "1000\n"
        assert len(list(process.joinpath("fd").iterdir())) <= 4


def test_a_worker_lives_within_harder_limits_than_its_own() -> None:
    program = """
import resource
from samovar.adapters.pillow.worker import allow_processor_time, confine
resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
confine(memory_bytes=1_000_000_000)
allow_processor_time(30)
print(*(resource.getrlimit(what) for what in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_AS)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "(5, 5) (20, 20) (1000000000, 1000000000)\n"


@pytest.mark.parametrize("end", [signal.SIGSEGV, signal.SIGKILL])
async def test_a_worker_that_dies_costs_its_own_image_and_is_replaced(end: signal.Signals) -> None:
    async with adapter() as images, asyncio.TaskGroup() as group:
        await images.prepare(SMALL, limits=LIMITS)
        worker = workers_of_ours()[0]
        hit = group.create_task(refused(images, SLOW))
        next_one = group.create_task(images.prepare(SMALL, limits=LIMITS))
        await seen(worker)
        os.kill(worker, end)
        error = await hit
        assert isinstance(error, BrokenImage)
        assert "broke the process" in error.detail
        assert (await next_one).width_px == 320
        assert workers_of_ours() != [worker]


async def refused(images: PillowImages, content: bytes) -> BrokenImage | ImagesBusy:
    with pytest.raises((BrokenImage, ImagesBusy)) as error:
        await images.prepare(content, limits=LIMITS)
    found: BrokenImage | ImagesBusy = error.value
    return found


async def test_an_image_that_takes_for_ever_is_given_up() -> None:
    async with adapter(processor_s=1) as images:
        error = await refused(images, SLOW)
        assert isinstance(error, BrokenImage)
        assert "more than 1 s" in error.detail
        assert (await images.prepare(SMALL, limits=LIMITS)).width_px == 320


async def test_a_machine_that_is_too_slow_is_not_the_images_fault() -> None:
    async with adapter(wait_s=0.5) as images:
        error = await refused(images, SLOW)
        assert isinstance(error, ImagesBusy)
        assert error.headers == {"retry-after": "1"}


async def test_only_so_many_wait_and_not_for_ever() -> None:
    async with adapter(max_waiting=1) as images, asyncio.TaskGroup() as group:
        long = group.create_task(refused(images, SLOW))
        await asyncio.sleep(0)
        waiting = group.create_task(images.prepare(SMALL, limits=LIMITS))
        await asyncio.sleep(0)
        with pytest.raises(ImagesBusy, match="Too many") as busy:
            await images.prepare(SMALL, limits=LIMITS)
        assert busy.value.http_status == 503
        os.kill(await a_worker(), signal.SIGKILL)
        await long
        assert (await waiting).width_px == 320


async def a_worker() -> int:
    """The one worker, once it is at work."""
    async with asyncio.timeout(30):
        while not (found := workers_of_ours()):  # noqa: ASYNC110 - another process has no event for us
            await asyncio.sleep(0.01)
    await seen(found[0])
    return found[0]


async def test_who_leaves_takes_the_worker_along() -> None:
    async with adapter() as images:
        task = asyncio.ensure_future(images.prepare(SLOW, limits=LIMITS))
        worker = await a_worker()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert images.workers == 0
        async with asyncio.timeout(10):
            while worker in workers_of_ours():  # noqa: ASYNC110 - another process has no event for us
                await asyncio.sleep(0.01)
        assert (await images.prepare(SMALL, limits=LIMITS)).width_px == 320


async def test_closing_ends_what_is_under_way() -> None:
    images = PillowImages(workers=1, wait_s=60, processor_s=30)
    async with asyncio.TaskGroup() as group:
        under_way = group.create_task(refused(images, SLOW))
        waiting = group.create_task(refused(images, SMALL))
        await a_worker()
        await images.close()
        for task in (under_way, waiting):
            error = await task
            assert isinstance(error, ImagesBusy)
            assert "shutting down" in error.detail
    assert (images.workers, workers_of_ours()) == (0, [])
    assert isinstance(await refused(images, SMALL), ImagesBusy)
    await images.close()


async def test_an_idle_worker_goes_home() -> None:
    async with adapter(idle_s=0.05) as images:
        await images.prepare(SMALL, limits=LIMITS)
        async with asyncio.timeout(10):
            while images.workers or workers_of_ours():  # noqa: ASYNC110 - another process has no event for us
                await asyncio.sleep(0.01)
        assert (await images.prepare(SMALL, limits=LIMITS)).width_px == 320


async def test_workers_work_at_once_and_no_more_than_allowed() -> None:
    async with adapter(workers=2) as images:
        pictures = await asyncio.gather(*(images.prepare(SMALL, limits=LIMITS) for _ in range(12)))
        assert {picture.width_px for picture in pictures} == {320}
        assert images.workers == len(workers_of_ours()) == 2


async def test_a_process_that_cannot_start_is_not_the_images_fault() -> None:
    async with adapter(memory_bytes=2**70) as images:
        error = await refused(images, SMALL)
        assert isinstance(error, ImagesBusy)
        assert "could be started" in error.detail


async def test_the_event_loop_goes_on_while_a_large_image_is_prepared() -> None:
    photo = encoded(Image.effect_noise((4_000, 3_000), 40).convert("RGB"), "JPEG", quality=90)
    async with adapter() as images:
        await images.prepare(SMALL, limits=LIMITS)
        turns = 0
        task = asyncio.ensure_future(images.prepare(photo, limits=LIMITS))
        began = perf_counter()
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        took_s = perf_counter() - began
        picture: Picture = task.result()
        assert (picture.width_px, picture.height_px) == (512, 384)
        # Were it decoded here, there would be a handful; a busy machine leaves hundreds for each hundredth of a second.
        assert turns > 1_000 * took_s
