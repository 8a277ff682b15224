"""Files that are written in lockstep: each as if it were alone, and fewer syncs."""

import asyncio
import errno
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from samovar.adapters.disk import DiskElement, Syscalls
from samovar.adapters.disk.durability import SharedSync
from samovar.adapters.disk.together import AT_ONCE, run_together
from samovar.adapters.system import SystemClock
from samovar.ports.elements import Attributes, ElementFull, Mode
from tests.contract.elements.drafts import draft, pieces

MANY = 12


class Counted(Syscalls):
    """The system's, counted; and ``refused``: what raises for the file whose temporary name holds it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: dict[str, int] = {}
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def open(self, path: str, flags: int, *more: Any) -> int:
        """As the system's."""
        for part, number in self.refused.items():
            if part in path and flags & os.O_CREAT:
                raise OSError(number, os.strerror(number), path)
        return super().open(path, flags, *more)

    def fdatasync(self, descriptor: int) -> None:
        """As the system's."""
        with self._lock:
            self.counts["fdatasync"] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        super().fdatasync(descriptor)
        with self._lock:
            self.at_once -= 1

    def fsync_folder(self, path: str) -> None:
        """As the system's."""
        with self._lock:
            self.counts["folder"] += 1
        super().fsync_folder(path)


async def _started(folder: Path, calls: Syscalls) -> DiskElement:
    element = DiskElement(folder, element_id="se-1", mode=Mode.EDIT, clock=SystemClock(), syscalls=calls)
    await element.start()
    return element


async def test_small_files_that_come_together_share_their_syncs_and_stand_each(tmp_path: Path) -> None:
    calls = Counted()
    element = await _started(tmp_path, calls)
    await element.write(draft("first"), pieces(b"first"))
    calls.counts.clear()
    made = await asyncio.gather(*[element.write(draft(f"one{n}"), pieces(b"%d" % n * 9)) for n in range(MANY)])
    # One goes at once, and the others share what is behind it.
    assert calls.counts["folder"] <= 2 * 3
    assert calls.counts["fdatasync"] <= 2 * MANY + 3
    for number, one in enumerate(made):
        assert await element.attributes(one.path) == one
        assert b"".join([piece async for piece in element.read(one.path)]) == b"%d" % number * 9
    await element.close()


async def test_one_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    calls = Counted()
    element = await _started(tmp_path, calls)
    await element.write(draft("first"), pieces(b"first"))
    calls.refused = {"one3.": errno.ENOSPC, "one7.attr": errno.ENOSPC}
    found = await asyncio.gather(
        *[element.write(draft(f"one{n}"), pieces(b"x")) for n in range(MANY)], return_exceptions=True
    )
    kinds = [type(one) for one in found]
    assert kinds == [ElementFull if n in (3, 7) else Attributes for n in range(MANY)]
    left = _left(tmp_path)
    assert len(left) == 2 * (MANY - 2 + 1)
    assert not [name for name in left if name.endswith(".part") or "one3" in name or "one7" in name]
    await element.close()


def _left(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if ".element" not in str(path) and path.is_file()]


async def test_a_sync_that_fails_is_told_to_all_who_waited_for_it(tmp_path: Path) -> None:
    class Broken(Counted):
        def fsync_folder(self, path: str) -> None:
            if "2026" in path and self.counts["broken"]:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            super().fsync_folder(path)

    calls = Broken()
    element = await _started(tmp_path, calls)
    await element.write(draft("first"), pieces(b"first"))
    calls.counts["broken"] = 1
    found = await asyncio.gather(
        *[element.write(draft(f"one{n}"), pieces(b"x")) for n in range(MANY)], return_exceptions=True
    )
    assert not [one for one in found if isinstance(one, Attributes)]
    condition = await element.condition()
    assert condition.read_only_because is not None
    await element.close()


async def test_a_caller_that_goes_away_waits_for_its_file_and_keeps_nobody(tmp_path: Path) -> None:
    element = await _started(tmp_path, Counted())
    tasks = [asyncio.create_task(element.write(draft(f"one{n}"), pieces(b"x"))) for n in range(MANY)]
    await asyncio.sleep(0.001)
    tasks[5].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[5], asyncio.CancelledError)
    assert len([one for one in found if isinstance(one, Attributes)]) == MANY - 1
    await element.close()


def test_steps_share_what_they_wait_for_in_any_order_and_tell_apart_what_differs() -> None:
    done: list[str] = []
    shared = {name: SharedSync(lambda name=name: done.append(name)) for name in "ab"}  # type: ignore[misc]

    def step(names: str) -> str:
        for name in names:
            shared[name]()
        return names

    def bad() -> str:
        shared["a"]()
        raise LookupError("mine")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = run_together(pool, [lambda: step("ab"), lambda: step("a"), bad, lambda: step("ba"), lambda: ""])
    assert [outcome.get() for outcome in (*outcomes[:2], *outcomes[3:])] == ["ab", "a", "ba", ""]
    with pytest.raises(LookupError, match="mine"):
        outcomes[2].get()
    assert sorted(done) == ["a", "a", "b", "b"]
