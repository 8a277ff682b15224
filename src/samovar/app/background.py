"""Loops that run beside the serving of requests, and what is done once before it."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from samovar.kernel.errors import Unavailable

log = structlog.get_logger()

_RESTART_AFTER_S: Final = 1.0


def calm_the_collector() -> None:
    """What start-up made stays for good, so the collector need not look at it again; and a call makes no cycles, so it
    need not look every 700 objects either. Measured: a tenth of the processor's time at full load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    # The thread that writes to SQLite needs the interpreter's lock a few times a batch, and a busy event loop gives it away
    # only when this time is over: with the usual 5 ms the writer falls behind at full load.
    sys.setswitchinterval(0.0005)


async def until_done(start: Callable[[], Awaitable[None]]) -> None:
    """Try ``start`` until it does not raise ``Unavailable``."""
    while True:
        await asyncio.sleep(_RESTART_AFTER_S)
        try:
            return await start()
        except Unavailable:
            continue


async def forever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Keep a loop of ours alive: a defect in it is logged, and it begins again."""
    while True:
        try:
            await run()
        except Exception:  # edge: a background loop must outlive its defects
            log.exception("background loop failed", loop=name)
            await asyncio.sleep(_RESTART_AFTER_S)
