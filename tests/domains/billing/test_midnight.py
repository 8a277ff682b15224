"""Budgets where one period ends and the next begins, with calls and leases that lie across it."""

from datetime import UTC, datetime, timedelta

import pytest

from samovar.domains.billing.errors import CreditSpent
from samovar.domains.billing.model.wallets import BudgetPeriod
from samovar.domains.billing.service import BudgetOrder
from tests.domains.billing.conftest import ADMIN, CREDIT, Till, cost, gone
from tests.support.clock import ManualClock

SATURDAY, SUNDAY, LAST_OF_MONTH = (datetime(2026, 11, day, tzinfo=UTC) for day in (21, 22, 30))
ENDS = [(BudgetPeriod.DAY, SATURDAY), (BudgetPeriod.WEEK, SUNDAY), (BudgetPeriod.MONTH, LAST_OF_MONTH)]
GOES_ON = [
    (BudgetPeriod.WEEK, SATURDAY),
    (BudgetPeriod.MONTH, SUNDAY),
    (BudgetPeriod.TOTAL, SATURDAY),
    (BudgetPeriod.TOTAL, LAST_OF_MONTH),
]


def late(clock: ManualClock, day: datetime) -> None:
    """Ten seconds to midnight."""
    clock.advance((day + timedelta(days=1, seconds=-10) - clock.now()).total_seconds())


@pytest.mark.parametrize(("period", "day"), ENDS)
async def test_a_call_across_midnight_belongs_to_the_period_it_began_in(
    till: Till, clock: ManualClock, period: BudgetPeriod, day: datetime
) -> None:
    late(clock, day)
    wallet = await till.wallet(1000)
    made = await till.budgets.create(ADMIN, BudgetOrder(wallet_id=wallet.id, period=period, nano_usd=10 * CREDIT))
    for n in range(4):
        await till.call(f"before_{n}", wallet, hold=CREDIT, nano_usd=CREDIT)
    running = await till.money.hold("across", wallet, 3 * CREDIT, principal_id="key_1")
    await gone(running.sent())
    with pytest.raises(CreditSpent):
        await till.money.hold("too_much", wallet, 4 * CREDIT, principal_id="key_1")
    clock.advance(20)
    # All of the new period's money is there, though the call of yesterday still runs.
    await till.call("after", wallet, hold=10 * CREDIT, nano_usd=10 * CREDIT)
    await gone(running.settle(cost(2 * CREDIT)))
    await till.money.flush()
    await till.money.tidy()
    assert (await till.budgets.get(ADMIN, made.budget.id)).spent_nano_usd == 10 * CREDIT
    with pytest.raises(CreditSpent):
        await till.call("no_more", wallet, hold=CREDIT, nano_usd=CREDIT)
    # Seen from before midnight: what began there, and the lease of that day holds nothing any more.
    clock.advance(-20)
    before = await till.budgets.get(ADMIN, made.budget.id)
    assert (before.spent_nano_usd, before.leased_nano_usd) == (6 * CREDIT, 0)
    assert await till.balance(wallet) == (1000 - 16) * CREDIT
    assert await till.books.check(ADMIN) == []


@pytest.mark.parametrize(("period", "day"), GOES_ON)
async def test_a_midnight_within_a_period_gives_nothing_anew(
    till: Till, clock: ManualClock, period: BudgetPeriod, day: datetime
) -> None:
    late(clock, day)
    wallet = await till.wallet(1000)
    made = await till.budgets.create(ADMIN, BudgetOrder(wallet_id=wallet.id, period=period, nano_usd=10 * CREDIT))
    await till.call("before", wallet, hold=6 * CREDIT, nano_usd=6 * CREDIT)
    running = await till.money.hold("across", wallet, 3 * CREDIT, principal_id="key_1")
    await gone(running.sent())
    await till.money.flush()
    clock.advance(20)
    # What yesterday's lease still holds is promised; one credit is left.
    with pytest.raises(CreditSpent):
        await till.call("too_much", wallet, hold=2 * CREDIT, nano_usd=2 * CREDIT)
    await gone(running.settle(cost(CREDIT)))
    await till.money.flush()
    await till.money.tidy()
    clock.advance(1)
    await till.call("after", wallet, hold=3 * CREDIT, nano_usd=3 * CREDIT)
    await till.money.flush()
    assert (await till.budgets.get(ADMIN, made.budget.id)).spent_nano_usd == 10 * CREDIT
    assert await till.books.check(ADMIN) == []
