"""Money on real parts: several processes' services on one database, each with its loops running."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemIds
from samovar.domains.billing.model import Charge
from samovar.domains.billing.service import Books, Budgets, MoneyService, MoneySettings, WalletOrder, Wallets
from samovar.domains.billing.service.money.payers import WalletRef
from samovar.domains.identity import store
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Scope, Team, permissions_of
from samovar.kernel.money import NANO_USD_PER_CREDIT
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from tests.support.clock import ManualClock

CREDIT = NANO_USD_PER_CREDIT
ADMIN = Principal(
    id="key_admin",
    kind=PrincipalKind.KEY,
    team_id=DEFAULT_TEAM_ID,
    name="Anna",
    permissions=permissions_of([Scope.ADMIN]),
)
STRANGER = msgspec.structs.replace(ADMIN, id="key_stranger", team_id="team_other")


def cost(nano_usd: int | None, **fields: object) -> Charge:
    """What a call cost."""
    return msgspec.structs.replace(Charge(nano_usd=nano_usd, source="test"), **fields)


class Till:
    """One process's money, and the admin's side of it."""

    def __init__(self, money: MoneyService, wallets: Wallets, budgets: Budgets, books: Books) -> None:
        self.money = money
        self.wallets = wallets
        self.budgets = budgets
        self.books = books

    @staticmethod
    def order(nano_usd: int) -> WalletOrder:
        """An order for a wallet that holds so much."""
        return WalletOrder(name="test", nano_usd=nano_usd)

    async def wallet(self, credits: int = 100, **fields: object) -> WalletRef:
        """A new wallet."""
        order = WalletOrder(name="test", nano_usd=credits * CREDIT, **fields)  # type: ignore[arg-type]
        made = await self.wallets.create(ADMIN, order)
        return WalletRef(made.id, made.team_id, 10 * CREDIT)

    async def call(self, call_id: str, wallet: WalletRef, *, hold: int, nano_usd: int | None) -> None:
        """A call from its hold to its end."""
        held = await self.money.hold(call_id, wallet, hold, principal_id="key_1")
        await gone(held.sent())
        await gone(held.settle(cost(nano_usd)))

    async def balance(self, wallet: WalletRef) -> int:
        """What the wallet has, in nano-dollars."""
        return (await self.wallets.get(ADMIN, wallet.id)).balance_nano_usd


async def gone(waiting: Awaitable[None] | None) -> None:
    """Wait where there is something to wait for."""
    if waiting is not None:
        await waiting


def till_of(money: MoneyService, database: Database, clock: ManualClock, ids: SystemIds) -> Till:
    """The admin's side beside a process's money."""
    parts = {"database": database, "clock": clock, "ids": ids, "changed": money.changed}
    return Till(money, Wallets(**parts, flush=money.flush), Budgets(**parts), Books(**parts, lost_after_s=300.0))  # type: ignore[arg-type]


Open = Callable[..., Awaitable[Till]]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where the processes of the test's host keep their spools."""
    return tmp_path / "spool"


@pytest.fixture
async def installed(database: Database, clock: ManualClock) -> Database:
    """A database with two teams."""
    async with database.transaction() as tx:
        for team_id in (DEFAULT_TEAM_ID, "team_other"):
            await store.add_team(tx, Team(id=team_id, name=team_id, created_at=clock.now()))
    return database


@asynccontextmanager
async def till_on(
    database: Database, clock: ManualClock, ids: SystemIds, bus: MemoryBus, settings: MoneySettings
) -> AsyncIterator[Till]:
    """A process: its loops run inside the block, and it ends in order after it."""
    money = MoneyService(database=database, clock=clock, ids=ids, bus=bus, settings=settings, prices="2026-11-01")
    till = till_of(money, database, clock, ids)
    await money.load()
    running = asyncio.create_task(money.run())
    try:
        yield till
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await money.close()


@pytest.fixture
async def open_till(installed: Database, clock: ManualClock, ids: SystemIds, spool: Path) -> AsyncIterator[Open]:
    """Starts one more process on the test's database."""
    async with AsyncExitStack() as stack:

        async def opened(**settings: object) -> Till:
            # The clock stands still, so nobody would ever have waited long enough.
            standard = {"spool": spool, "lease_nano_usd": 10 * CREDIT, "patience_s": 0.0}
            made = MoneySettings(**standard | settings)  # type: ignore[arg-type]
            return await stack.enter_async_context(till_on(installed, clock, ids, MemoryBus(), made))

        yield opened


@pytest.fixture
async def till(open_till: Open) -> Till:
    """A process with a spool."""
    return await open_till()


@pytest.fixture(params=["spool", "database"])
async def either_till(request: pytest.FixtureRequest, open_till: Open) -> Till:
    """A process with a spool, and one without a disk."""
    return await (open_till() if request.param == "spool" else open_till(spool=None))
