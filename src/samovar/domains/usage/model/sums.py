"""Calls added up by hour and by day, before they are written. Pure."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import islice
from typing import Final, TypeAlias

from samovar.domains.usage.model.figures import DAY, DURATION_BOUNDS_MS, HOUR, OVERHEAD_BOUNDS_MS
from samovar.domains.usage.model.rows import UsageRow
from samovar.domains.usage.model.users import OTHER_USERS

SUMMED: Final = (
    "calls",
    "unpriced_calls",
    "estimated_calls",
    "cost_nano_usd",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "duration_ms",
    "overhead_ms",
)
"""What is added up, in this order; behind it stand the counts of durations and of overheads, by their bounds."""
KEYS: Final = (
    "team_id",
    "at",
    "model",
    "provider",
    "principal_id",
    "surface",
    "status",
    "project_id",
    "user_id",
    "route",
    "prompt_id",
)
"""What calls are added up by. ``at`` is where their hour, or day, begins."""

_DURATIONS_AT: Final = len(SUMMED)
_OVERHEADS_AT: Final = _DURATIONS_AT + len(DURATION_BOUNDS_MS) + 1
_WIDTH: Final = _OVERHEADS_AT + len(OVERHEAD_BOUNDS_MS) + 1
_HOUR_US: Final = int(HOUR.total_seconds()) * 1_000_000
_DAY_US: Final = int(DAY.total_seconds()) * 1_000_000

_Key: TypeAlias = tuple[str, int, str, str, str, str, str, str, str, str, int]
SumRow: TypeAlias = tuple[str | int | float, ...]
"""``KEYS`` and the sums, as the tables have them; ``at`` is microseconds since 1970."""


class Sums:
    """The sums of a batch. Instants are microseconds since 1970."""

    def __init__(self) -> None:
        self._hours: dict[_Key, list[int | float]] = {}

    def add(self, rows: Iterable[UsageRow]) -> None:
        """Count these calls, too."""
        hours, durations, overheads = self._hours, DURATION_BOUNDS_MS, OVERHEAD_BOUNDS_MS
        for row in rows:
            key = _key(row)
            sums = hours.get(key)
            if sums is None:
                sums = hours[key] = [0] * _WIDTH
            sums[0] += 1
            cost = row.cost_nano_usd
            if cost is not None:
                sums[3] += cost
            elif row.usage is not None:
                sums[1] += 1
            if row.usage is not None:
                sums[2] += row.usage_estimated
                sums[4] += row.input_tokens or 0
                sums[5] += row.output_tokens or 0
                sums[6] += row.cached_input_tokens or 0
                sums[7] += row.cache_write_tokens or 0
                sums[8] += row.reasoning_tokens or 0
            sums[9] += row.duration_ms
            sums[10] += row.overhead_ms
            sums[_DURATIONS_AT + bisect_left(durations, row.duration_ms)] += 1
            sums[_OVERHEADS_AT + bisect_left(overheads, row.overhead_ms)] += 1

    def hours(self) -> list[SumRow]:
        """One row an hour and name, in one order whoever asks: so two writers that meet wait for each other in it, and never
        crosswise."""
        return _rows(self._hours)

    def days(self) -> list[SumRow]:
        """The same by day."""
        days: dict[_Key, list[int | float]] = {}
        for (team_id, at, *names), sums in self._hours.items():
            key: _Key = (team_id, at - at % _DAY_US, *names)  # type: ignore[assignment]  # as many as there were
            known = days.get(key)
            days[key] = list(sums) if known is None else [one + more for one, more in zip(known, sums, strict=True)]
        return _rows(days)


def slices(rows: Iterable[UsageRow], size: int) -> Iterable[list[UsageRow]]:
    """``rows`` in pieces of at most ``size``."""
    left = iter(rows)
    while piece := list(islice(left, size)):
        yield piece


def _key(row: UsageRow) -> _Key:
    return (
        row.team_id,
        row.started_at - row.started_at % _HOUR_US,
        row.model,
        row.provider,
        row.principal_id,
        row.surface,
        row.status,
        row.project_id,
        OTHER_USERS if row.user_overflows else row.user_id,
        # Of a call that went nowhere, what was asked for is any word.
        row.requested_model if row.model else "",
        row.prompt_id or 0,
    )


def _rows(sums: dict[_Key, list[int | float]]) -> list[SumRow]:
    return [(*key, *sums[key]) for key in sorted(sums)]
