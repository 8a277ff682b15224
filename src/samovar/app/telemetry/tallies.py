"""What the hot path counts with: plain additions, handed on to prometheus_client at each refresh.

A counter of the library costs a lock, a histogram a lock and a walk over its buckets, and with several workers each is a
write into a mapped file: 20 microseconds a call where this takes 2. Only the event loop's thread may touch a tally.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any


class Count:
    """Grows a counter. ``value`` is what was added since the last refresh."""

    __slots__ = ("_child", "_scale", "value")

    def __init__(self, child: Any, *, scale: float = 1.0) -> None:
        self._child = child
        self._scale = scale
        self.value = 0

    def flush(self) -> None:
        """Hand on."""
        if self.value:
            self._child.inc(self.value / self._scale)
            self.value = 0


class Distribution:
    """Fills a histogram."""

    __slots__ = ("_bounds", "_child", "_counts", "_total")

    def __init__(self, child: Any, bounds: Sequence[float]) -> None:
        self._child = child
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """One value."""
        # As Prometheus counts: a value on a bound belongs below it.
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def flush(self) -> None:
        """Hand on. The library has no public way to add many observations at once."""
        if not any(self._counts):
            return
        self._child._sum.inc(self._total)
        for bucket, count in zip(self._child._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._counts = [0] * len(self._counts)
        self._total = 0.0
