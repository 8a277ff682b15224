"""Where a spool's segments begin and end, a disk that fails there, and what comes while or after it is closed."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from samovar.domains.billing.errors import SpoolFull
from samovar.domains.billing.model.records import framed
from samovar.domains.billing.service.money.replay import Reader
from samovar.domains.billing.service.money.segment import Segment
from samovar.domains.billing.service.money.spool import Spool, lock_folder, segment_path, segments_of
from tests.domains.billing.conftest import CREDIT, Open
from tests.domains.billing.test_spool import intent, left_in, outcome, read_all, spool_in


def call(spool: Spool, call_id: str) -> None:
    spool.intend(intent(call_id))
    spool.conclude(intent(call_id), outcome(call_id))


@contextmanager
def no_room_for(spool: Spool, number: int) -> Iterator[None]:
    """The disk refuses to begin that segment: its name is taken."""
    blocked = segment_path(spool.folder, number)
    blocked.touch()
    yield
    blocked.unlink()


class Counting(ThreadPoolExecutor):
    """Threads, and the most that were at work at once."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = self.most = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Count it until it is done."""
        self.busy += 1
        self.most = max(self.most, self.busy)
        made = super().submit(fn, *args, **kwargs)
        made.add_done_callback(self.done)
        return made

    def done(self, _: Future[Any]) -> None:
        """One less."""
        self.busy -= 1


async def written_all(spool: Spool) -> None:
    """As the spool's loop leaves it when nothing comes."""
    async with asyncio.timeout(5):
        while spool._dirty.is_set() or spool._late:  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0.02)


@contextmanager
def running(spool: Spool) -> Iterator[None]:
    loop = asyncio.create_task(spool.run())
    yield
    loop.cancel()


async def test_calls_that_come_one_by_one_are_charged_beyond_the_end_of_a_segment(open_till: Open) -> None:
    till = await open_till(segment_bytes=10)
    wallet = await till.wallet(100)
    for n in range(4):
        await till.call(f"call_{n}", wallet, hold=CREDIT, nano_usd=CREDIT)
        await till.money.flush()
        journal = till.money._journal
        assert isinstance(journal, Spool)
        await journal.sync()
        assert segments_of(journal.folder) == [journal.written[0]]
    assert await till.balance(wallet) == 96 * CREDIT


async def test_a_spool_smaller_than_a_segment_takes_calls_again_when_all_is_moved(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, max_bytes=100)
    for n in range(5):
        call(spool, f"call_{n}")
        with pytest.raises(SpoolFull):
            spool.intend(intent("more"))
        spool.note_moved(spool.written)
        assert spool.waiting_bytes == 0
    await spool.close(delete=False)


async def test_no_room_for_the_next_segment_when_all_is_moved_stops_nobody(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=10)
    call(spool, "call_1")
    with no_room_for(spool, spool.written[0] + 1):
        spool.note_moved(spool.written)
        assert spool.moved == spool.written
    call(spool, "call_2")
    spool.note_moved(spool.written)
    await spool.close(delete=True)
    assert left_in(tmp_path) == []


async def test_an_outcome_that_found_no_room_is_written_although_nothing_else_comes(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=10)
    spool.intend(intent("call_1"))
    with running(spool):
        await written_all(spool)
        with no_room_for(spool, 2):
            spool.conclude(intent("call_1"), outcome("call_1"))
        await written_all(spool)
    assert read_all(spool.folder) == ({"call_1": 7}, {})
    await spool.close(delete=False)


async def test_the_intent_of_an_outcome_that_found_no_room_stays_on_the_disk(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=150)
    spool.intend(intent("call_1"))
    call(spool, "call_2")
    call(spool, "call_3")
    number = spool.written[0]
    while not spool._segment.is_full:
        call(spool, f"fills_{spool.written[1]}")
    assert spool.written[0] == number > 1
    with no_room_for(spool, number + 1):
        spool.conclude(intent("call_1"), outcome("call_1"))
        spool.note_moved(spool.written)
        await spool.sync()
        # Were the process to die now, the call would be charged at its hold.
        assert read_all(spool.folder)[1] == {"call_1": 100}
    await spool.close(delete=False)
    assert read_all(spool.folder)[0]["call_1"] == 7


