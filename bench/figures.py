"""Pure arithmetic over samples: quantiles, medians, the slope of a line, and what a figure is."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a set of samples, in the samples' own unit."""

    p50: float
    p99: float
    maximum: float
    count: int


def quantiles(samples: Sequence[float]) -> Quantiles | None:
    """Nearest-rank quantiles; None of nothing."""
    if not samples:
        return None
    ordered = sorted(samples)
    last = len(ordered) - 1
    return Quantiles(
        p50=ordered[round(last * 0.50)], p99=ordered[round(last * 0.99)], maximum=ordered[last], count=len(ordered)
    )


def median(values: Sequence[float]) -> float:
    """The middle value; raises statistics.StatisticsError of nothing."""
    return statistics.median(values)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the least-squares line through (x, y); zero where x never changes."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report.

    `target` with `at_least` says what is asked of it (None: nothing, it only informs). `ceiling` is the same figure taken
    straight at the sandbox in the same run, where there is such a thing.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = True
    ceiling: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value < self.target

    @property
    def ratio(self) -> float | None:
        """Samovar's value over the ceiling's."""
        return self.value / self.ceiling if self.ceiling else None
