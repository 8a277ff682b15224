"""PostgreSQL gone in the middle of the calls, a clock that jumps, a disk that is not there."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import text

from samovar.adapters.memory import MemoryBus
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemIds
from samovar.domains.billing.model.ledger import LeaseState
from samovar.domains.billing.model.wallets import day_of
from samovar.domains.billing.service import MoneySettings
from samovar.domains.billing.service.money.mover import Adopter
from samovar.domains.identity import store
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Team
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database
from tests.domains.billing.conftest import ADMIN, CREDIT, Open, Till, cost, gone, till_on
from tests.support.clock import ManualClock
from tests.support.sockets import Relay


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0.02)


async def test_calls_go_on_while_postgresql_is_away_and_nothing_of_them_is_lost(
    postgres_database: PostgresDatabase, postgres_url: str, clock: ManualClock, ids: SystemIds, spool: Path
) -> None:
    async with postgres_database.transaction() as tx:
        await store.add_team(tx, Team(id=DEFAULT_TEAM_ID, name="Default", created_at=clock.now()))
    place = urlsplit(postgres_url)
    relay = Relay(place.hostname or "", place.port or 5432)
    await relay.start()
    far = PostgresDatabase(postgres_url.replace(f":{place.port}/", f":{relay.port}/"))
    settings = MoneySettings(spool=spool, lease_nano_usd=20 * CREDIT, wait_s=2.0)
    try:
        async with till_on(far, clock, ids, MemoryBus(), settings) as till:
            wallet = await till.wallet(1000)
            await till.call("call_0", wallet, hold=CREDIT, nano_usd=CREDIT)
            await relay.cut()
            # From what is leased.
            for n in range(1, 6):
                await till.call(f"call_{n}", wallet, hold=CREDIT, nano_usd=CREDIT)
            with pytest.raises(Unavailable):
                await till.money.hold("call_big", wallet, 500 * CREDIT, principal_id="key_1")
            await relay.start()
            await till.call("call_6", wallet, hold=100 * CREDIT, nano_usd=CREDIT)
            await till.money.flush()
            assert await till.balance(wallet) == 993 * CREDIT
            await till.money.tidy()
            assert await till.books.check(ADMIN) == []
    finally:
        await far.close()
        await relay.cut()


async def test_a_lease_whose_grant_was_never_heard_of_goes_back(till: Till, installed: Database) -> None:
    wallet = await till.wallet(100)
    await till.call("call_1", wallet, hold=CREDIT, nano_usd=CREDIT)
    await till.money.flush()
    known = (await till.wallets.get(ADMIN, wallet.id)).leased_nano_usd
    async with installed.transaction() as tx:
        # As if the connection had broken between the commit and the word of it.
        await tx.execute(
            text(
                "INSERT INTO leases (id, team_id, wallet_id, spender_id, day, amount_nano_usd, spent_nano_usd, state, taken_at)"
                " SELECT 'lse_unheard', team_id, wallet_id, spender_id, day, 500, 0, 'open', taken_at FROM leases"
            )
        )
        await tx.execute(text("UPDATE wallets SET leased_nano_usd = leased_nano_usd + 500"))
    till.money._on_unavailable(Unavailable("the connection broke"))
    await till.money.tidy()
    assert (await till.wallets.get(ADMIN, wallet.id)).leased_nano_usd == known
    assert await till.books.check(ADMIN) == []


async def test_a_lease_that_comes_while_unheard_ones_are_looked_for_stays(
    sqlite_template: Path, tmp_path: Path, clock: ManualClock, ids: SystemIds, spool: Path
) -> None:
    shutil.copyfile(sqlite_template, tmp_path / "samovar.db")
    database = SqliteDatabase(tmp_path / "samovar.db", pool_size=1, max_overflow=0)
    async with database.transaction() as tx:
        await store.add_team(tx, Team(id=DEFAULT_TEAM_ID, name="Default", created_at=clock.now()))
    async with till_on(database, clock, ids, MemoryBus(), MoneySettings(spool=spool)) as till:
        wallet, other = await till.wallet(100), await till.wallet(10)
        await till.call("call_1", wallet, hold=CREDIT, nano_usd=CREDIT)
        await till.money.flush()
        till.money._on_unavailable(Unavailable("the connection broke"))
        # There is one reader, and it is taken: the search begins, and waits.
        async with database.reading():
            looking = asyncio.create_task(till.money.tidy())
            await asyncio.sleep(0)
            hold = await till.money.hold("call_2", other, CREDIT, principal_id="key_1")
        await looking
        assert (await till.wallets.get(ADMIN, other.id)).leased_nano_usd >= CREDIT
        await gone(hold.sent())
        await gone(hold.settle(cost(CREDIT)))
        await till.money.flush()
        assert await till.books.check(ADMIN) == []
    await database.close()


async def test_a_clock_that_jumps_back_and_forth_moves_no_charge_out_of_its_budgets(
    till: Till, clock: ManualClock
) -> None:
    wallet = await till.wallet(100)
    hold = await till.money.hold("call_0", wallet, CREDIT, principal_id="key_1")
    await gone(hold.sent())
    for n, jump_s in enumerate((90_000, -200_000, 40 * 86_400, -86_400)):
        clock.advance(jump_s)
        await till.call(f"call_{n + 1}", wallet, hold=CREDIT, nano_usd=CREDIT)
    await gone(hold.settle(cost(CREDIT)))
    assert await till.balance(wallet) == 95 * CREDIT
    await till.money.tidy()
    assert await till.books.check(ADMIN) == []


@pytest.mark.parametrize("jump_s", [86_400, -86_400])
async def test_a_lease_of_another_day_is_not_used_after_the_clock_jumped(
    till: Till, clock: ManualClock, jump_s: int
) -> None:
    # Its monotonic seconds jump with it, and are never below zero.
    clock.advance(2 * 86_400)
    wallet = await till.wallet(100)
    await till.call("call_1", wallet, hold=CREDIT, nano_usd=CREDIT)
    await till.money.flush()
    clock.advance(jump_s)
    await till.money.tidy()
    hold = await till.money.hold("call_2", wallet, CREDIT, principal_id="key_1")
    page, _ = await till.books.page(ADMIN, wallet_id=wallet.id, states=[LeaseState.OPEN], limit=10, cursor=None)
    assert [held.lease.day for held in page] == [day_of(clock.now())]
    await gone(hold.release())


async def test_a_folder_that_cannot_be_written_is_named(open_till: Open, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    till = await open_till(spool=blocked / "spool")
    wallet = await till.wallet(1)
    with pytest.raises(Unavailable, match="SAMOVAR_SPOOL=database"):
        await till.call("call_1", wallet, hold=1, nano_usd=1)


async def test_a_charge_that_is_refused_is_set_aside_alone(till: Till, installed: Database, spool: Path) -> None:
    wallet = await till.wallet(100)
    async with installed.transaction() as tx:
        # No call can make such a charge today; the rule must hold for the one that we did not think of.
        await tx.execute(text("CREATE UNIQUE INDEX planted ON ledger (principal_id, amount_nano_usd)"))
    try:
        for n, nano_usd in enumerate((1, 2, 2, 3)):
            hold = await till.money.hold(f"call_{n}", wallet, CREDIT, principal_id="key_1")
            await gone(hold.sent())
            await gone(hold.settle(cost(nano_usd)))
        await till.money.flush()
        assert await till.balance(wallet) == 100 * CREDIT - 6
        assert await till.books.check(ADMIN) == []
        (kept,) = (spool / "refused.jsonl").read_text().splitlines()
        assert msgspec.json.decode(kept)["call_id"] == "call_2"
    finally:
        async with installed.transaction() as tx:
            await tx.execute(text("DROP INDEX planted"))


async def test_what_lies_beside_the_spools_is_left_alone(till: Till, installed: Database, spool: Path) -> None:
    wallet = await till.wallet(1)
    await till.call("call_1", wallet, hold=1, nano_usd=1)
    (spool / "lost+found").mkdir()
    adopter = Adopter(
        database=installed, root=spool, clock=ManualClock(), ids=SystemIds(clock=ManualClock()), tally=till.money.tally
    )
    assert await adopter.adopt() == 0
    assert (spool / "lost+found").is_dir()
