"""A worker's own memory, processor time, files and garbage collections, as metrics that may be summed over workers.

The library's collectors speak of one process and do not take part in its multiprocess mode. The names are theirs.
"""

import gc
import os
import resource
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

_STATM: Final = Path("/proc/self/statm")
_FILES: Final = "/proc/self/fd"


class WorkerMetrics:
    """Read at each refresh."""

    def __init__(self, registry: CollectorRegistry, *, is_worker: bool) -> None:
        def gauge(name: str, words: str) -> Gauge:
            return Gauge(name, words, multiprocess_mode="livesum", registry=registry)

        self._memory = gauge("process_resident_memory_bytes", "Resident memory of all processes.")
        self._files = gauge("process_open_fds", "Open files and sockets of all processes.")
        self._workers = gauge("samovar_workers", "Workers that serve.")
        self._cpu = Counter("process_cpu_seconds_total", "Processor time of all processes.", registry=registry)
        self._collections = Counter(
            "python_gc_collections_total", "Garbage collections.", ("generation",), registry=registry
        )
        self._serving = int(is_worker)
        self._cpu_seen = 0.0
        self._collections_seen = [0, 0, 0]

    def refresh(self) -> None:
        """Read them."""
        self._workers.set(self._serving)
        if _STATM.exists():
            self._memory.set(int(_STATM.read_text().split()[1]) * resource.getpagesize())
            self._files.set(len(os.listdir(_FILES)))
        spent = sum(os.times()[:2])
        self._cpu.inc(max(0.0, spent - self._cpu_seen))
        self._cpu_seen = spent
        for generation, stats in enumerate(gc.get_stats()):
            seen, self._collections_seen[generation] = self._collections_seen[generation], stats["collections"]
            self._collections.labels(str(generation)).inc(stats["collections"] - seen)
