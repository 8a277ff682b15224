"""`python -m bench.observed FILE`: Samovar on asyncio's own loop, each of whose steps is timed; the longest go into FILE.

uvloop does not let its steps be seen. A step's time is the processor's time of its thread, so that other processes on the core do
not count. FILE holds the longest steps since the last SIGUSR1, in milliseconds; SIGUSR1 writes it and begins anew.
"""

import asyncio
import heapq
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any

import uvloop

from samovar.app.settings import load
from samovar.cli.serve import serve

KEPT = 50


def observe(report: Path) -> None:
    """Time every step of every loop from now on."""
    longest: list[float] = []
    run: Callable[[Any], None] = asyncio.Handle._run

    def timed(handle: Any) -> None:
        began = thread_time()
        run(handle)
        took = thread_time() - began
        if len(longest) < KEPT:
            heapq.heappush(longest, took)
        elif took > longest[0]:
            heapq.heapreplace(longest, took)

    def write(_number: int, _frame: object) -> None:
        fresh = report.with_suffix(".new")
        fresh.write_text(json.dumps([seconds * 1000 for seconds in sorted(longest, reverse=True)]), encoding="utf-8")
        fresh.replace(report)
        longest.clear()

    asyncio.Handle._run = timed  # type: ignore[assignment,method-assign]
    uvloop.new_event_loop = asyncio.SelectorEventLoop  # type: ignore[assignment]
    signal.signal(signal.SIGUSR1, write)


if __name__ == "__main__":
    observe(Path(sys.argv[1]))
    serve(load(), reload=False)
