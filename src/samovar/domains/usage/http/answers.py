"""What the routes of usage answer, as types. Credits are decimal texts; instants are RFC 3339."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from samovar.domains.usage.model import Band, Buckets, Dimension, Figures, Latency, Method, Record
from samovar.domains.usage.service.budgets import BudgetOutlook
from samovar.domains.usage.service.reading import Breakdown, Outlook, Series
from samovar.kernel.money import credits_text

Credits = Annotated[str, Field(description="Credits as a decimal text; 100 are a dollar.", examples=["12.5"])]


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresAnswer:
    """Sums over calls."""

    calls: int
    errors: Annotated[int, Field(description="Calls that failed, before or after their first content.")]
    cancelled: Annotated[int, Field(description="Calls whose caller went away.")]
    input_tokens: Annotated[int, Field(description="All of them, cached ones too.")]
    output_tokens: Annotated[int, Field(description="All of them, reasoning too.")]
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_credits: Credits
    unpriced_calls: Annotated[
        int, Field(description="Calls that used tokens at no known price: what they cost is not in `cost_credits`.")
    ]
    estimated_calls: Annotated[int, Field(description="Calls whose tokens were counted by us, not by the provider.")]
    mean_duration_ms: float | None
    mean_overhead_ms: Annotated[float | None, Field(description="What Samovar added to the provider's own time.")]
    latency: Annotated[Latency | None, Field(description="Where it was asked for.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointAnswer(FiguresAnswer):
    """The sums of one bucket."""

    at: Annotated[datetime, Field(description="Where the bucket begins.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAnswer:
    """Every bucket of the window, those without calls too; the earliest first."""

    start: Annotated[datetime, Field(description="The window, widened to whole hours (minutes for `minute`).")]
    end: datetime
    bucket: Buckets
    points: tuple[PointAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAnswer(FiguresAnswer):
    """The sums of one name. A call that reached no model or provider has an empty one; so have calls of no project or user, and
    calls from before projects, users and routes were noted."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakdownAnswer:
    """The names that cost most, and the sums over all names, those beyond `limit` too."""

    start: Annotated[datetime, Field(description="The window, widened to whole hours.")]
    end: datetime
    by: Dimension
    items: tuple[GroupAnswer, ...]
    total: FiguresAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class EventList:
    """Single calls, the newest first."""

    items: tuple[Record, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BandAnswer:
    """What is expected, and the band in which four of five outcomes lie."""

    expected_credits: Credits
    low_credits: Credits
    high_credits: Credits


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAnswer(BandAnswer):
    """One day to come."""

    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastAnswer:
    """What will be spent, today included; `days` is empty and `total` null where no whole day is known."""

    method: Annotated[
        Method,
        Field(
            description="`linear_with_weekdays`: a line and an offset for each weekday, from 14 whole days on; `mean`: of the"
            " whole days there are; `none`: there is not one."
        ),
    ]
    history_days: Annotated[int, Field(description="Whole days it rests on, the last 56 at most.")]
    today_credits: Annotated[str, Field(description="Spent today so far; the forecast does not look at it.")]
    unpriced_calls: Annotated[int, Field(description="Calls of those days at no known price, which it cannot see.")]
    days: tuple[DayAnswer, ...]
    total: BandAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetForecastAnswer:
    """Whether a budget will last to the end of its period (of `total`: for 30 days)."""

    budget_id: str
    method: Method
    history_days: Annotated[int, Field(description="Whole days of its wallet it rests on, the last 56 at most.")]
    credits: Annotated[str, Field(description="The budget.")]
    spent_credits: Annotated[str, Field(description="Spent in this period so far.")]
    ends_on: Annotated[date, Field(description="The last day looked at.")]
    at_end: Annotated[BandAnswer | None, Field(description="Spent by then; null where no whole day is known.")]
    spent_on: Annotated[date | None, Field(description="When the budget will be used up; null: not to be expected.")]


def budget_forecast_of(outlook: BudgetOutlook) -> BudgetForecastAnswer:
    """A budget's forecast as it is answered."""
    use = outlook.use
    return BudgetForecastAnswer(
        budget_id=use.budget.id,
        method=outlook.forecast.method,
        history_days=outlook.history_days,
        credits=credits_text(use.budget.amount_nano_usd),
        spent_credits=credits_text(use.spent_nano_usd),
        ends_on=outlook.ends_on,
        at_end=None if outlook.at_end is None else BandAnswer(**_band(outlook.at_end)),
        spent_on=outlook.spent_on,
    )


def figures_of(figures: Figures) -> FiguresAnswer:
    """Sums as they are answered."""
    return FiguresAnswer(**_fields(figures))


def series_of(series: Series, bucket: Buckets) -> SeriesAnswer:
    """A series as it is answered."""
    points = tuple(PointAnswer(at=point.at, **_fields(point.figures)) for point in series.points)
    return SeriesAnswer(start=series.window.start, end=series.window.end, bucket=bucket, points=points)


def breakdown_of(found: Breakdown, by: Dimension) -> BreakdownAnswer:
    """A breakdown as it is answered."""
    items = tuple(GroupAnswer(name=group.name, **_fields(group.figures)) for group in found.groups)
    return BreakdownAnswer(
        start=found.window.start, end=found.window.end, by=by, items=items, total=figures_of(found.total)
    )


def forecast_of(outlook: Outlook, days: tuple[date, ...]) -> ForecastAnswer:
    """A forecast for ``days`` as it is answered."""
    told = outlook.forecast
    return ForecastAnswer(
        method=told.method,
        history_days=outlook.history_days,
        today_credits=credits_text(outlook.today_nano_usd),
        unpriced_calls=outlook.unpriced_calls,
        days=tuple(DayAnswer(day=day, **_band(band)) for day, band in zip(days, told.days, strict=False)),
        total=None if told.total is None else BandAnswer(**_band(told.total)),
    )


def _band(band: Band) -> dict[str, str]:
    return {
        "expected_credits": credits_text(band.expected),
        "low_credits": credits_text(band.low),
        "high_credits": credits_text(band.high),
    }


def _fields(figures: Figures) -> dict[str, Any]:
    calls = figures.calls
    same = ("calls", "errors", "cancelled", "unpriced_calls", "estimated_calls", "latency")
    tokens = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
    return {
        **{name: getattr(figures, name) for name in (*same, *tokens)},
        "cost_credits": credits_text(figures.cost_nano_usd),
        "mean_duration_ms": round(figures.duration_ms / calls, 3) if calls else None,
        "mean_overhead_ms": round(figures.overhead_ms / calls, 3) if calls else None,
    }
