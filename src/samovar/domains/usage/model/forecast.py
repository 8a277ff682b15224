"""What will be spent, told from the days that were. Pure.

With two weeks and more: a straight line through the days and an offset for each weekday, by least squares. With less: the
mean of what there is. The band is where four of five outcomes lie, if days go on to scatter as they did about the fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import Final

WEEK: Final = 7
LEAST_DAYS: Final = 2 * WEEK
_BAND: Final = 1.2816
"""Standard deviations to each side that hold 80 % of a normal distribution."""


class Method(StrEnum):
    """How a forecast was made."""

    WEEKDAYS = "linear_with_weekdays"
    MEAN = "mean"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Band:
    """An amount in nano-USD and the band that holds four of five outcomes. No amount is below zero."""

    expected: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """The days to come, one after the other, and their sum. Nothing where no day is known."""

    method: Method
    days: tuple[Band, ...] = ()
    total: Band | None = None


def forecast(history: Sequence[int], ahead: int) -> Forecast:
    """The ``ahead`` days that follow ``history``, whole days of spending in nano-USD without a gap, the oldest first."""
    if not history or ahead < 1:
        return Forecast(Method.NONE)
    if len(history) < LEAST_DAYS:
        mean = sum(history) / len(history)
        spread = _deviation([day - mean for day in history], used=1)
        return _bands(Method.MEAN, [mean] * ahead, spread)
    slope, levels = _fit(history)
    fitted = [slope * day + levels[day % WEEK] for day in range(len(history) + ahead)]
    spread = _deviation([was - fit for was, fit in zip(history, fitted, strict=False)], used=WEEK + 1)
    return _bands(Method.WEEKDAYS, fitted[len(history) :], spread)


def _fit(history: Sequence[int]) -> tuple[float, list[float]]:
    """The slope a day, and the level of each weekday at day 0. Least squares with a level for each weekday is the slope
    of what is left when each weekday's own mean is taken away (Frisch and Waugh)."""
    means = [_mean_of(history, weekday) for weekday in range(WEEK)]
    over = under = 0.0
    for day, spent in enumerate(history):
        mean_day, mean_spent = means[day % WEEK]
        over += (day - mean_day) * (spent - mean_spent)
        under += (day - mean_day) ** 2
    slope = over / under
    return slope, [spent - slope * day for day, spent in means]


def _mean_of(history: Sequence[int], weekday: int) -> tuple[float, float]:
    days = range(weekday, len(history), WEEK)
    return sum(days) / len(days), sum(history[day] for day in days) / len(days)


def _deviation(rests: Sequence[float], *, used: int) -> float:
    free = len(rests) - used
    return sqrt(sum(rest * rest for rest in rests) / free) if free > 0 else 0.0


def _bands(method: Method, expected: Sequence[float], spread: float) -> Forecast:
    days = tuple(_band(day, _BAND * spread) for day in expected)
    # Days that scatter each for itself: their variances add up.
    total = _band(sum(day.expected for day in days), _BAND * spread * sqrt(len(days)))
    return Forecast(method, days, total)


def _band(expected: float, half: float) -> Band:
    middle = max(0.0, expected)
    return Band(round(middle), round(max(0.0, middle - half)), round(middle + half))
