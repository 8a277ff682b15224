"""A budget that is lowered below what processes have leased: what no call holds goes back."""

import asyncio

import pytest

from samovar.domains.billing.errors import CreditSpent
from samovar.domains.billing.model.wallets import BudgetPeriod
from samovar.domains.billing.service import BudgetChange, BudgetOrder, WalletChange
from samovar.domains.billing.service.money.payers import WalletRef
from tests.domains.billing.conftest import ADMIN, CREDIT, Open, Till, cost, gone
from tests.support.clock import ManualClock


async def asked(till: Till, wallet: WalletRef) -> None:
    """Until the process has heard the database's answer."""
    filling = till.money._purses[wallet.id]._filling
    if filling is not None:
        async with asyncio.timeout(5):
            await asyncio.wait([filling])


async def leased(till: Till, wallet: WalletRef) -> int:
    return (await till.wallets.get(ADMIN, wallet.id)).leased_nano_usd // CREDIT


async def bounded(till: Till, wallet: WalletRef, credits: int) -> str:
    """The id of a new hard budget."""
    order = BudgetOrder(wallet_id=wallet.id, period=BudgetPeriod.TOTAL, nano_usd=credits * CREDIT)
    return (await till.budgets.create(ADMIN, order)).budget.id


async def test_what_no_call_holds_goes_back_at_once(either_till: Till) -> None:
    till = either_till
    wallet = await till.wallet(100)
    budget = await bounded(till, wallet, 90)
    held = await till.money.hold("call_1", wallet, 4 * CREDIT, principal_id="key_1")
    await gone(held.sent())
    assert await leased(till, wallet) > 5
    await till.budgets.change(ADMIN, budget, BudgetChange(nano_usd=5 * CREDIT))
    await asked(till, wallet)
    assert await leased(till, wallet) == 5
    with pytest.raises(CreditSpent):
        await till.money.hold("call_2", wallet, 2 * CREDIT, principal_id="key_1")
    await till.call("call_3", wallet, hold=CREDIT, nano_usd=CREDIT)
    await gone(held.settle(cost(4 * CREDIT)))
    with pytest.raises(CreditSpent):
        await till.money.hold("call_4", wallet, 1, principal_id="key_1")
    assert await till.balance(wallet) == 95 * CREDIT
    assert await till.books.check(ADMIN) == []


async def test_what_calls_under_way_do_not_use_goes_back_when_they_end(till: Till) -> None:
    wallet = await till.wallet(100)
    held = await till.money.hold("call_1", wallet, 8 * CREDIT, principal_id="key_1")
    await gone(held.sent())
    await bounded(till, wallet, 3)
    await asked(till, wallet)
    assert await leased(till, wallet) == 8
    await gone(held.settle(cost(CREDIT)))
    await till.money.tidy()
    await asked(till, wallet)
    left = await till.wallets.get(ADMIN, wallet.id)
    assert (left.leased_nano_usd, left.balance_nano_usd) == (2 * CREDIT, 99 * CREDIT)
    assert await till.books.check(ADMIN) == []


async def test_a_process_that_was_not_told_finds_it_itself_and_only_the_excess_goes_back(
    open_till: Open, clock: ManualClock
) -> None:
    here, there = await open_till(), await open_till()
    wallet = await here.wallet(1000)
    for till, name in ((here, "here"), (there, "there")):
        await till.call(f"call_{name}", wallet, hold=CREDIT, nano_usd=CREDIT)
        await till.money.flush()
    before = await leased(here, wallet)
    clock.advance(1)
    await bounded(here, wallet, before // 2)
    await asked(here, wallet)
    # Their buses are not one: what is told here is not heard there, and found out within ten seconds.
    await there.money._hear_of_changes()
    await asked(there, wallet)
    assert await leased(here, wallet) == before // 2 - 2
    assert await here.books.check(ADMIN) == []


async def test_a_wallet_that_is_to_be_prepaid_again_gives_no_more_than_it_has(till: Till) -> None:
    wallet = await till.wallet(3, unlimited=True)
    await till.call("call_1", wallet, hold=CREDIT, nano_usd=CREDIT)
    await till.money.flush()
    assert await leased(till, wallet) > 2
    await till.wallets.change(ADMIN, wallet.id, WalletChange(unlimited=False))
    await asked(till, wallet)
    assert await leased(till, wallet) == 2
    with pytest.raises(CreditSpent):
        await till.call("call_2", wallet, hold=3 * CREDIT, nano_usd=CREDIT)


async def test_of_many_calls_after_the_lowering_none_is_above_the_new_bound(open_till: Open) -> None:
    till = await open_till(lease_nano_usd=100 * CREDIT)
    wallet = await till.wallet(1000)
    budget = await bounded(till, wallet, 900)
    await asyncio.gather(*(till.call(f"call_{n}", wallet, hold=3 * CREDIT, nano_usd=2 * CREDIT) for n in range(40)))
    await till.budgets.change(ADMIN, budget, BudgetChange(nano_usd=100 * CREDIT))
    await asked(till, wallet)
    late = (till.call(f"late_{n}", wallet, hold=3 * CREDIT, nano_usd=2 * CREDIT) for n in range(99))
    results = await asyncio.gather(*late, return_exceptions=True)
    assert sum(isinstance(result, CreditSpent) for result in results) == 99 - results.count(None) > 0
    assert await till.balance(wallet) >= 900 * CREDIT
    assert await till.books.check(ADMIN) == []
