"""One measured window: open the connections, warm up, measure, let what is under way finish, close."""

import asyncio
import gc
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from bench.load.connection import Connection
from bench.load.pool import Pool
from bench.load.record import Record
from bench.load.request import Target

DRAIN_TIMEOUT_S = 30.0
LOOK_S = 0.02


class Watched(Protocol):
    """A process whose processor time is charged to the calls of the window."""

    def cpu_s(self) -> float: ...


class Driver(Protocol):
    """What a window asks of a driver."""

    record: Record

    def ready(self, connection: Connection) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def waiting(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Span:
    """How long to measure: `seconds`, or until `calls` are complete if that is earlier (0: no such end)."""

    seconds: float
    warmup_s: float
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A window's outcome: what was recorded, how long it was open, and the processor seconds of each process in it."""

    record: Record
    seconds: float
    cpu_s: Mapping[str, float]

    @property
    def per_s(self) -> float:
        return self.record.completed / self.seconds

    @property
    def chunks_per_s(self) -> float:
        return self.record.chunks / self.seconds

    def cpu_us_per_call(self, name: str) -> float:
        """Processor microseconds that the process of this name spent on each answer."""
        return self.cpu_s[name] / self.record.completed * 1e6 if self.record.completed else 0.0


async def observe(
    target: Target,
    driver: Driver,
    span: Span,
    *,
    connections: int,
    connect: Callable[[], Connection],
    watched: Mapping[str, Watched],
    look: Callable[[Record], None] | None = None,
) -> Seen:
    """Run one window; `look` is called now and then while it is open. The record's `errors` say whether it may be used."""
    record = driver.record
    pool = Pool(target, size=connections, record=record, connect=connect)
    gc.collect()
    gc.disable()  # a collection of our own would stand in the figures as the server's tail
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(pool.keep())
            driver.start()
            await asyncio.sleep(span.warmup_s)
            record.open = True
            began, before = perf_counter(), _cpu_s(watched)
            await _until(span, record, pool, look)
            record.open = False
            ended, after = perf_counter(), _cpu_s(watched)
            driver.stop()
            await _drain(driver, pool)
            pool.shut()
    finally:
        gc.enable()
    return Seen(record=record, seconds=ended - began, cpu_s={name: after[name] - before[name] for name in before})


async def _until(span: Span, record: Record, pool: Pool, look: Callable[[Record], None] | None) -> None:
    deadline = perf_counter() + span.seconds
    while (left := deadline - perf_counter()) > 0 and not pool.exhausted():
        if span.calls and record.completed >= span.calls:
            return
        if look is not None:
            look(record)
        await asyncio.sleep(min(left, LOOK_S))


async def _drain(driver: Driver, pool: Pool) -> None:
    deadline = perf_counter() + DRAIN_TIMEOUT_S
    while pool.busy or driver.waiting:
        if perf_counter() > deadline or pool.exhausted():
            break
        await asyncio.sleep(LOOK_S)
    for _ in range(driver.waiting):
        driver.record.fail("never sent: no connection came free")
    # What is still under way is counted by its connection when the pool shuts.


def _cpu_s(watched: Mapping[str, Watched]) -> dict[str, float]:
    own = os.times()
    return {"load": own.user + own.system, **{name: process.cpu_s() for name, process in watched.items()}}
