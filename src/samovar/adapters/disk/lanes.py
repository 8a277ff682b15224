"""What is done with each batch of an upload, several things at once: one lane may run some batches ahead of another, so that the
slower of the two at a moment does not stop the other."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from samovar.adapters.disk.threads import Threads
from samovar.kernel.tasks import all_ended

if TYPE_CHECKING:
    from hashlib import _Hash

_WAITING: Final = 3
"""Batches that may wait in a lane, the one it is at among them."""

Step = Callable[[Sequence[bytes]], None]


class Lanes:
    """Each of ``steps`` takes every batch, in order, beside the others. A lane has a thread while it has batches: a sender who
    pauses holds none. Whoever begins waits for :meth:`ended`, whatever happens."""

    def __init__(self, threads: Threads, *steps: Step) -> None:
        self._moved = asyncio.Event()
        self._lanes = [_Lane(threads, step, self._moved) for step in steps]

    async def put(self, batch: Sequence[bytes]) -> bool:
        """Hand it on, and wait while a lane is too far behind. ``False``: a step failed, and there is no use in more."""
        for lane in self._lanes:
            lane.put(batch)
        while not self._failed and any(lane.is_full for lane in self._lanes):
            self._moved.clear()
            await self._moved.wait()
        return not self._failed

    async def ended(self) -> None:
        """All that was handed on is done, or a step failed and nothing runs any more. Cancelled, it waits all the same."""
        running = [lane.running for lane in self._lanes if lane.running is not None]
        await all_ended(running)
        for one in running:
            # Else the loop complains of a failure that a cancelled sender does not look at.
            one.exception()

    def check(self) -> None:
        """Raises what a step raised. After :meth:`ended`."""
        for lane in self._lanes:
            if lane.running is not None:
                lane.running.result()

    @property
    def _failed(self) -> bool:
        return any(lane.has_failed for lane in self._lanes)


class _Lane:
    """One step, in one thread at a time."""

    def __init__(self, threads: Threads, step: Step, moved: asyncio.Event) -> None:
        self._threads = threads
        self._step = step
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: deque[Sequence[bytes]] = deque()
        self._is_busy = False
        self.running: asyncio.Future[None] | None = None
        self.has_failed = False

    @property
    def is_full(self) -> bool:
        """Whether the next batch should not come yet."""
        return len(self._waiting) >= _WAITING

    def put(self, batch: Sequence[bytes]) -> None:
        with self._lock:
            self._waiting.append(batch)
            if self._is_busy:
                return
            self._is_busy = True
        self.running = self._threads.begin(self._work)

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._step(batch)
            except BaseException:
                # It stays busy: what was not done is never gone on with.
                self.has_failed = True
                raise
            finally:
                self._waiting.popleft()
                self._loop.call_soon_threadsafe(self._moved.set)

    def _next(self) -> Sequence[bytes] | None:
        with self._lock:
            if self._waiting:
                return self._waiting[0]
            self._is_busy = False
            return None


def digested(digest: "_Hash", pieces: Sequence[bytes]) -> None:
    """One lane's work: digest what comes."""
    for piece in pieces:
        digest.update(piece)
