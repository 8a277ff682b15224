"""What is done with each batch of an upload: in order, to its end, and never more ahead than it may."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from samovar.adapters.disk.lanes import Lanes
from samovar.adapters.disk.threads import Threads

BATCHES = [[b"%d" % number] for number in range(50)]


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Two, which is one for each lane."""
    found = Threads(name="lanes", writers=2, readers=1)
    yield found
    found.close()


async def test_every_lane_takes_every_batch_in_order(threads: Threads) -> None:
    first: list[Sequence[bytes]] = []
    second: list[Sequence[bytes]] = []
    lanes = Lanes(threads, first.append, second.append)
    for batch in BATCHES:
        assert await lanes.put(batch)
    await lanes.ended()
    lanes.check()
    assert first == second == BATCHES


async def test_a_sender_waits_for_the_lane_that_is_behind_and_the_other_goes_ahead(threads: Threads) -> None:
    gate, third = threading.Event(), asyncio.Event()
    ahead: list[Sequence[bytes]] = []
    loop = asyncio.get_running_loop()

    def go_ahead(batch: Sequence[bytes]) -> None:
        ahead.append(batch)
        if len(ahead) == 3:
            loop.call_soon_threadsafe(third.set)

    lanes = Lanes(threads, lambda _: _wait(gate), go_ahead)
    sent: list[Sequence[bytes]] = []

    async def send() -> None:
        for batch in BATCHES:
            sent.append(batch)
            await lanes.put(batch)

    sending = asyncio.create_task(send())
    await third.wait()
    await asyncio.sleep(0.02)
    assert len(sent) == len(ahead) == 3
    gate.set()
    await sending
    await lanes.ended()
    assert ahead == BATCHES


async def test_a_lane_that_waits_for_a_sender_holds_no_thread(threads: Threads) -> None:
    done: list[Sequence[bytes]] = []
    lanes = Lanes(threads, done.append, lambda _: None)
    for batch in BATCHES[:3]:
        await lanes.put(batch)
        await lanes.ended()
        # Both threads are free for somebody else, at once.
        meeting = threading.Barrier(2, timeout=5)
        await asyncio.gather(threads.write(meeting.wait), threads.write(meeting.wait))
    assert done == BATCHES[:3]


async def test_a_step_that_fails_ends_it_and_is_told(threads: Threads) -> None:
    taken: list[Sequence[bytes]] = []

    def fail_at_the_third(batch: Sequence[bytes]) -> None:
        if len(taken) == 2:
            raise OSError("no room")
        taken.append(batch)

    lanes = Lanes(threads, fail_at_the_third, lambda _: None)
    sent = 0
    while await lanes.put(BATCHES[sent]):
        sent += 1
        await asyncio.sleep(0.001)
    await lanes.ended()
    with pytest.raises(OSError, match="no room"):
        lanes.check()
    assert taken == BATCHES[:2]
    assert sent < 10


async def test_who_is_cancelled_waits_for_what_still_runs(threads: Threads) -> None:
    gate = threading.Event()
    over: list[Sequence[bytes]] = []

    def slow(batch: Sequence[bytes]) -> None:
        _wait(gate)
        over.append(batch)

    lanes = Lanes(threads, slow)

    async def send() -> None:
        try:
            for batch in BATCHES:
                await lanes.put(batch)
        finally:
            await lanes.ended()

    sending = asyncio.create_task(send())
    await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.sleep(0.01)
    assert not sending.done()
    sending.cancel()
    await asyncio.sleep(0.01)
    assert not sending.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert over == BATCHES[:3]


def _wait(gate: threading.Event) -> None:
    assert gate.wait(10)
