"""What is noted reaches the ledger: whoever is cancelled, and whatever the database refuses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemIds
from samovar.domains.billing.errors import ChargesRefused
from samovar.domains.billing.model.ledger import Settled
from samovar.domains.billing.service import MoneyService, MoneySettings
from samovar.domains.billing.service.money.payers import WalletRef
from samovar.domains.billing.service.money.posting import charge_all
from samovar.domains.billing.service.money.replay import Reader
from samovar.domains.billing.service.money.spool import Spool
from samovar.ports.database import Database
from tests.domains.billing.conftest import ADMIN, CREDIT, Open, Till, cost, gone, till_of
from tests.support.clock import ManualClock


class Prompt(ThreadPoolExecutor):
    """Threads that have done their work before the loop hears of it."""

    def __init__(self) -> None:
        super().__init__()
        self.works = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start and end it."""
        made = super().submit(fn, *args, **kwargs)
        wait([made])
        self.works += 1
        return made


Start = Callable[..., Awaitable[Till]]


@pytest.fixture
def start(installed: Database, clock: ManualClock, ids: SystemIds, spool: Path) -> Start:
    """Starts a process whose loops do not run: only what a test calls moves anything."""

    async def started(spool: Path | None = spool, remembered_calls: int = 0) -> Till:
        settings = MoneySettings(
            spool=spool, lease_nano_usd=10 * CREDIT, patience_s=0.0, remembered_calls=remembered_calls
        )
        money = MoneyService(database=installed, clock=clock, ids=ids, bus=MemoryBus(), settings=settings)
        await money.load()
        return till_of(money, installed, clock, ids)

    return started


@pytest.fixture(params=[0, 1, 100])
async def still(start: Start, request: pytest.FixtureRequest) -> AsyncIterator[Till]:
    """One such process, which reads all, some or nothing of its spool back from the disk."""
    made = await start(remembered_calls=request.param)
    yield made
    await made.money.close()


@asynccontextmanager
async def refusing(database: Database, columns: str) -> AsyncIterator[None]:
    """The database takes no second row alike in these columns."""
    async with database.transaction() as tx:
        await tx.execute(text(f"CREATE UNIQUE INDEX planted ON ledger ({columns})"))
    try:
        yield
    finally:
        async with database.transaction() as tx:
            await tx.execute(text("DROP INDEX planted"))


def refused_in(spool: Path) -> list[str]:
    kept = spool / "refused.jsonl"
    return [msgspec.json.decode(line)["call_id"] for line in kept.read_text().splitlines()] if kept.exists() else []


async def test_a_charge_stands_when_moving_it_was_cancelled_in_the_middle_of_the_reading(start: Start) -> None:
    still = await start()
    wallet = await still.wallet(100)
    await still.call("call_1", wallet, hold=CREDIT, nano_usd=CREDIT)
    threads = Prompt()
    asyncio.get_running_loop().set_default_executor(threads)
    moving = asyncio.create_task(still.money.flush())
    async with asyncio.timeout(15):
        while not threads.works:  # noqa: ASYNC110  # the read is done, and the loop has not heard of it
            await asyncio.sleep(0)
    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving
    await still.money.flush()
    assert await still.balance(wallet) == 99 * CREDIT
    assert await still.books.check(ADMIN) == []
    await still.money.close()


async def test_more_calls_than_are_remembered_while_the_database_takes_none_are_charged_once_it_does(
    start: Start, installed: Database
) -> None:
    still = await start(remembered_calls=3)
    wallet = await still.wallet(100)
    open_hold = await still.money.hold("call_open", wallet, CREDIT, principal_id="key_1")
    await gone(open_hold.sent())
    await still.call("call_0", wallet, hold=CREDIT, nano_usd=2)
    await still.money.flush()
    async with refusing(installed, "kind"):
        for number in range(1, 8):
            await still.call(f"call_{number}", wallet, hold=CREDIT, nano_usd=2)
            await still.money.flush()
    # It went out long before those, and ends after them.
    await gone(open_hold.settle(cost(5)))
    await still.money.flush()
    assert await charged(installed) == {"call_open", *(f"call_{number}" for number in range(8))}
    for number in range(8, 10):
        await still.call(f"call_{number}", wallet, hold=CREDIT, nano_usd=2)
    await still.money.flush()
    assert await still.balance(wallet) == 100 * CREDIT - 25
    assert await still.books.check(ADMIN) == []
    await still.money.close()


