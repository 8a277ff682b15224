"""What was used: series, breakdowns, single calls, and what is to come. Every use case takes the principal first."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from samovar.domains.identity.model import Permission, require
from samovar.domains.usage.errors import WindowRefused
from samovar.domains.usage.model import (
    Buckets,
    Dimension,
    Figures,
    Filters,
    Forecast,
    Group,
    Place,
    Point,
    Record,
    Window,
)
from samovar.domains.usage.model.figures import DAY, HOUR, floor, parts_of, together
from samovar.domains.usage.model.forecast import forecast
from samovar.domains.usage.store import events, sums
from samovar.kernel.errors import Flaw
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.database import Database

MAX_POINTS: Final = 1_500
MAX_GROUPS: Final = 100
MAX_PAGE: Final = 100
MAX_AHEAD_DAYS: Final = 92
_HISTORY: Final = 56 * DAY
_LONGEST: Final = 3_660 * DAY
_EXPORT_PAGE: Final = 500
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Series:
    """Every bucket of the window, those without calls too."""

    window: Window
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The names that cost most, and the sum over all there are."""

    window: Window
    groups: tuple[Group, ...]
    total: Figures


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls, and where the next page begins."""

    items: tuple[Record, ...]
    next: Place | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast for the days from ``start`` on (today is the first), what it rests on, and what today has cost so far."""

    start: datetime
    history_days: int
    forecast: Forecast
    today_nano_usd: int
    unpriced_calls: int


class UsageQueries:
    """``retention`` is how long single events are kept; sums are kept for ever."""

    def __init__(self, *, database: Database, clock: Clock, retention: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention

    async def series(
        self, principal: Principal, *, start: datetime | None, end: datetime | None, filters: Filters, buckets: Buckets
    ) -> Series:
        """Widened to whole hours (to whole minutes, for those). Without ``start`` a day of minutes, a week of hours,
        30 days. Raises ``Forbidden``, ``WindowRefused``."""
        require(principal, Permission.USAGE_READ)
        default = {Buckets.MINUTE: DAY, Buckets.HOUR: 7 * DAY, Buckets.DAY: 30 * DAY}[buckets]
        step = buckets.length
        window = self._window(start, end, default).widened(min(step, HOUR))
        first = floor(window.start, step)
        count = -((first - window.end) // step)
        if count > MAX_POINTS:
            raise _refused(
                "from", f"{count:,} points are more than {MAX_POINTS:,}: ask for a shorter time or a longer bucket"
            )
        if buckets is Buckets.MINUTE and window.start < self._clock.now() - self._retention:
            raise _refused(
                "from", f"minutes are known for {self._retention.days} days back: ask for hours or days before that"
            )
        async with self._database.reading() as tx:
            found = await sums.series(
                tx, principal.team_id, parts_of(window, buckets), filters, buckets=buckets, limit=MAX_POINTS + 1
            )
        known = {point.at: point for point in found}
        steps = (first + number * step for number in range(count))
        return Series(window, tuple(known.get(at) or Point(at, Figures()) for at in steps))

    async def breakdown(
        self,
        principal: Principal,
        *,
        start: datetime | None,
        end: datetime | None,
        filters: Filters,
        by: Dimension,
        latency: bool,
        limit: int,
    ) -> Breakdown:
        """Widened to whole hours; without ``start`` 30 days. Raises ``Forbidden``, ``WindowRefused``."""
        require(principal, Permission.USAGE_READ)
        window = self._window(start, end, 30 * DAY).widened(HOUR)
        parts = parts_of(window, None)
        async with self._database.reading() as tx:
            limit = min(limit, MAX_GROUPS)
            found = await sums.groups(tx, principal.team_id, parts, filters, by=by, latency=latency, limit=limit + 1)
            if latency or len(found) > limit:
                total = await sums.total(tx, principal.team_id, parts, filters, latency=latency)
            else:
                total = together(group.figures for group in found)
        return Breakdown(window, tuple(found[:limit]), total)

    async def page(
        self,
        principal: Principal,
        *,
        start: datetime | None,
        end: datetime | None,
        filters: Filters,
        after: Place | None,
        limit: int,
    ) -> Page:
        """Single calls, the newest first; without ``start`` all that are kept. Raises ``Forbidden``, ``WindowRefused``."""
        require(principal, Permission.USAGE_READ)
        window = self._window(start, end, _LONGEST)
        async with self._database.reading() as tx:
            found = await events.page(
                tx,
                principal.team_id,
                window=window,
                filters=filters,
                after=after,
                limit=limit + 1,
                newest_first=True,
            )
        last = found[limit - 1] if len(found) > limit else None
        return Page(tuple(found[:limit]), None if last is None else Place(last.started_at, last.id))

    async def export(
        self, principal: Principal, *, start: datetime | None, end: datetime | None, filters: Filters
    ) -> AsyncIterator[list[Record]]:
        """Single calls, the oldest first, a page at a time; at least one page, perhaps empty. No transaction stays open
        between two pages. Raises, before the first page, ``Forbidden``, ``WindowRefused``, ``Unavailable``."""
        require(principal, Permission.USAGE_READ)
        window = self._window(start, end, _LONGEST)
        after: Place | None = None
        while True:
            async with self._database.reading() as tx:
                found = await events.page(
                    tx,
                    principal.team_id,
                    window=window,
                    filters=filters,
                    after=after,
                    limit=_EXPORT_PAGE,
                    newest_first=False,
                )
            yield found
            if len(found) < _EXPORT_PAGE:
                return
            after = Place(found[-1].started_at, found[-1].id)

    async def outlook(self, principal: Principal, *, days: int, filters: Filters) -> Outlook:
        """What will be spent today and in the days after it, ``days`` of them in all. It rests on the whole days of the
        last eight weeks, from the first with a call on. Raises ``Forbidden``."""
        require(principal, Permission.USAGE_READ)
        now = self._clock.now()
        today = floor(now, DAY)
        window = Window(today - _HISTORY, today + DAY)
        async with self._database.reading() as tx:
            found = await sums.series(
                tx,
                principal.team_id,
                parts_of(window, Buckets.DAY),
                filters,
                buckets=Buckets.DAY,
                limit=MAX_POINTS,
            )
        spent = {point.at: point.figures.cost_nano_usd for point in found}
        begin = min((at for at in spent if at < today), default=today)
        history = [spent.get(begin + number * DAY, 0) for number in range((today - begin) // DAY)]
        return Outlook(
            start=today,
            history_days=len(history),
            forecast=forecast(history, min(days, MAX_AHEAD_DAYS)),
            today_nano_usd=spent.get(today, 0),
            unpriced_calls=sum(point.figures.unpriced_calls for point in found),
        )

    def _window(self, start: datetime | None, end: datetime | None, length: timedelta) -> Window:
        end = end or self._clock.now()
        if not 1970 < end.year < 2200:
            raise _refused("to", "must be a time from 1971 to 2199")
        end = end.astimezone(UTC)
        start = start or end - min(length, end - _EARLIEST)
        if start < _EARLIEST:
            raise _refused("from", "must not lie before 1970")
        if start >= end:
            raise _refused("from", "must lie before `to`")
        if end - start > _LONGEST:
            raise _refused("from", f"{_LONGEST.days:,} days are the longest time that can be asked for")
        return Window(start.astimezone(UTC), end)


def _refused(where: str, what: str) -> WindowRefused:
    return WindowRefused(f"The window of time cannot be shown: {where}: {what}.", flaws=[Flaw(where, what)])
