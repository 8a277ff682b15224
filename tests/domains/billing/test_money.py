"""A call's money from its hold to the ledger, on both engines, with a spool and without."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec import structs
from sqlalchemy import text

from samovar.domains.billing.errors import CreditSpent, SpoolFull, TooManyWaiting, WalletGone
from samovar.domains.billing.model import price
from samovar.domains.billing.model.ledger import TransferKind
from samovar.domains.billing.model.prices import MOST_NANO_USD_A_CALL
from samovar.domains.billing.model.wallets import BudgetMode, BudgetPeriod, OwnerKind, PurseState
from samovar.domains.billing.service import BudgetOrder, WalletOrder
from samovar.domains.billing.service.money.payers import WalletRef
from samovar.domains.billing.service.money.purse import MAX_WAITING
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from samovar.ports.llm import Usage
from tests.domains.billing.conftest import ADMIN, CREDIT, Open, Till, cost, gone
from tests.support.clock import ManualClock

AT = datetime(2026, 11, 1, tzinfo=UTC)


async def charges(till: Till, wallet: WalletRef) -> dict[str, tuple[int, str | None]]:
    """Call id to its amount and mark."""
    found = await till.wallets.transfers(ADMIN, wallet.id, limit=100, before=None)
    return {one.id: (one.amount_nano_usd, one.mark) for one in found if one.kind is TransferKind.CHARGE}


async def test_a_call_is_charged_at_its_cost_and_the_rest_of_its_hold_stays(either_till: Till) -> None:
    till = either_till
    wallet = await till.wallet(100)
    await till.call("call_1", wallet, hold=5 * CREDIT, nano_usd=123)
    await till.call("call_2", wallet, hold=5 * CREDIT, nano_usd=0)
    assert await till.balance(wallet) == 100 * CREDIT - 123
    assert await charges(till, wallet) == {"call_1": (123, None), "call_2": (0, None)}
    assert await till.books.check(ADMIN) == []


async def test_a_call_that_nobody_worked_on_costs_nothing(either_till: Till) -> None:
    till = either_till
    wallet = await till.wallet(100)
    unsent = await till.money.hold("call_1", wallet, CREDIT, principal_id="key_1")
    await gone(unsent.release())
    sent = await till.money.hold("call_2", wallet, CREDIT, principal_id="key_1")
    await gone(sent.sent())
    await gone(sent.release())
    await gone(sent.settle(cost(CREDIT)))
    assert await charges(till, wallet) == {}
    assert await till.balance(wallet) == 100 * CREDIT


async def test_an_unknown_cost_is_charged_at_the_hold_and_a_higher_one_in_full(either_till: Till) -> None:
    till = either_till
    wallet = await till.wallet(100)
    await till.call("call_1", wallet, hold=CREDIT, nano_usd=None)
    await till.call("call_2", wallet, hold=CREDIT, nano_usd=3 * CREDIT)
    assert await charges(till, wallet) == {"call_1": (CREDIT, "unpriced"), "call_2": (3 * CREDIT, "over_hold")}
    assert await till.balance(wallet) == 96 * CREDIT
    assert (till.money.tally.unpriced, till.money.tally.over_hold_nano_usd) == (1, 2 * CREDIT)
    assert await till.books.check(ADMIN) == []


async def test_a_call_that_costs_more_than_its_whole_lease_leaves_the_books_right(
    either_till: Till, clock: ManualClock
) -> None:
    till = either_till
    wallet = await till.wallet(1000)
    await till.budgets.create(ADMIN, BudgetOrder(wallet_id=wallet.id, period=BudgetPeriod.DAY, nano_usd=900 * CREDIT))
    await till.call("call_1", wallet, hold=CREDIT, nano_usd=50 * CREDIT)
    await till.money.flush()
    for number in range(2, 5):
        await till.call(f"call_{number}", wallet, hold=CREDIT, nano_usd=CREDIT)
        await till.money.flush()
        assert await till.books.check(ADMIN) == []
    for _ in range(2):
        await till.money.tidy()
        clock.advance(61)
    await till.money.tidy()
    left = await till.wallets.get(ADMIN, wallet.id)
    assert (left.balance_nano_usd, left.leased_nano_usd) == (947 * CREDIT, 0)
    assert await till.books.check(ADMIN) == []


async def test_a_small_budget_degrades_no_call_long_before_it_is_spent(till: Till) -> None:
    wallet = await till.wallet(1000)
    order = BudgetOrder(
        wallet_id=wallet.id, period=BudgetPeriod.DAY, nano_usd=14 * CREDIT, mode=BudgetMode.DEGRADE, warn_percent=80
    )
    await till.budgets.create(ADMIN, order)
    states = []
    for number in range(16):
        hold = await till.money.hold(f"call_{number}", wallet, CREDIT, principal_id="key_1")
        states.append(hold.state)
        await gone(hold.sent())
        await gone(hold.settle(cost(CREDIT)))
        await till.money.flush()
    assert states[:8] == [PurseState.OK] * 8
    assert states[-1] is PurseState.DEGRADE


async def test_absurd_costs_are_cut_marked_and_leave_the_ledger_countable(
    either_till: Till, installed: Database
) -> None:
    till = either_till
    wallet = await till.wallet(100, unlimited=True)
    charge = price(Usage(input_tokens=1, output_tokens=1, reported_cost_nano_usd=2**70), None, at=AT)
    hold = await till.money.hold("call_1", wallet, CREDIT, principal_id="key_1")
    await gone(hold.sent())
    await gone(hold.settle(charge))
    assert charge.nano_usd == MOST_NANO_USD_A_CALL
    assert await charges(till, wallet) == {"call_1": (MOST_NANO_USD_A_CALL, "capped")}
    assert till.money.tally.capped == 1
    assert await till.books.check(ADMIN) == []
    async with installed.transaction() as tx:
        statement = "INSERT INTO ledger SELECT '{0}', at, team_id, wallet_id, debit, credit, 4000000000000000000, kind,"
        statement += " principal_id, lease_id, source, estimated, mark, memo FROM ledger WHERE id = 'call_1'"
        for number in range(4):
            await tx.execute(text(statement.format(f"call_of_old_{number}")))
    assert {flaw.what for flaw in await till.books.check(ADMIN)} == {"balance", "spent"}


async def test_a_wallet_gives_its_last_credit_and_not_one_more(either_till: Till) -> None:
    till = either_till
    wallet = await till.wallet(10)
    holds = [await till.money.hold(f"call_{n}", wallet, CREDIT, principal_id="key_1") for n in range(10)]
    with pytest.raises(CreditSpent) as refused:
        await till.money.hold("call_10", wallet, CREDIT, principal_id="key_1")
    assert refused.value.http_status == 402
    assert (refused.value.wallet_id, refused.value.available_nano_usd) == (wallet.id, 0)
    for hold in holds:
        await gone(hold.sent())
        await gone(hold.settle(cost(CREDIT)))
    assert await till.balance(wallet) == 0
    assert await till.books.check(ADMIN) == []


async def test_calls_that_race_for_a_wallet_get_what_it_has(either_till: Till) -> None:
    till = either_till
    wallet = await till.wallet(30)
    results = await asyncio.gather(
        *(till.call(f"call_{n}", wallet, hold=CREDIT, nano_usd=CREDIT) for n in range(100)), return_exceptions=True
    )
    assert results.count(None) == 30
    assert sum(isinstance(result, CreditSpent) for result in results) == 70
    assert await till.balance(wallet) == 0
    assert await till.books.check(ADMIN) == []


async def test_credits_that_were_added_are_there_at_the_next_call(till: Till) -> None:
    wallet = await till.wallet(0)
    with pytest.raises(CreditSpent):
        await till.call("call_1", wallet, hold=CREDIT, nano_usd=CREDIT)
    await till.wallets.add_credits(ADMIN, wallet.id, 2 * CREDIT)
    await till.call("call_2", wallet, hold=CREDIT, nano_usd=CREDIT)
    assert await till.balance(wallet) == CREDIT


async def test_an_unlimited_wallet_goes_below_zero(till: Till) -> None:
    wallet = await till.wallet(0, unlimited=True)
    await till.call("call_1", wallet, hold=500 * CREDIT, nano_usd=400 * CREDIT)
    assert await till.balance(wallet) == -400 * CREDIT
    assert await till.books.check(ADMIN) == []


async def test_a_wallet_that_does_not_exist_pays_for_nothing(till: Till) -> None:
    with pytest.raises(WalletGone) as refused:
        await till.call("call_1", WalletRef("wal_none", ADMIN.team_id, CREDIT), hold=1, nano_usd=1)
    assert refused.value.http_status == 402


async def test_a_hard_budget_stops_and_begins_anew_on_the_next_day(till: Till, clock: ManualClock) -> None:
    wallet = await till.wallet(1000)
    order = BudgetOrder(wallet_id=wallet.id, period=BudgetPeriod.DAY, nano_usd=5 * CREDIT)
    await till.budgets.create(ADMIN, order)
    for n in range(5):
        await till.call(f"call_{n}", wallet, hold=CREDIT, nano_usd=CREDIT)
    with pytest.raises(CreditSpent):
        await till.call("call_5", wallet, hold=CREDIT, nano_usd=CREDIT)
    clock.advance(86_400)
    await till.call("call_6", wallet, hold=CREDIT, nano_usd=CREDIT)
    assert await till.balance(wallet) == 994 * CREDIT
    assert await till.books.check(ADMIN) == []


async def test_a_budget_counts_what_its_period_saw_before_it_was_made(till: Till) -> None:
    wallet = await till.wallet(1000)
    await till.call("call_1", wallet, hold=3 * CREDIT, nano_usd=3 * CREDIT)
    await till.money.flush()
    use = await till.budgets.create(
        ADMIN, BudgetOrder(wallet_id=wallet.id, period=BudgetPeriod.MONTH, nano_usd=4 * CREDIT)
    )
    assert use.spent_nano_usd == 3 * CREDIT
    assert await till.books.check(ADMIN) == []


@pytest.mark.parametrize(
    ("mode", "spent", "state"),
    [
        (BudgetMode.WARN, 50, PurseState.OK),
        (BudgetMode.WARN, 85, PurseState.WARNED),
        (BudgetMode.WARN, 120, PurseState.WARNED),
        (BudgetMode.DEGRADE, 85, PurseState.WARNED),
        (BudgetMode.DEGRADE, 120, PurseState.DEGRADE),
    ],
)
async def test_a_soft_budget_marks_calls(open_till: Open, mode: BudgetMode, spent: int, state: PurseState) -> None:
    till = await open_till(lease_nano_usd=CREDIT // 100)
    wallet = await till.wallet(1000)
    await till.call("call_1", wallet, hold=spent * CREDIT, nano_usd=spent * CREDIT)
    await till.money.flush()
    order = BudgetOrder(wallet_id=wallet.id, period=BudgetPeriod.TOTAL, nano_usd=100 * CREDIT, mode=mode)
    await till.budgets.create(ADMIN, order)
    hold = await till.money.hold("call_2", wallet, CREDIT, principal_id="key_1")
    assert hold.state is state
    await gone(hold.release())


async def test_a_hold_that_is_settled_again_counts_once(till: Till) -> None:
    wallet = await till.wallet(100)
    hold = await till.money.hold("call_1", wallet, CREDIT, principal_id="key_1")
    await gone(hold.sent())
    assert not hold.is_over
    for _ in range(2):
        await gone(hold.settle(cost(3 * CREDIT, computed_nano_usd=CREDIT)))
        assert hold.is_over
    tally = till.money.tally
    assert (tally.over_hold, tally.over_hold_nano_usd, tally.reported) == (1, 2 * CREDIT, 1)
    assert tally.reported_above_computed_nano_usd == 2 * CREDIT
    assert await till.balance(wallet) == 97 * CREDIT


async def test_one_idempotency_key_of_two_admins_stands_for_two_requests(till: Till) -> None:
    other = msgspec.structs.replace(ADMIN, id="key_other")
    first = await till.wallets.create(ADMIN, WalletOrder(name="lab", nano_usd=1), idempotency_key="may")
    second = await till.wallets.create(other, WalletOrder(name="hall", nano_usd=2), idempotency_key="may")
    assert first.id != second.id
    for admin in (ADMIN, other):
        for _ in range(2):
            left = await till.wallets.add_credits(admin, first.id, 5, idempotency_key="may")
    assert left.balance_nano_usd == 11


async def test_more_calls_than_may_wait_for_a_wallet_are_told_what_to_do(till: Till) -> None:
    wallet = await till.wallet(20)
    await till.call("call_0", wallet, hold=1, nano_usd=1)
    calls = (till.money.hold(f"call_{n}", wallet, 15 * CREDIT, principal_id="key_1") for n in range(1, MAX_WAITING + 2))
    *_, last = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(last, TooManyWaiting)
    assert (last.http_status, last.code) == (503, "too_many_waiting")
    assert wallet.id in last.detail


async def test_what_a_process_does_not_use_goes_back(open_till: Open, clock: ManualClock) -> None:
    till, other = await open_till(idle_s=60.0), await open_till()
    wallet = await till.wallet(100)
    await till.call("call_1", wallet, hold=CREDIT, nano_usd=CREDIT)
    assert (await other.wallets.get(ADMIN, wallet.id)).leased_nano_usd > 0
    await till.money.flush()
    clock.advance(30)
    await till.money.tidy()
    clock.advance(61)
    await till.money.tidy()
    left = await other.wallets.get(ADMIN, wallet.id)
    assert (left.leased_nano_usd, left.balance_nano_usd) == (0, 99 * CREDIT)
    assert await till.books.check(ADMIN) == []


async def test_an_idle_lease_keeps_what_its_last_call_cost_until_that_stands_in_the_ledger(
    open_till: Open, clock: ManualClock
) -> None:
    till, other = await open_till(idle_s=60.0), await open_till()
    wallet = await till.wallet(100)
    held = await till.money.hold("call_1", wallet, 2 * CREDIT, principal_id="key_1")
    await gone(held.sent())
    await till.money.tidy()
    clock.advance(61)
    await till.money.tidy()
    await gone(held.settle(cost(CREDIT)))
    for _ in range(2):
        await till.money.tidy()
        assert (await other.wallets.get(ADMIN, wallet.id)).leased_nano_usd == CREDIT
    await till.money.flush()
    await till.money.tidy()
    assert (await other.wallets.get(ADMIN, wallet.id)).leased_nano_usd == 0
    assert await till.books.check(ADMIN) == []


async def test_several_who_tidy_at_once_give_back_once(open_till: Open, clock: ManualClock) -> None:
    till = await open_till(idle_s=60.0)
    wallet = await till.wallet(100)
    long = await till.money.hold("call_1", wallet, 2 * CREDIT, principal_id="key_1")
    await gone(long.sent())
    await till.money.tidy()
    clock.advance(61)
    await asyncio.gather(*[till.money.tidy() for _ in range(5)])
    await till.money.tidy()
    assert (await till.wallets.get(ADMIN, wallet.id)).leased_nano_usd == 2 * CREDIT
    await gone(long.settle(cost(CREDIT)))
    await till.money.flush()
    await asyncio.gather(*[till.money.tidy() for _ in range(5)])
    assert (await till.wallets.get(ADMIN, wallet.id)).leased_nano_usd == 0
    assert await till.books.check(ADMIN) == []


async def test_a_long_call_keeps_only_its_own_hold_when_its_lease_is_idle(open_till: Open, clock: ManualClock) -> None:
    till = await open_till(idle_s=60.0)
    wallet = await till.wallet(100)
    long = await till.money.hold("call_1", wallet, 2 * CREDIT, principal_id="key_1")
    await gone(long.sent())
    await till.money.tidy()
    clock.advance(61)
    await till.money.tidy()
    assert (await till.wallets.get(ADMIN, wallet.id)).leased_nano_usd == 2 * CREDIT
    await gone(long.settle(cost(CREDIT)))
    await till.money.flush()
    await till.money.tidy()
    left = await till.wallets.get(ADMIN, wallet.id)
    assert (left.leased_nano_usd, left.balance_nano_usd) == (0, 99 * CREDIT)
    assert await till.books.check(ADMIN) == []


async def test_the_wallet_that_pays_is_the_keys_own_or_its_owners(till: Till) -> None:
    assert till.money.payer(ADMIN) is None
    team = await till.wallet(1, owner_kind=OwnerKind.TEAM, owner_id=ADMIN.team_id)
    assert till.money.payer(ADMIN) == WalletRef(team.id, ADMIN.team_id, 100 * CREDIT)
    own = await till.wallet(1, owner_kind=OwnerKind.KEY, owner_id=ADMIN.id, call_ceiling_nano_usd=7)
    assert till.money.payer(ADMIN) == WalletRef(own.id, ADMIN.team_id, 7)


async def test_a_keys_wallet_pays_before_its_projects_its_persons_and_its_teams(till: Till) -> None:
    key = structs.replace(ADMIN, id="key_2", project_id="site", user_id="ann")
    bare = structs.replace(key, project_id=None, user_id=None)
    person = structs.replace(bare, id="ann", kind=PrincipalKind.PERSON)
    owners = [
        (OwnerKind.TEAM, ADMIN.team_id),
        (OwnerKind.USER, "ann"),
        (OwnerKind.PROJECT, "site"),
        (OwnerKind.KEY, "key_2"),
    ]
    made = [await till.wallet(1, owner_kind=kind, owner_id=owner_id) for kind, owner_id in owners]
    team, user, project, own = (wallet.id for wallet in made)

    def pays(caller: Principal) -> str:
        payer = till.money.payer(caller)
        assert payer is not None
        return payer.id

    assert pays(key) == own
    assert pays(structs.replace(key, wallet_id="wal_named")) == "wal_named"
    other = structs.replace(key, id="key_3")
    assert pays(other) == project
    assert pays(structs.replace(other, project_id=None)) == user
    assert pays(structs.replace(other, project_id="garden")) == user
    assert pays(structs.replace(other, project_id="garden", user_id="bob")) == team
    assert pays(structs.replace(bare, id="key_4")) == team
    assert pays(person) == user
    # An id is of its kind: a person's wallet does not pay for a key or a project that happens to be called so.
    assert pays(structs.replace(bare, id="ann", project_id="ann")) == team


async def test_a_full_spool_refuses_calls_and_says_so(open_till: Open, spool: Path) -> None:
    till = await open_till(spool_max_bytes=10)
    wallet = await till.wallet(100)
    await till.call("call_1", wallet, hold=CREDIT, nano_usd=1)
    hold = await till.money.hold("call_2", wallet, CREDIT, principal_id="key_1")
    with pytest.raises(SpoolFull) as refused:
        hold.sent()
    await gone(hold.release())
    assert refused.value.http_status == 503
    assert str(spool) in refused.value.detail
    assert set(await charges(till, wallet)) == {"call_1"}


async def test_the_ledger_takes_no_change(till: Till, installed: Database) -> None:
    await till.wallet(1)
    for statement in ("UPDATE ledger SET amount_nano_usd = 0", "DELETE FROM ledger"):
        with pytest.raises(Exception, match="append only"):
            async with installed.transaction() as tx:
                await tx.execute(text(statement))


async def test_the_check_sees_a_figure_that_somebody_changed(till: Till, installed: Database) -> None:
    wallet = await till.wallet(1)
    async with installed.transaction() as tx:
        await tx.execute(text("UPDATE wallets SET balance_nano_usd = balance_nano_usd + 1"))
    (flaw,) = await till.books.check(ADMIN)
    assert (flaw.what, flaw.id, flaw.kept - flaw.found) == ("balance", wallet.id, 1)