async def test_what_a_vendor_said_is_moved_as_it_was_noted(start: Start, installed: Database) -> None:
    still = await start(remembered_calls=100)
    wallet = await still.wallet(100)
    for call_id, memo in (("call_1", b'{"model":"a\\u0000b"}'), ("call_2", b'{"model":"%b"}' % (b"x" * 300_000))):
        hold = await still.money.hold(call_id, wallet, CREDIT, principal_id="key_1")
        await gone(hold.sent())
        await gone(hold.settle(cost(2), memo))
    await still.money.flush()
    async with installed.reading() as tx:
        found = await tx.execute(text("SELECT id, memo FROM ledger WHERE kind = 'charge' ORDER BY id"))
        assert [tuple(row) for row in found] == [("call_1", '{"model":"a\\ufffdb"}'), ("call_2", None)]
    await still.money.close()


async def test_what_is_written_a_second_time_counts_once_and_what_is_new_in_it_counts(
    still: Till, installed: Database
) -> None:
    wallet = await still.wallet(100)
    for name in ("call_1", "call_2"):
        await still.call(name, wallet, hold=CREDIT, nano_usd=CREDIT)
    journal = still.money._journal
    assert isinstance(journal, Spool)
    await still.money.flush()
    await still.call("call_3", wallet, hold=CREDIT, nano_usd=CREDIT)
    everything = Reader(journal.folder).read().calls
    refused: list[Settled] = []
    assert [call.call_id for call in everything] == ["call_1", "call_2", "call_3"]
    assert await charge_all(installed, everything, refused.append) == 1
    await still.money.flush()
    assert await still.balance(wallet) == 97 * CREDIT
    assert (await still.books.check(ADMIN), refused) == ([], [])


async def test_a_refused_charge_alone_waits_and_the_next_that_is_taken_tells_whose_fault_it_was(
    still: Till, installed: Database, spool: Path
) -> None:
    wallet = await still.wallet(100)
    await still.call("call_1", wallet, hold=CREDIT, nano_usd=2)
    await still.money.flush()
    async with refusing(installed, "principal_id, amount_nano_usd"):
        await still.call("call_2", wallet, hold=CREDIT, nano_usd=2)
        # Nobody who asks for a wallet is told of it.
        assert await still.balance(wallet) == 100 * CREDIT - 2
        assert refused_in(spool) == []
        await still.call("call_3", wallet, hold=CREDIT, nano_usd=3)
        await still.call("call_4", wallet, hold=CREDIT, nano_usd=4)
        assert await still.balance(wallet) == 100 * CREDIT - 9
        assert refused_in(spool) == ["call_2"]
    assert await still.books.check(ADMIN) == []


async def test_a_dead_process_whose_charge_is_refused_keeps_no_other_from_being_settled(
    start: Start, still: Till, installed: Database, spool: Path
) -> None:
    wallet = await still.wallet(100)
    await still.call("call_0", wallet, hold=CREDIT, nano_usd=2)
    await still.money.flush()
    async with refusing(installed, "principal_id, amount_nano_usd"):
        for call_id, most in (("call_1", 30), ("call_2", 2), ("call_3", 40)):
            process = await start()
            hold = await process.money.hold(call_id, wallet, most, principal_id="key_1")
            await gone(hold.sent())
            if call_id == "call_2":
                await gone(hold.settle(cost(most)))
            # What has not ended, or was refused, stays for the next process of the host.
            await process.money.close()
        with pytest.raises(ChargesRefused):
            await still.money.adopt()
        assert await still.balance(wallet) == 100 * CREDIT - 72
    assert await still.money.adopt() == 1
    assert await still.balance(wallet) == 100 * CREDIT - 74
    assert refused_in(spool) == []
    assert await still.books.check(ADMIN) == []


