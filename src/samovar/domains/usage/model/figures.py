"""Windows of time, sums, and quantiles out of counts. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from samovar.domains.gateway.model import CallStatus

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

DURATION_BOUNDS_MS: Final = tuple(5.0 * 2**power for power in range(16))
"""Upper bounds of the counted durations, 5 ms to 164 s, each twice the one before; one more count holds what is above."""
OVERHEAD_BOUNDS_MS: Final = tuple(0.25 * 2**power for power in range(9))
"""The same for the time that we add ourselves, 0.25 to 64 ms."""


class Buckets(StrEnum):
    """How long a point of a series is. Days are UTC's."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """The span of one."""
        return {"minute": MINUTE, "hour": HOUR, "day": DAY}[self.value]


class Dimension(StrEnum):
    """What sums are broken down by."""

    MODEL = "model"
    PROVIDER = "provider"
    KEY = "key"
    SURFACE = "surface"
    PROJECT = "project"
    USER = "user"
    ROUTE = "route"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which calls count; ``None`` lets all through."""

    model: str | None = None
    provider: str | None = None
    key: str | None = None
    surface: str | None = None
    project: str | None = None
    user: str | None = None
    route: str | None = None
    prompt: int | None = None
    status: CallStatus | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """From the one instant (in it) to the other (not in it)."""

    start: datetime
    end: datetime

    def widened(self, step: timedelta) -> "Window":
        """Out to whole steps since 1970."""
        return Window(floor(self.start, step), ceiling(self.end, step))


def floor(at: datetime, step: timedelta) -> datetime:
    """The last whole step at or before ``at``."""
    return at - (at - _EPOCH) % step


def ceiling(at: datetime, step: timedelta) -> datetime:
    """The first whole step at or after ``at``."""
    return at + (_EPOCH - at) % step


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a window and which sums hold it."""

    buckets: Buckets
    window: Window


def parts_of(window: Window, buckets: Buckets | None) -> tuple[Part, ...]:
    """How to read a window of whole hours (of minutes, for points of a minute): whole days from the sums of days, which
    are few, and its ends from those of hours."""
    if buckets in (Buckets.MINUTE, Buckets.HOUR):
        return (Part(buckets, window),)
    first, last = ceiling(window.start, DAY), floor(window.end, DAY)
    if first >= last:
        return (Part(Buckets.HOUR, window),)
    parts = (
        Part(Buckets.HOUR, Window(window.start, first)),
        Part(Buckets.DAY, Window(first, last)),
        Part(Buckets.HOUR, Window(last, window.end)),
    )
    return tuple(part for part in parts if part.window.start < part.window.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Quantiles in milliseconds, estimated from counts whose bounds double: between the two bounds around it, each is
    right to a factor of two at worst. ``None`` where there was no call."""

    p50_ms: float | None
    p95_ms: float | None
    overhead_p50_ms: float | None
    overhead_p95_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Sums over calls. ``cost_nano_usd`` leaves out the ``unpriced_calls``, which used tokens at no known price."""

    calls: int = 0
    errors: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano_usd: int = 0
    unpriced_calls: int = 0
    estimated_calls: int = 0
    duration_ms: float = 0.0
    overhead_ms: float = 0.0
    latency: Latency | None = None


def together(figures: Iterable[Figures]) -> Figures:
    """The sum of sums, without quantiles, which have none."""
    every = list(figures)
    names = [field.name for field in fields(Figures) if field.name != "latency"]
    return Figures(**{name: sum(getattr(one, name) for one in every) for name in names})


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a series."""

    at: datetime
    figures: Figures


@dataclass(frozen=True, slots=True)
class Group:
    """One name of a breakdown."""

    name: str
    figures: Figures


def quantile(counts: Sequence[int], bounds: Sequence[float], share: float) -> float | None:
    """The value below which ``share`` of what was counted lies; ``counts`` has one more than ``bounds``. Within a count
    it grows evenly; what is above the last bound counts as that."""
    total = sum(counts)
    if total == 0:
        return None
    wanted = share * total
    seen = 0
    for place, count in enumerate(counts[:-1]):
        if count and seen + count >= wanted:
            low = bounds[place - 1] if place else 0.0
            return low + (bounds[place] - low) * (wanted - seen) / count
        seen += count
    return bounds[-1]
