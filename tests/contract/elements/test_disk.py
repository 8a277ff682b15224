"""What only an element on a disk has: one process at a time, a journal, many writers who share their syncs."""

import asyncio
import errno
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from samovar.adapters.disk import DiskElement, is_begun
from samovar.adapters.system import SystemClock
from samovar.ports.elements import ElementFull, ElementUnavailable, FileNotThere, Mode
from tests.contract.elements.drafts import content_of, draft, pieces, walked
from tests.contract.elements.simulated_disk import PowerCut, SimulatedDisk
from tests.contract.elements.story import Ledger, check
from tests.contract.elements.test_power import CHANGE_NOTHING, ROOT, cut_at, element_on, started
from tests.support.clock import ManualClock

AT_ONCE = 12


async def test_a_second_process_at_the_same_folder_is_refused(tmp_path: Path) -> None:
    def make() -> DiskElement:
        return DiskElement(tmp_path, element_id="se-1", mode=Mode.EDIT, clock=SystemClock())

    first, second = make(), make()
    await first.start()
    with pytest.raises(ElementUnavailable, match="Another process has"):
        await second.start()
    await first.write(draft("one"), pieces(b"tea"))
    await first.close()
    await second.start()
    assert await content_of(second, draft("one").path) == b"tea"
    await second.close()


@pytest.mark.parametrize("is_mounted_again", [True, False])
async def test_nothing_is_written_under_a_disk_that_was_taken_away(tmp_path: Path, is_mounted_again: bool) -> None:
    root, elsewhere = tmp_path / "mounted", tmp_path / "elsewhere"
    element = DiskElement(root, element_id="se-1", mode=Mode.EDIT, clock=SystemClock())
    await element.start()
    kept = await element.write(draft("kept"), pieces(b"tea"))
    await element.begin(draft("open"))

    async def taken_away() -> AsyncIterator[bytes]:
        # As a disk that is unmounted leaves the empty folder behind that it was mounted over.
        yield b"x" * 5_000_000
        root.rename(elsewhere)
        (root / "2026").mkdir(parents=True)
        yield b"y" * 5_000_000

    with pytest.raises(ElementUnavailable):
        await element.write(draft("half"), taken_away())
    for refused in (
        element.condition(),
        element.write(draft("small"), pieces(b"x")),
        element.begin(draft("begun")),
        element.append(draft("open").file_id, offset_bytes=0, content=pieces(b"x")),
        element.finish(draft("open").file_id),
        element.attributes(kept.path),
        element.amend(msgspec.structs.replace(kept, revision=2)),
        element.verify(kept.path),
        element.delete(kept.path),
        content_of(element, kept.path),
        walked(element),
    ):
        # And not that there is no such file: rows, and copies elsewhere, hang on that word.
        with pytest.raises(ElementUnavailable):
            await refused
    assert [path for path in root.rglob("*.attr.json")] == []
    if is_mounted_again:
        shutil.rmtree(root)
        elsewhere.rename(root)
        assert await content_of(element, kept.path) == b"tea"
        assert (await element.write(draft("again"), pieces(b"x"))).size_bytes == 1
        assert await element.append(draft("open").file_id, offset_bytes=0, content=pieces(b"x")) == 1
    await element.close()


async def write_many(disk: SimulatedDisk, ledger: Ledger) -> None:
    """Files written all at once, until the power goes."""
    element = element_on(disk)

    async def write(number: int) -> None:
        wanted, content = draft(f"n{number}"), bytes([number]) * 3000
        ledger.allowed[wanted.path] = {None, (content, 1)}
        await element.write(wanted, pieces(content))
        ledger.allowed[wanted.path] = {(content, 1)}

    try:
        await element.start()
        await asyncio.gather(*(write(number) for number in range(AT_ONCE)), return_exceptions=True)
    except PowerCut:
        pass
    finally:
        with suppress(PowerCut):
            await element.close()


async def test_writers_share_their_syncs_and_are_told_only_of_what_survives() -> None:
    class Slow(SimulatedDisk):
        def fsync_folder(self, path: str) -> None:
            # Long beside a thread that is kept waiting on a busy machine.
            time.sleep(0.02)
            super().fsync_folder(path)

    slow, ledger = Slow(), Ledger()
    await write_many(slow, ledger)
    assert all(None not in states for states in ledger.allowed.values())
    # Alone each syncs its folder twice.
    assert slow.calls.count("fsync_folder") < AT_ONCE + 20
    disk = SimulatedDisk()
    await write_many(disk, Ledger())
    for number in range(0, len(disk.calls), 7):
        if disk.calls[number] in CHANGE_NOTHING:
            continue
        ledger, cut = Ledger(), cut_at(number)
        await write_many(cut, ledger)
        for left in (cut.after_power_cut(None), cut.after_power_cut(random.Random(number)), cut.killed()):
            async with started(left) as element:
                await check(element, ledger)


