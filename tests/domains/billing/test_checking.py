"""The check of all figures while others write."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from samovar.adapters.system import SystemIds
from samovar.domains.billing.model.wallets import BudgetPeriod
from samovar.domains.billing.service import Books, BudgetOrder
from samovar.ports.database import Database, Tx
from tests.domains.billing.conftest import ADMIN, CREDIT, Till
from tests.support.clock import ManualClock


class Busy:
    """A transaction between whose reads others write."""

    def __init__(self, tx: Tx, write: Callable[[], Awaitable[None]]) -> None:
        self._tx = tx
        self._write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def execute(self, *statement: Any, **named: Any) -> Any:
        found = await self._tx.execute(*statement, **named)
        await self._write()
        return found


class BusyDatabase:
    """``database``, with a write after each read of a transaction that only reads."""

    def __init__(self, database: Database, write: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        async with self._database.reading() as tx:
            yield Busy(tx, self._write)


async def test_charges_between_two_of_its_reads_are_no_differences(
    till: Till, installed: Database, clock: ManualClock, ids: SystemIds
) -> None:
    wallet = await till.wallet()
    for period in BudgetPeriod:
        await till.budgets.create(ADMIN, BudgetOrder(wallet_id=wallet.id, period=period, nano_usd=900 * CREDIT))
    written = 0

    async def write() -> None:
        nonlocal written
        written += 1
        await till.call(f"call_{written}", wallet, hold=CREDIT, nano_usd=CREDIT // 7)
        await till.money.flush()

    await write()
    busy: Any = BusyDatabase(installed, write)
    books = Books(database=busy, clock=clock, ids=ids, changed=till.money.changed, lost_after_s=300.0)
    assert await books.check(ADMIN) == []
    assert written > len(BudgetPeriod) * 2
