"""Whether a budget will last: what its wallet spent by the day, told on to the end of the period."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from samovar.domains.billing.model.wallets import BudgetUse, day_of, midnight_after, period_end, period_start
from samovar.domains.billing.service import Budgets
from samovar.domains.usage.model.forecast import Band, Forecast, forecast
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock

_HISTORY_DAYS: Final = 56
AHEAD_DAYS: Final = 30
"""How far a budget is looked at whose period has no end."""


@dataclass(frozen=True, slots=True)
class BudgetOutlook:
    """``ends_on`` is the last day looked at; ``at_end`` what will have been spent by then, ``None`` where no whole day is known;
    ``spent_on`` the day on which the amount will be reached, ``None`` where that is not to be expected."""

    use: BudgetUse
    history_days: int
    forecast: Forecast
    ends_on: date
    at_end: Band | None
    spent_on: date | None


class BudgetOutlooks:
    """Asks ``budgets`` and tells on."""

    def __init__(self, *, budgets: Budgets, clock: Clock) -> None:
        self._budgets = budgets
        self._clock = clock

    async def outlook(self, principal: Principal, budget_id: str) -> BudgetOutlook:
        """For the rest of the budget's period, today included. What today has cost so far counts, and the forecast's own
        figure for today where it is more. Raises ``Forbidden``, ``BudgetNotFound``."""
        use, by_day = await self._budgets.history(principal, budget_id, days=_HISTORY_DAYS)
        today = day_of(self._clock.now())
        begin = min((day for day in by_day if day < today), default=today)
        history = [by_day.get(day, 0) for day in range(begin, today)]
        after = period_end(use.budget.period, period_start(use.budget.period, today))
        last = (today + AHEAD_DAYS if after is None else after) - 1
        told = forecast(history, last - today + 1)
        return BudgetOutlook(
            use=use,
            history_days=len(history),
            forecast=told,
            ends_on=_date(last),
            at_end=_at_end(use, told, by_day.get(today, 0)),
            spent_on=_spent_on(use, told, today, by_day.get(today, 0)),
        )


def _at_end(use: BudgetUse, told: Forecast, today_nano_usd: int) -> Band | None:
    if told.total is None:
        return None
    # Today's part of the forecast is what is still to come of today.
    before = use.spent_nano_usd - min(today_nano_usd, told.days[0].expected)
    spent = use.spent_nano_usd
    total = told.total
    return Band(max(spent, before + total.expected), max(spent, before + total.low), max(spent, before + total.high))


def _spent_on(use: BudgetUse, told: Forecast, today: int, today_nano_usd: int) -> date | None:
    amount, spent = use.budget.amount_nano_usd, use.spent_nano_usd
    if spent >= amount:
        return _date(today)
    for number, day in enumerate(told.days):
        spent += max(0, day.expected - today_nano_usd) if number == 0 else day.expected
        if spent >= amount:
            return _date(today + number)
    return None


def _date(day: int) -> date:
    return midnight_after(day - 1).date()