async def left_by_a_dead_process(start: Start, wallet: WalletRef, call_id: str, nano_usd: int) -> None:
    process = await start()
    hold = await process.money.hold(call_id, wallet, CREDIT, principal_id="key_1")
    await gone(hold.sent())
    await gone(hold.settle(cost(nano_usd)))
    # It finds the database as it is, and leaves what was refused.
    await process.money.close()


async def test_what_a_dead_process_left_and_the_database_refuses_for_minutes_is_set_aside(
    start: Start, still: Till, installed: Database, clock: ManualClock, spool: Path
) -> None:
    wallet = await still.wallet(100)
    await still.call("call_1", wallet, hold=CREDIT, nano_usd=2)
    await still.money.flush()
    async with refusing(installed, "principal_id, amount_nano_usd"):
        await left_by_a_dead_process(start, wallet, "call_2", 2)
        for wait_s in (1, 119):
            with pytest.raises(ChargesRefused):
                await still.money.adopt()
            assert refused_in(spool) == []
            clock.advance(wait_s)
        assert await still.money.adopt() == 1
    assert refused_in(spool) == ["call_2"]
    assert still.money.tally.charges_set_aside == 1
    assert await still.money.adopt() == 0
    assert await still.balance(wallet) == 100 * CREDIT - 2
    assert await still.books.check(ADMIN) == []


async def test_a_database_that_refuses_whatever_it_is_given_has_nothing_set_aside(
    start: Start, still: Till, installed: Database, clock: ManualClock, spool: Path
) -> None:
    wallet = await still.wallet(100)
    await still.call("call_1", wallet, hold=CREDIT, nano_usd=2)
    await still.money.flush()
    async with refusing(installed, "kind"):
        await left_by_a_dead_process(start, wallet, "call_2", 3)
        for _ in range(5):
            with pytest.raises(ChargesRefused):
                await still.money.adopt()
            clock.advance(300)
    assert refused_in(spool) == []
    assert await still.money.adopt() == 1
    assert await still.balance(wallet) == 100 * CREDIT - 5
    assert await still.books.check(ADMIN) == []


async def test_a_disk_that_does_not_give_what_was_noted_stops_no_loop_and_loses_nothing(
    open_till: Open, installed: Database, spool: Path
) -> None:
    till = await open_till(remembered_calls=0)
    wallet = await till.wallet(100)
    with capture_logs() as said:
        hold = await till.money.hold("call_1", wallet, CREDIT, principal_id="key_1")
        (segment,) = spool.glob("proc*/*.records")  # noqa: ASYNC240  # one look
        away = segment.rename(spool / "away")
        await gone(hold.sent())
        await gone(hold.settle(cost(CREDIT)))
        async with asyncio.timeout(10):
            while not any("No such file" in one.get("what", "") for one in said):  # noqa: ASYNC110  # a log calls nobody
                await asyncio.sleep(0.02)
        # Who asks for a wallet is not stopped by it, either.
        assert await till.balance(wallet) == 100 * CREDIT
    away.rename(segment)
    async with asyncio.timeout(10):
        while not await charged(installed):  # noqa: ASYNC110  # the mover's own loop
            await asyncio.sleep(0.02)
    assert await till.balance(wallet) == 99 * CREDIT


async def charged(database: Database) -> set[str]:
    async with database.reading() as tx:
        return {row.id for row in await tx.execute(text("SELECT id FROM ledger WHERE kind = 'charge'"))}


async def test_without_a_disk_a_refused_charge_holds_up_no_other(start: Start, installed: Database) -> None:
    till = await start(spool=None)
    wallet = await till.wallet(100)
    async with refusing(installed, "principal_id, amount_nano_usd"), asyncio.TaskGroup() as answers:
        for call_id, nano_usd in (("call_1", 2), ("call_2", 2), ("call_3", 3)):
            hold = await till.money.hold(call_id, wallet, CREDIT, principal_id="key_1")
            await gone(hold.sent())
            answers.create_task(gone(hold.settle(cost(nano_usd))))
            left = await till.balance(wallet)
        assert left == 100 * CREDIT - 5
    await till.money.close()
    assert await till.books.check(ADMIN) == []