async def test_a_spool_that_cannot_begin_leaves_no_folder_and_no_lock(tmp_path: Path) -> None:
    handles = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"too large|No space|Invalid"):
        spool_in(tmp_path, segment_bytes=2**62)
    assert left_in(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == handles


async def test_a_call_that_ends_after_its_spool_is_left_to_the_next_process(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.intend(intent("call_1"))
    await spool.close(delete=False)
    spool.conclude(intent("call_1"), outcome("call_1"))
    with pytest.raises(SpoolFull):
        spool.intend(intent("call_2"))
    await spool.sync()
    # Others have its files' numbers by now, perhaps.
    await spool.close(delete=False)
    assert read_all(spool.folder) == ({}, {"call_1": 100})


async def test_what_was_noted_after_the_last_move_is_not_deleted(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    call(spool, "call_1")
    spool.note_moved(spool.written)
    call(spool, "call_2")
    await spool.close(delete=True)
    assert read_all(spool.folder)[0] == {"call_1": 7, "call_2": 7}


async def test_closing_waits_for_a_sync_that_was_cancelled_and_for_those_that_others_began(tmp_path: Path) -> None:
    threads = Counting()
    asyncio.get_running_loop().set_default_executor(threads)
    spool = spool_in(tmp_path, segment_bytes=10)
    for n in range(100):
        call(spool, f"call_{n}")
        syncs = [asyncio.create_task(spool.sync()) for _ in range(3)]
        await asyncio.sleep(0)
        syncs[0].cancel()
        call(spool, f"more_{n}")
        if n % 10 == 0:
            await asyncio.wait(syncs)
    await spool.close(delete=False)
    assert (spool._broken, threads.most) == (None, 1)
    assert len(read_all(spool.folder)[0]) == 200
    lock = lock_folder(spool.folder)
    assert lock is not None
    os.close(lock)


async def test_with_always_a_failed_sync_lets_no_call_out_not_even_one_whose_caller_was_cancelled(
    tmp_path: Path,
) -> None:
    spool = spool_in(tmp_path, sync="always")
    waiting = [spool.intend(intent("call_1"))]
    handle, spool._segment._handle = spool._segment._handle, os.open(os.devnull, os.O_RDWR)
    # A device that cannot be synced.
    os.close(handle)
    first = asyncio.create_task(spool.sync())
    await asyncio.sleep(0)
    waiting.append(spool.intend(intent("call_2")))
    first.cancel()
    await asyncio.wait([first])
    await spool.sync()
    for one in waiting:
        assert one is not None
        with pytest.raises(SpoolFull):
            await one
    with pytest.raises(SpoolFull):
        spool.intend(intent("call_3"))
    await spool.close(delete=False)


async def test_a_failed_end_of_one_segment_leaves_no_other_open_and_deletes_nothing(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=10)
    for n in range(3):
        spool.intend(intent(f"call_{n}"))
    first, second = spool._full
    os.close(first._handle)
    first._handle = os.open(os.devnull, os.O_RDWR)
    spool.note_moved(spool.written)
    await spool.sync()
    assert second._handle == -1
    assert read_all(spool.folder)[1] == {"call_0": 100, "call_1": 100, "call_2": 100}
    assert segments_of(spool.folder)[:3] == [1, 2, 3]
    await spool.close(delete=False)


async def test_a_reader_and_the_end_of_the_segment_it_reads_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "00000001.records"
    for _ in range(50):
        segment = Segment(path, 1, wanted_bytes=100_000)
        for n in range(200):
            segment.append(framed(intent(f"call_{n}")))
        reader = Reader(tmp_path)
        await asyncio.gather(asyncio.to_thread(reader.read), asyncio.to_thread(segment.end))
        assert (len(reader.unsettled()), reader.damaged) == (200, 0)
        path.unlink()


async def test_what_a_disk_lost_of_a_live_spool_is_counted_and_asked_for_once(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.intend(intent("call_1"))
    until = spool.written
    spool._segment._pages[: until[1]] = bytes(until[1])
    reader = Reader(spool.folder)
    assert reader.read(until=until).end == until
    assert reader.damaged == 1
    await spool.close(delete=False)
