"""When requests leave: at once after each answer (closed loop), or by a timetable that slowness cannot stretch (open loop)."""

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from time import perf_counter

from bench.load.connection import Connection
from bench.load.record import Record
from bench.load.request import Request
from bench.load.timer import FineTimer

MAX_LINE = 20_000  # requests waiting for a connection; beyond it the target is simply overloaded


class ClosedLoop:
    """Each connection asks again as soon as it is answered. `stagger_s` spreads the first requests over that time."""

    def __init__(self, request: Request, *, stagger_s: float = 0.0, randomness: random.Random) -> None:
        self.record = Record()
        self._request = request
        self._stagger_s = stagger_s
        self._randomness = randomness
        self._staggered_until = 0.0
        self._stopping = False

    def ready(self, connection: Connection) -> None:
        if self._stopping:
            return
        if perf_counter() < self._staggered_until:
            delay_s = self._randomness.random() * self._stagger_s
            asyncio.get_running_loop().call_later(delay_s, self._start, connection)
        else:
            connection.send(self._request, perf_counter())

    def start(self) -> None:
        self._staggered_until = perf_counter() + self._stagger_s

    def stop(self) -> None:
        """Send nothing more."""
        self._stopping = True

    @property
    def waiting(self) -> int:
        """Requests that are due and have no connection: none, by construction."""
        return 0

    def _start(self, connection: Connection) -> None:
        if not self._stopping and not connection.closed.done():
            connection.send(self._request, perf_counter())


class OpenLoop:
    """Poisson arrivals at `rate_per_s`, from a seeded generator.

    A request that finds no free connection waits in line, and its latency counts from the time it was due: a server that stalls
    cannot thin out the load that would have shown the stall (coordinated omission).
    """

    def __init__(self, request: Request, *, rate_per_s: float, randomness: random.Random) -> None:
        self.record = Record()
        self._request = request
        self._idle: list[Connection] = []
        self._line: deque[float] = deque()
        self._arrivals = _poisson(rate_per_s, randomness)
        self._next = 0.0
        self._timer: FineTimer | None = None

    def ready(self, connection: Connection) -> None:
        if self._line:
            connection.send(self._request, self._line.popleft())
        else:
            self._idle.append(connection)

    def start(self) -> None:
        self._timer = FineTimer(self._tick)
        self._next = perf_counter() + next(self._arrivals)
        self._timer.arm(self._next)

    def stop(self) -> None:
        """Let nothing more arrive; what has arrived is still served."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    @property
    def waiting(self) -> int:
        """Requests that are due and have no connection yet."""
        return len(self._line)

    def _tick(self) -> None:
        now = perf_counter()
        while self._next <= now:
            self._arrive(self._next, now)
            self._next += next(self._arrivals)
        if self._timer is not None:
            self._timer.arm(self._next)

    def _arrive(self, due: float, now: float) -> None:
        if self.record.open:
            self.record.send_lag_s.append(now - due)
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed.done():
                connection.send(self._request, due)
                return
        if len(self._line) >= MAX_LINE:
            self.record.fail("overload: the line of waiting requests is full")
            return
        self._line.append(due)


def _poisson(rate_per_s: float, randomness: random.Random) -> Iterator[float]:
    while True:
        yield randomness.expovariate(rate_per_s)
