"""Whether a budget will last, told from what its wallet really spent."""

from datetime import date

import pytest

from samovar.domains.billing.errors import BudgetNotFound
from samovar.domains.billing.model.wallets import BudgetMode, BudgetPeriod
from samovar.domains.billing.service import BudgetOrder
from samovar.domains.usage.model import Method
from samovar.domains.usage.service.budgets import BudgetOutlook, BudgetOutlooks
from tests.domains.billing.conftest import ADMIN, CREDIT, STRANGER, Till, installed, open_till, spool, till
from tests.support.clock import ManualClock

DAY_S = 86_400
__all__ = ["installed", "open_till", "spool", "till"]  # fixtures


async def outlook_after(
    till: Till, clock: ManualClock, days: list[int], *, budget: int, period: BudgetPeriod = BudgetPeriod.MONTH
) -> BudgetOutlook:
    """``days`` are credits spent on the days from 21 November 2026 on, the last of them today's."""
    wallet = await till.wallet(1_000_000)
    order = BudgetOrder(wallet_id=wallet.id, period=period, nano_usd=budget * CREDIT, mode=BudgetMode.WARN)
    made = await till.budgets.create(ADMIN, order)
    for number, credits in enumerate(days):
        await till.call(f"call_{number}", wallet, hold=credits * CREDIT, nano_usd=credits * CREDIT)
        await till.money.flush()
        if number < len(days) - 1:
            clock.advance(DAY_S)
    return await BudgetOutlooks(budgets=till.budgets, clock=clock).outlook(ADMIN, made.budget.id)


async def test_a_steady_wallet_runs_out_on_the_day_that_its_mean_says(till: Till, clock: ManualClock) -> None:
    found = await outlook_after(till, clock, [10] * 5 + [4], budget=90)
    assert (found.forecast.method, found.history_days) == (Method.MEAN, 5)
    assert found.ends_on == date(2026, 11, 30)
    assert found.at_end is not None
    # 54 spent; 6 more today, the 26th, and 10 on each of the four days to come.
    assert found.at_end.expected == 100 * CREDIT
    assert found.spent_on == date(2026, 11, 29)


async def test_a_budget_that_lasts_has_no_day_on_which_it_is_spent(till: Till, clock: ManualClock) -> None:
    found = await outlook_after(till, clock, [1, 1, 1, 1], budget=100)
    assert found.spent_on is None


async def test_a_budget_that_is_spent_already_says_so_today(till: Till, clock: ManualClock) -> None:
    found = await outlook_after(till, clock, [3, 9], budget=10)
    assert found.spent_on == date(2026, 11, 22)


async def test_without_a_whole_day_nothing_is_told_but_what_was_spent(till: Till, clock: ManualClock) -> None:
    found = await outlook_after(till, clock, [7], budget=10, period=BudgetPeriod.TOTAL)
    assert (found.forecast.method, found.at_end, found.spent_on) == (Method.NONE, None, None)
    assert found.use.spent_nano_usd == 7 * CREDIT


async def test_another_teams_budget_is_not_there(till: Till, clock: ManualClock) -> None:
    found = await outlook_after(till, clock, [1], budget=10)
    with pytest.raises(BudgetNotFound):
        await BudgetOutlooks(budgets=till.budgets, clock=clock).outlook(STRANGER, found.use.budget.id)
