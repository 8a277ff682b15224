"""The end of a wallet: calls wait for those under way, and no longer than it may help."""

import asyncio

import pytest

from samovar.domains.billing.errors import CreditSpent
from samovar.domains.billing.model.wallets import BudgetPeriod
from samovar.domains.billing.service import BudgetOrder, MoneyService
from samovar.domains.billing.service.money import Hold
from samovar.domains.billing.service.money.payers import WalletRef
from tests.domains.billing.conftest import ADMIN, CREDIT, Open, Till, cost, gone
from tests.support.clock import ManualClock


async def held(money: MoneyService, call_id: str, wallet: WalletRef, credits: int) -> Hold:
    """A call that went out."""
    hold = await money.hold(call_id, wallet, credits * CREDIT, principal_id="key_1")
    await gone(hold.sent())
    return hold


def asks(till: Till, wallet: WalletRef, credits: int) -> "asyncio.Task[Hold]":
    """A call that may have to wait."""
    return asyncio.create_task(held(till.money, f"call_{credits}", wallet, credits))


async def waits(task: "asyncio.Task[Hold]") -> bool:
    """Whether it has no answer although the database was asked again and again."""
    done, _ = await asyncio.wait([task], timeout=0.3)
    return not done


async def test_a_call_waits_for_what_another_does_not_use(open_till: Open) -> None:
    till = await open_till(patience_s=60.0)
    wallet = await till.wallet(10)
    first = await held(till.money, "first", wallet, 10)
    second = asks(till, wallet, 4)
    assert await waits(second)
    await gone(first.settle(cost(CREDIT)))
    async with asyncio.timeout(5):
        await gone((await second).settle(cost(4 * CREDIT)))
    assert await till.balance(wallet) == 5 * CREDIT
    assert await till.books.check(ADMIN) == []


async def test_a_call_waits_for_what_another_process_does_not_use(open_till: Open, clock: ManualClock) -> None:
    here, there = await open_till(patience_s=60.0), await open_till(patience_s=60.0)
    wallet = await here.wallet(10)
    # Both have some in hand that does for neither of those who wait.
    one, other = await held(here.money, "one", wallet, 4), await held(there.money, "other", wallet, 6)
    waiting_here, waiting_there = asks(here, wallet, 9), asks(there, wallet, 8)
    assert await waits(waiting_here)
    assert await waits(waiting_there)
    await gone(one.settle(cost(0)))
    await gone(other.settle(cost(0)))
    done, late = await asyncio.wait([waiting_here, waiting_there], timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    await gone(done.pop().result().settle(cost(CREDIT)))
    # What that one did not use goes back soon, since the wallet is at its end.
    for till in (here, there):
        await till.money.tidy()
    clock.advance(1)
    for till in (here, there):
        await till.money.tidy()
    async with asyncio.timeout(5):
        await gone((await late.pop()).settle(cost(CREDIT)))
    await here.money.flush()
    await there.money.flush()
    assert await here.balance(wallet) == 8 * CREDIT
    assert await here.books.check(ADMIN) == []


async def test_a_call_that_no_waiting_helps_is_refused_at_once(open_till: Open) -> None:
    till = await open_till(patience_s=60.0)
    wallet = await till.wallet(10)
    await held(till.money, "running", wallet, 8)
    async with asyncio.timeout(5):
        with pytest.raises(CreditSpent):
            await held(till.money, "too_dear", wallet, 11)
    order = BudgetOrder(wallet_id=wallet.id, period=BudgetPeriod.TOTAL, nano_usd=9 * CREDIT)
    await till.budgets.create(ADMIN, order)
    async with asyncio.timeout(5):
        with pytest.raises(CreditSpent):
            await held(till.money, "above_the_budget", wallet, 10)


async def test_nobody_waits_longer_than_the_patience_there_is(open_till: Open, clock: ManualClock) -> None:
    till = await open_till(patience_s=3.0)
    wallet = await till.wallet(10)
    running = await held(till.money, "running", wallet, 8)
    waiting = asks(till, wallet, 5)
    assert await waits(waiting)
    clock.advance(3)
    async with asyncio.timeout(5):
        with pytest.raises(CreditSpent):
            await waiting
    # Who comes right after is not made to wait for the same thing again.
    with pytest.raises(CreditSpent):
        await held(till.money, "next", wallet, 5)
    await gone(running.settle(cost(8 * CREDIT)))
    assert await till.balance(wallet) == 2 * CREDIT


async def test_credits_that_are_put_in_reach_who_waits(open_till: Open) -> None:
    till = await open_till(patience_s=60.0)
    wallet = await till.wallet(10)
    await held(till.money, "running", wallet, 8)
    waiting = asks(till, wallet, 5)
    assert await waits(waiting)
    await till.wallets.add_credits(ADMIN, wallet.id, 10 * CREDIT)
    async with asyncio.timeout(5):
        await waiting


async def test_who_gives_up_waiting_leaves_nothing_held(open_till: Open) -> None:
    till = await open_till(patience_s=60.0)
    wallet = await till.wallet(10)
    running = await held(till.money, "running", wallet, 8)
    waiting = asks(till, wallet, 5)
    assert await waits(waiting)
    waiting.cancel()
    await asyncio.wait([waiting])
    await gone(running.settle(cost(CREDIT)))
    async with asyncio.timeout(5):
        await held(till.money, "last", wallet, 9)
