"""A bound on each wait of an exchange, with one timer for all exchanges of a transport.

``asyncio.timeout`` makes and cancels a timer for every wait, which costs more than a small answer's parsing. Here a wait
only moves a number, and one tick looks at all that are under way. So a bound holds to within :data:`TICK_S`, never early.

What is late fails the future that is waited for, not the task: a cancellation from outside at the same moment stays one, and
it does not matter which task waits.
"""

import asyncio
from typing import Final

from samovar.ports.transport import UpstreamTimeout

TICK_S: Final = 0.1
_NEVER: Final = float("inf")


class Watchman:
    """Looks after the waits of one transport. Ticks only while there are any."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._ticking = False

    def __len__(self) -> int:
        """Exchanges under way."""
        return len(self._watches)

    def begin(self, loop: asyncio.AbstractEventLoop, now: float, *, total_s: float | None) -> "Watch":
        """Watch over an exchange, until its :meth:`Watch.stop`."""
        watch = Watch(self._watches, _NEVER if total_s is None else now + total_s)
        self._watches.add(watch)
        if not self._ticking:
            self._ticking = True
            loop.call_later(TICK_S, self._tick, loop)
        return watch

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for watch in [watch for watch in self._watches if watch.deadline <= now]:
            watch.expire()
        self._ticking = bool(self._watches)
        if self._ticking:
            loop.call_later(TICK_S, self._tick, loop)


class Watch:
    """Bounds one exchange's waits, one after the other; the last is over at ``end``. Times are the event loop's."""

    __slots__ = ("_all", "_end", "deadline", "phase", "waiter")

    def __init__(self, watches: "set[Watch]", end: float) -> None:
        self._all = watches
        self._end = end
        self.phase = ""
        self.waiter: asyncio.Future[None] | None = None
        self.deadline = _NEVER

    def left_s(self, now: float) -> float:
        """What is left of the total; infinite where there is none."""
        return self._end - now

    def arm(self, phase: str, seconds: float, now: float) -> None:
        """Begin a wait of at most ``seconds``. Raises :class:`UpstreamTimeout` when the total is used up: an answer that never
        makes us wait for long would otherwise never meet a tick."""
        deadline = now + seconds
        self.phase = phase
        if deadline >= self._end:
            self.phase = "total"
            deadline = self._end
            if now >= deadline:
                raise self._too_late()
        self.deadline = deadline

    def pause(self) -> None:
        """The wait is over, the next has not begun (our own caller may be slow to take what came)."""
        self.deadline = _NEVER

    def stop(self) -> None:
        """No more waits."""
        self.deadline = _NEVER
        self._all.discard(self)

    def expire(self) -> None:
        """The current wait is too long. One that has just ended, and whose task has yet to run, is left alone."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(self._too_late())

    def _too_late(self) -> UpstreamTimeout:
        return UpstreamTimeout(f"the provider took too long ({self.phase})")