async def test_the_journal_stays_small_and_forgets_what_was_acknowledged() -> None:
    disk = SimulatedDisk()
    async with started(disk) as element:
        kept = await element.write(draft("kept"), pieces(b"tea"))
        for number in range(100):
            made = await element.write(draft(f"n{number}"), pieces(b"x"))
            await element.acknowledge([(made.file_id, 1)])
        [segment] = [name for name, _ in disk.names(f"{ROOT}/.element/wal")]
        assert disk.stat(f"{ROOT}/.element/wal/{segment}").size_bytes < 80_000
    async with started(disk.after_power_cut(None)) as element:
        told = [one.file_id async for one in element.unacknowledged()]
        assert kept.file_id in told
        # Only what was acknowledged last may be told once more.
        assert len(told) <= 3


async def test_when_nobody_acknowledges_the_element_takes_no_more() -> None:
    disk = SimulatedDisk()
    element = DiskElement(
        ROOT, element_id="se-1", mode=Mode.EDIT, clock=ManualClock(), syscalls=disk, unacknowledged_at_most=3
    )
    await element.start()
    for number in range(3):
        await element.write(draft(f"n{number}"), pieces(b"x"))
    with pytest.raises(ElementUnavailable, match="3 files wait to be acknowledged"):
        await element.write(draft("n3"), pieces(b"x"))
    await element.acknowledge([(draft("n0").file_id, 1)])
    await element.write(draft("n3"), pieces(b"x"))
    await element.close()


async def test_a_journal_with_a_torn_record_in_the_middle_loses_only_that() -> None:
    disk = SimulatedDisk()
    async with started(disk) as element:
        for name in ("one", "two", "three"):
            await element.write(draft(name), pieces(b"tea"))
    [(segment, _)] = disk.names(f"{ROOT}/.element/wal")
    descriptor = disk.open(f"{ROOT}/.element/wal/{segment}", 0)
    raw = disk.pread(descriptor, 100_000, 0)
    disk.pwrite(descriptor, b"\xff\xff", raw.index(b"file_two"))
    disk.close(descriptor)
    async with started(disk.killed()) as element:
        assert {one.file_id async for one in element.unacknowledged()} == {"file_one", "file_three"}
        assert len(await walked(element)) == 3


async def test_a_full_disk_can_be_emptied_also_after_a_restart() -> None:
    full = False

    class Full(SimulatedDisk):
        def write(self, descriptor: int, content: bytes | memoryview) -> int:
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(descriptor, content)

        def reserve(self, descriptor: int, size_bytes: int) -> None:
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().reserve(descriptor, size_bytes)

    disk = Full()
    async with started(disk) as element:
        made = [await element.write(draft(f"n{number}"), pieces(b"x")) for number in range(20)]
        full = True
        with pytest.raises(ElementFull):
            await element.write(draft("more"), pieces(b"x"))
        for one in made[:10]:
            await element.delete(one.path)
    again = Full(root=disk.root)
    async with started(again) as element:
        for one in made[10:]:
            await element.delete(one.path)
        assert await walked(element) == []
        full = False
        await element.write(draft("more"), pieces(b"x"))
    async with started(again.after_power_cut(None)) as element:
        assert [found.path for found in await walked(element)] == [draft("more").path]


async def test_an_upload_that_nobody_goes_on_with_is_forgotten_at_a_start() -> None:
    disk, clock = SimulatedDisk(), ManualClock()

    async def life() -> DiskElement:
        element = DiskElement(
            ROOT, element_id="se-1", mode=Mode.EDIT, clock=clock, syscalls=disk, uploads_kept=timedelta(days=7)
        )
        await element.start()
        return element

    element = await life()
    await element.begin(draft("one"))
    await element.close()
    clock.advance(6 * 86_400)
    element = await life()
    assert await element.offset("file_one") == 0
    await element.close()
    clock.advance(2 * 86_400)
    element = await life()
    with pytest.raises(FileNotThere):
        await element.offset("file_one")
    assert not [path for path in disk.paths() if "uploads" in path]
    await element.close()


async def test_an_element_that_was_begun_starts_nowhere_but_where_its_mark_is(tmp_path: Path) -> None:
    root, elsewhere, is_new = tmp_path / "mounted", tmp_path / "elsewhere", True
    element = DiskElement(
        root, element_id="se-1", mode=Mode.EDIT, clock=SystemClock(), may_begin=lambda: is_new, segment_bytes=4096
    )
    assert not is_begun(root)
    await element.start()
    assert is_begun(root)
    is_new = False
    kept = await element.write(draft("kept"), pieces(b"tea"))
    await element.close()
    root.rename(elsewhere)
    for put_there in (lambda: None, root.mkdir):
        put_there()
        # The folder that its disk was mounted over, or not even that.
        again = DiskElement(root, element_id="se-1", mode=Mode.EDIT, clock=SystemClock(), may_begin=lambda: is_new)
        with pytest.raises(ElementUnavailable, match="samovar files begin se-1"):
            await again.start()
        assert not root.exists() or not [*root.iterdir()]
    root.rmdir()
    elsewhere.rename(root)
    await again.start()
    assert await content_of(again, kept.path) == b"tea"
    await again.close()
