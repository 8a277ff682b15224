"""A process that writes to a real folder and is killed with -9, again and again."""

import asyncio
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from samovar.adapters.disk import DiskElement
from samovar.adapters.system import SystemClock
from samovar.ports.elements import Mode
from tests.contract.elements.drafts import walked
from tests.contract.elements.story import state_of

PROJECT = Path(__file__).parents[3]


async def killed_after(root: Path, name: str, lines: int, pause_s: float) -> list[list[str]]:
    """What a writing process said before it was killed, some time after its so-and-so-manieth line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.contract.elements.writing_process",
        str(root),
        name,
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said = [await process.stdout.readline() for _ in range(lines)]
    await asyncio.sleep(pause_s)
    process.kill()
    said += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    return [line.decode().split() for line in said if line.endswith(b"\n")]


def promises(said: list[list[str]]) -> Iterator[tuple[str, set[str | None]]]:
    """What may be found of each file: a checksum, or nothing."""
    last = {words[1]: words[0] for words in said}
    checksums = {words[1]: words[2] for words in said if words[0] == "tries"}
    for path, checksum in checksums.items():
        allowed: dict[str, set[str | None]] = {
            "tries": {checksum, None},
            "stands": {checksum},
            "deletes": {checksum, None},
            "gone": {None},
        }
        yield path, allowed[last[path]]


async def rounds(root: Path, count: int) -> None:
    chance = random.Random(count)
    known: dict[str, set[str | None]] = {}
    for number in range(count):
        said = await killed_after(root, f"r{number}", chance.randint(40, 120), chance.random() / 50)
        known.update(promises(said))
        element = DiskElement(root, element_id="se-1", mode=Mode.EDIT, clock=SystemClock())
        await element.start()
        try:
            for path, allowed in known.items():
                found = None if await state_of(element, path) is None else (await element.attributes(path)).checksum
                assert found in allowed, path
                # What was not promised is settled from now on.
                known[path] = {found}
            there = await walked(element)
            assert {one.path for one in there} == {path for path, states in known.items() if None not in states}
            assert all(one.attributes is not None and one.fault is None for one in there)
            assert not await asyncio.to_thread(lambda: list(root.rglob("2026/**/.*")))
            waiting = [attributes.path async for attributes in element.unacknowledged()]
            assert set(waiting) <= set(known)
            assert len(waiting) == len(set(waiting))
        finally:
            await element.close()


async def test_a_process_that_is_killed_leaves_what_it_promised_and_nothing_half(tmp_path: Path) -> None:
    await rounds(tmp_path / "element", 3)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_process_that_is_killed_twenty_times_leaves_what_it_promised(tmp_path: Path) -> None:
    await rounds(tmp_path / "element", 20)
