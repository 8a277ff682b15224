"""What is noted reaches the ledger: whoever is cancelled, and whatever the database refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemIds
from samovar.domains.billing.service import MoneyService, MoneySettings
from samovar.ports.database import Database
from tests.domains.billing.conftest import ADMIN, CREDIT, Till, till_of
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


@pytest.fixture
async def still(installed: Database, clock: ManualClock, ids: SystemIds, spool: Path) -> AsyncIterator[Till]:
    """A process whose loops do not run: only what a test calls moves anything."""
    settings = MoneySettings(spool=spool, lease_nano_usd=10 * CREDIT, patience_s=0.0)
    money = MoneyService(database=installed, clock=clock, ids=ids, bus=MemoryBus(), settings=settings)
    await money.load()
    yield till_of(money, installed, clock, ids)
    await money.close()


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


async def test_a_charge_stands_when_moving_it_was_cancelled_in_the_middle_of_the_reading(still: Till) -> None:
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
