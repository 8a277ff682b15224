"""The disk element on a machine whose power goes, at each call of its whole life in turn."""

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from samovar.adapters.disk import DiskElement, Syscalls
from samovar.kernel.errors import SamovarError
from samovar.ports.elements import Mode
from tests.contract.elements.drafts import content_of, draft, pieces
from tests.contract.elements.simulated_disk import PowerCut, SimulatedDisk
from tests.contract.elements.story import SMALL, Ledger, check, check_upload, live, state_of
from tests.support.clock import ManualClock

ROOT = Path("/srv/element")
SEEDS = 3
SHARES = 8
"""Of the longest proof, so that it takes all cores."""
CHANGE_NOTHING = ("begin_writeback", "close", "lock", "names", "pread", "space", "stat")


def element_on(disk: Syscalls) -> DiskElement:
    return DiskElement(ROOT, element_id="se-1", mode=Mode.EDIT, clock=ManualClock(), syscalls=disk, segment_bytes=700)


@asynccontextmanager
async def started(disk: Syscalls) -> AsyncIterator[DiskElement]:
    element = element_on(disk)
    try:
        await element.start()
        yield element
    finally:
        await element.close()


def cut_at(number: int) -> SimulatedDisk:
    def before(count: int, name: str, path: str) -> None:
        if count >= number:
            raise PowerCut

    return SimulatedDisk(before=before)


def fail(error: SamovarError) -> None:
    raise AssertionError(f"the story has no failure: {error.detail}") from error


async def told_until_cut(disk: SimulatedDisk, ledger: Ledger) -> None:
    """The story on ``disk``, up to the moment its power goes."""
    element = element_on(disk)
    try:
        await element.start()
        await live(element, ledger, on_error=fail)
    except PowerCut:
        pass
    finally:
        with suppress(PowerCut):
            await element.close()


async def calls_of_the_story() -> list[str]:
    """The names of all calls, in their order."""
    disk = SimulatedDisk()
    async with started(disk) as element:
        await live(element, Ledger(), on_error=fail)
        return list(disk.calls)


async def moments() -> list[int]:
    """The calls before which a disk may look as it does at no other."""
    return [number for number, name in enumerate(await calls_of_the_story()) if name not in CHANGE_NOTHING]


def first_of_each_kind(calls: Sequence[str]) -> set[int]:
    """Of calls that follow the same two calls, only the first: every kind of step is among them."""
    first: dict[tuple[str, ...], int] = {}
    for number in range(len(calls)):
        first.setdefault(tuple(calls[max(0, number - 2) : number + 1]), number)
    return set(first.values())


def aftermaths(disk: SimulatedDisk, number: int) -> list[SimulatedDisk]:
    """What may be found afterwards: only what was synced, that and any of the rest, and all of it."""
    by_chance = [disk.after_power_cut(random.Random(f"{number} {seed}")) for seed in range(SEEDS)]
    return [disk.after_power_cut(None), *by_chance, disk.killed()]


async def check_all(disk: SimulatedDisk, ledger: Ledger) -> None:
    """Start on ``disk``, find everything as it may be, and go on."""
    ledger = Ledger(dict(ledger.allowed), ledger.upload_bytes, ledger.set_aside)
    async with started(disk) as element:
        await check(element, ledger)
        for path, content in ledger.set_aside.items():
            if await state_of(element, path) is None:
                assert content in disk.contents(f"{ROOT}/.element/quarantine"), "what was set aside is nowhere"
        assert not [path for path in disk.paths() if path.endswith(".part")], "a temporary file was left"
        waiting = {attributes.path async for attributes in element.unacknowledged()}
        assert waiting <= set(ledger.allowed)
        # Who is told of a file makes a row of it: it must survive from that moment on.
        async with started(disk.after_power_cut(None)) as later:
            for path in waiting:
                assert await state_of(later, path) is not None, f"{path} was told and is gone"
        await check_upload(element, ledger)
        again = draft("afterwards")
        await element.write(again, pieces(SMALL))
        assert await content_of(element, again.path) == SMALL
    assert disk.open_descriptors == 0


async def cut_and_checked(numbers: Iterable[int]) -> None:
    """The power goes before each of these calls in turn."""
    for number in numbers:
        ledger, disk = Ledger(), cut_at(number)
        await told_until_cut(disk, ledger)
        for left in aftermaths(disk, number):
            try:
                await check_all(left, ledger)
            except (AssertionError, SamovarError) as error:
                raise AssertionError(f"the power went before call {number}, {disk.calls[-1]}: {error}") from error


async def test_what_was_promised_is_there_and_nothing_is_half_wherever_the_power_goes() -> None:
    calls = await calls_of_the_story()
    chosen = sorted(first_of_each_kind(calls).intersection(await moments()))
    assert {calls[number] for number in chosen} == {*calls}.difference(CHANGE_NOTHING)
    await cut_and_checked(chosen)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_what_was_promised_is_there_and_nothing_is_half_at_whatever_call_the_power_goes() -> None:
    await cut_and_checked(await moments())


async def told_and_cut_again(number: int, again: int) -> bool:
    """Cut in the story, and once more in the recovery; whether that recovery was cut at all."""
    ledger, disk = Ledger(), cut_at(number)
    await told_until_cut(disk, ledger)
    left = disk.after_power_cut(random.Random(number))
    recovering = SimulatedDisk(root=left.root, before=cut_at(again).before)
    element = element_on(recovering)
    was_cut = False
    try:
        await element.start()
    except PowerCut:
        was_cut = True
    finally:
        with suppress(PowerCut):
            await element.close()
    for found in (
        recovering.after_power_cut(None),
        recovering.after_power_cut(random.Random(again)),
        recovering.killed(),
    ):
        await check_all(found, ledger)
    return was_cut


async def test_a_recovery_that_loses_its_power_is_done_again() -> None:
    for number in (await moments())[5::12]:
        for again in range(0, 60, 7):
            if not await told_and_cut_again(number, again):
                break


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("share", range(SHARES))
async def test_a_recovery_that_loses_its_power_anywhere_is_done_again(share: int) -> None:
    for number in range(share, len(await calls_of_the_story()), SHARES):
        again = 0
        while await told_and_cut_again(number, again):
            again += 1
