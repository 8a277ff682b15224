"""Loops that run beside the serving of requests, and what is done once before it."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from samovar.kernel.errors import Unavailable
from samovar.ports.outages import Outage

_RESTART_AFTER_S: Final = 1.0
_WENT_ON_S: Final = 10.0
"""A loop that ran for longer was well."""


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
    """Keep a loop of ours alive: why it failed is logged, and it begins again."""
    now_s = asyncio.get_running_loop().time
    outage = Outage(f"background loop {name!r} failed", logger="samovar")
    while True:
        began_s = now_s()
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - edge: a background loop must outlive its defects
            if now_s() - began_s > _WENT_ON_S:
                outage.over()
            outage.tell(error)
            await asyncio.sleep(_RESTART_AFTER_S)
