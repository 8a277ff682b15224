"""The disk element on a disk that fails one call, at each call of its whole life in turn."""

import errno
import os
from collections.abc import AsyncIterator, Iterable

import pytest

from samovar.kernel.errors import SamovarError
from samovar.ports.elements import ElementFull, ElementUnavailable
from tests.contract.elements.drafts import draft, pieces
from tests.contract.elements.simulated_disk import Hook, SimulatedDisk
from tests.contract.elements.story import SMALL, Ledger, check, check_states, check_upload, live
from tests.contract.elements.test_power import (
    CHANGE_NOTHING,
    calls_of_the_story,
    element_on,
    first_of_each_kind,
    started,
)

SYNCS = ("fdatasync", "fsync_folder")


def failing(number: int, code: int, seen: list[str]) -> Hook:
    """The call with this number fails, once."""

    def before(count: int, name: str, path: str) -> None:
        if count == number:
            seen.append(name)
            raise OSError(code, os.strerror(code), path)

    return before


async def told_with_a_fault(number: int, code: int) -> str:
    """The story with one failed call, everything that must hold after it, and the name of that call."""
    seen: list[str] = []
    errors: list[SamovarError] = []
    ledger, disk = Ledger(), SimulatedDisk(before=failing(number, code, seen))
    element = element_on(disk)
    try:
        await element.start()
        await live(element, ledger, on_error=errors.append)
        if seen and seen[0] in SYNCS:
            # One at the end may be nobody's but the element's own; it takes nothing more all the same.
            assert (await element.condition()).read_only_because is not None
            with pytest.raises(ElementUnavailable, match=r"sync of .* failed"):
                await element.write(draft("more"), pieces(b"x"))
        else:
            assert (await element.condition()).read_only_because is None
            # Bytes that could not be taken away after their attributes wait for the restart.
            await check_states(element, ledger)
            made = await element.write(draft("more"), pieces(b"x"))
            ledger.allowed[made.path] = {(b"x", 1)}
    except SamovarError as error:
        errors.append(error)
    finally:
        try:
            await element.close()
        except SamovarError as error:
            errors.append(error)
    told = [error for error in errors if isinstance(error, ElementFull if code == errno.ENOSPC else ElementUnavailable)]
    assert len(told) == len(errors) or seen[0] in SYNCS, errors
    assert disk.open_descriptors == 0
    await _whole_after_a_restart(disk, ledger)
    return seen[0] if seen else ""


async def _whole_after_a_restart(disk: SimulatedDisk, ledger: Ledger) -> None:
    for left in (disk.after_power_cut(None), disk.killed()):
        known = Ledger(allowed=dict(ledger.allowed), upload_bytes=ledger.upload_bytes)
        async with started(left) as element:
            assert (await element.condition()).read_only_because is None
            await check(element, known)
            if known.upload_bytes is not None:
                await check_upload(element, known)
            assert not [path for path in left.paths() if path.endswith(".part")]


async def failed_and_checked(numbers: Iterable[int], code: int) -> None:
    """Each of these calls fails in turn."""
    failed: dict[str, int] = {}
    every = await calls_of_the_story()
    for number in numbers:
        if code == errno.ENOSPC and every[number] in (*CHANGE_NOTHING, "truncate"):
            # These need no room.
            continue
        try:
            name = await told_with_a_fault(number, code)
        except AssertionError as error:
            raise AssertionError(f"call {number} failed with {errno.errorcode[code]}: {error}") from error
        failed[name] = failed.get(name, 0) + 1
    assert set(failed) >= {"open", "write", "pwrite", "fdatasync", "fsync_folder", "rename", "link", "unlink", "mkdir"}


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_a_call_that_fails_is_told_and_leaves_nothing_half(code: int) -> None:
    await failed_and_checked(sorted(first_of_each_kind(await calls_of_the_story())), code)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_whatever_call_fails_is_told_and_leaves_nothing_half(code: int) -> None:
    await failed_and_checked(range(len(await calls_of_the_story())), code)


async def test_a_disk_that_fills_in_mid_write_is_told_as_full_and_nothing_of_it_stays() -> None:
    left_bytes = 3_000

    class Small(SimulatedDisk):
        def write(self, descriptor: int, content: bytes | memoryview) -> int:
            nonlocal left_bytes
            taken = min(len(content), left_bytes)
            if content and not taken:
                raise OSError(errno.ENOSPC, "No space left on device")
            left_bytes -= taken
            return super().write(descriptor, content[:taken])

    disk = Small()
    async with started(disk) as element:
        await element.write(draft("fits"), pieces(b"x" * 1000))
        with pytest.raises(ElementFull, match="no room left"):
            await element.write(draft("does-not"), pieces(b"x" * 5000))
        assert not [path for path in disk.paths() if "does-not" in path]
        left_bytes = 10_000
        await element.write(draft("does-not"), pieces(b"x" * 5000))


async def test_a_failed_sync_is_never_tried_again_and_a_restart_looks_anew() -> None:
    syncs = 0

    def before(count: int, name: str, path: str) -> None:
        nonlocal syncs
        if name == "fdatasync":
            syncs += 1
            raise OSError(errno.EIO, "Input/output error")

    disk = SimulatedDisk()
    async with started(disk) as element:
        disk.before = before
        with pytest.raises(ElementUnavailable, match="Input/output error"):
            await element.write(draft("one"), pieces(SMALL))
        assert syncs == 1
        condition = await element.condition()
        assert condition.read_only_because is not None
        assert "Input/output error" in condition.read_only_because
        for change in (element.write(draft("two"), pieces(SMALL)), element.begin(draft("two")), element.delete("a/b")):
            with pytest.raises(ElementUnavailable, match="takes nothing any more"):
                await change
        assert syncs == 1
    disk.before = None
    async with started(disk.killed()) as element:
        assert (await element.condition()).read_only_because is None
        await element.write(draft("one"), pieces(SMALL))


async def test_what_the_sender_raises_comes_through_as_it_is() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield SMALL
        raise OSError(errno.EIO, "the sender's own")

    disk = SimulatedDisk()
    async with started(disk) as element:
        with pytest.raises(OSError, match="the sender's own"):
            await element.write(draft("one"), broken())
        assert (await element.condition()).read_only_because is None
