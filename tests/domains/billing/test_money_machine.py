"""Random lives of two processes on one wallet, with crashes at any point, against a model of a few lines."""

import asyncio
import os
import shutil
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from samovar.adapters.memory import MemoryBus
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemIds
from samovar.domains.billing.errors import CreditSpent
from samovar.domains.billing.model.wallets import BudgetPeriod
from samovar.domains.billing.service import BudgetChange, BudgetOrder, Hold, MoneyService, MoneySettings
from samovar.domains.billing.service.money.payers import WalletRef
from samovar.domains.billing.service.money.spool import Spool, segment_path
from samovar.domains.identity import store
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Team
from samovar.ports.database import Database
from tests.domains.billing.conftest import ADMIN, Till, cost, gone, till_of
from tests.support.clock import ManualClock

FUNDS = 1_000
PROCESS = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), PROCESS, st.integers(0, 150)),
        st.tuples(st.just("send"), PROCESS, st.integers(0, 9)),
        st.tuples(st.just("settle"), PROCESS, st.integers(0, 150)),
        st.tuples(st.just("overrun"), PROCESS, st.integers(1, 500)),
        st.tuples(st.just("unpriced"), PROCESS, st.integers(0, 9)),
        st.tuples(st.just("release"), PROCESS, st.integers(0, 9)),
        st.tuples(st.just("move"), PROCESS, st.just(0)),
        st.tuples(st.just("meanwhile"), PROCESS, st.integers(0, 150)),
        st.tuples(st.just("break off"), PROCESS, st.integers(0, 40)),
        st.tuples(st.just("tidy"), PROCESS, st.just(0)),
        st.tuples(st.just("wait"), PROCESS, st.sampled_from([1, 61, 86_400])),
        st.tuples(st.just("crash"), PROCESS, st.integers(0, 40)),
        st.tuples(st.just("adopt"), PROCESS, st.just(0)),
        st.tuples(st.just("bound"), PROCESS, st.integers(0, FUNDS)),
    ),
    max_size=40,
)


@dataclass
class Process:
    """A live one and the calls under way in it, each with whether it was sent."""

    till: Till
    calls: list[tuple[Hold, str, bool]] = field(default_factory=list)


class World:
    """The processes, and what the ledger must come to."""

    def __init__(self, database: Database, folder: Path, *, segment_bytes: int, remembered: int) -> None:
        self.database = database
        self.clock = ManualClock()
        self.ids = SystemIds(clock=self.clock)
        self.settings = MoneySettings(
            spool=folder / "spool",
            lease_nano_usd=100,
            idle_s=60.0,
            segment_bytes=segment_bytes,
            remembered_calls=remembered,
            wait_s=5.0,
            # The clock stands still, so nobody would ever have waited long enough.
            patience_s=0.0,
        )
        self.processes: list[Process] = []
        self.wallet = WalletRef("", DEFAULT_TEAM_ID, 0)
        self.expected: dict[str, int] = {}
        self.overrun = 0
        self.names = 0
        self.budget = ""

    async def start(self, *, with_budget: bool) -> None:
        """Two processes, a wallet, and perhaps a budget that is tighter."""
        async with self.database.transaction() as tx:
            await store.add_team(tx, Team(id=DEFAULT_TEAM_ID, name="Default", created_at=self.clock.now()))
        self.processes = [self.fresh(), self.fresh()]
        till = self.processes[0].till
        made = await till.wallets.create(ADMIN, till.order(FUNDS))
        self.wallet = WalletRef(made.id, made.team_id, 100)
        if with_budget:
            order = BudgetOrder(wallet_id=made.id, period=BudgetPeriod.TOTAL, nano_usd=FUNDS // 2)
            self.budget = (await till.budgets.create(ADMIN, order)).budget.id
        self.limit = FUNDS // 2 if with_budget else FUNDS

    def fresh(self) -> Process:
        """A process that begins."""
        money = MoneyService(
            database=self.database, clock=self.clock, ids=self.ids, bus=MemoryBus(), settings=self.settings
        )
        return Process(till_of(money, self.database, self.clock, self.ids))

    def promised(self) -> int:
        """What is charged or may still be."""
        held = sum(hold.amount_nano_usd for process in self.processes for hold, _, _ in process.calls)
        return sum(self.expected.values()) + held

    async def step(self, kind: str, number: int, figure: int) -> None:
        """One event."""
        process = self.processes[number]
        match kind:
            case "hold":
                await self.hold(process, figure)
            case "send" | "settle" | "overrun" | "unpriced" | "release" if process.calls:
                await self.go_on(process, kind, figure)
            case "move" | "meanwhile":
                await self.move(process, figure if kind == "meanwhile" else None)
            case "break off":
                await broken_off(process, figure)
            case "tidy" if process.till.money._journal is not None:
                await process.till.money.tidy()
            case "wait":
                self.clock.advance(figure)
            case "crash":
                await self.crash(number, figure)
            case "adopt":
                await process.till.money.adopt()
            case "bound" if self.budget:
                await self.bound(process, figure)

    async def move(self, process: Process, ending: int | None) -> None:
        """What is noted goes into the ledger, and perhaps a call ends meanwhile."""
        moving = asyncio.create_task(process.till.money.flush())
        if ending is not None and process.calls:
            for _ in range(ending % 10):
                await asyncio.sleep(0)
            await self.go_on(process, "settle", ending)
        await moving
        await synced(process)

    async def bound(self, process: Process, amount: int) -> None:
        """The budget is lowered or raised, and both processes hear of it. What is promised by then may be spent; beyond
        that, no more than the new bound."""
        await process.till.budgets.change(ADMIN, self.budget, BudgetChange(nano_usd=amount))
        for one in self.processes:
            await one.till.money._on_changed(self.wallet.id.encode())
            filling = [purse._filling for purse in one.till.money._purses.values() if purse._filling is not None]
            if filling:
                await asyncio.wait(filling)
        self.limit = max(min(FUNDS, amount), self.promised())

    async def hold(self, process: Process, amount: int) -> None:
        """A call comes. Whatever the processes did before: never more is promised than there is, but for what
        calls cost beyond their holds."""
        self.names += 1
        name = f"call_{self.names}"
        try:
            hold = await process.till.money.hold(name, self.wallet, amount, principal_id="key_1")
        except CreditSpent:
            return
        process.calls.append((hold, name, False))
        assert self.promised() <= self.limit + self.overrun

    async def go_on(self, process: Process, kind: str, figure: int) -> None:
        """A call goes out or ends."""
        hold, name, sent = process.calls.pop(figure % len(process.calls))
        if kind == "send" or (kind != "release" and not sent):
            await gone(hold.sent())
            process.calls.append((hold, name, True))
        elif kind == "release":
            await gone(hold.release())
        else:
            spent = self.spent(kind, figure, hold.amount_nano_usd)
            await gone(hold.settle(cost(None if kind == "unpriced" else spent)))
            self.expected[name] = spent

    def spent(self, kind: str, figure: int, held: int) -> int:
        """What a call costs; ``overrun``: far more than is held for it, and often more than the whole lease."""
        match kind:
            case "overrun":
                self.overrun += figure
                return held + figure
            case "settle":
                return min(figure, held)
        return held

    async def crash(self, number: int, turns: int) -> None:
        """The process dies while it moves its spool, some turns of the loop later; the disk may end in rubbish."""
        process = self.processes[number]
        await broken_off(process, turns)
        for purse in process.till.money._purses.values():
            await purse.close()
        journal = process.till.money._journal
        if isinstance(journal, Spool):
            newest = journal._segment
            for segment in (newest, *journal._full):
                os.close(segment._handle)
            os.close(journal._lock)
            with segment_path(journal.folder, newest.number).open("r+b") as file:
                file.seek(newest.size)
                file.write(b"\x40\x00\x00\x00rubbish"[:turns])
        self.expected |= {name: hold.amount_nano_usd for hold, name, sent in process.calls if sent}
        self.processes[number] = self.fresh()

    async def finish(self) -> None:
        """All calls end, all processes stop, and what the dead left is settled."""
        for process in self.processes:
            for hold, _, _ in process.calls:
                await gone(hold.release())
            process.calls.clear()
            await process.till.money.adopt()
            await process.till.money.close()
        till = self.processes[0].till
        assert await till.books.check(ADMIN) == []
        found = await till.wallets.transfers(ADMIN, self.wallet.id, limit=100, before=None)
        assert {one.id: one.amount_nano_usd for one in found if one.kind == "charge"} == self.expected
        left = await till.wallets.get(ADMIN, self.wallet.id)
        assert (left.leased_nano_usd, left.balance_nano_usd) == (0, FUNDS - sum(self.expected.values()))
        assert left.balance_nano_usd >= -self.overrun


async def synced(process: Process) -> None:
    """What its spool needs no more is gone from the disk."""
    if isinstance(process.till.money._journal, Spool):
        await process.till.money._journal.sync()


async def broken_off(process: Process, turns: int) -> None:
    """Moving its spool is cancelled after some turns of the loop."""
    moving = asyncio.create_task(process.till.money.flush())
    for _ in range(turns):
        await asyncio.sleep(0)
    moving.cancel()
    await asyncio.gather(moving, return_exceptions=True)


async def live(
    template: Path, steps: list[tuple[str, int, int]], *, segment_bytes: int, remembered: int, with_budget: bool
) -> None:
    """One example."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(template, folder / "samovar.db")
        async with AsyncExitStack() as stack:
            database = SqliteDatabase(folder / "samovar.db", synchronous="NORMAL", pool_size=2)
            stack.push_async_callback(database.close)
            world = World(database, folder, segment_bytes=segment_bytes, remembered=remembered)
            await world.start(with_budget=with_budget)
            for step in steps:
                await world.step(*step)
            await world.finish()


LIVES = given(
    steps=STEPS,
    segment_bytes=st.sampled_from([1, 400, 10**6]),
    # None, few and all of the calls that ended are moved from memory; the others from the disk.
    remembered=st.sampled_from([0, 2, 10**6]),
    with_budget=st.booleans(),
)
# A call ends while others are moved, and its intent lies before what they leave behind.
ENDS_MEANWHILE = [
    ("hold", 0, 10),
    ("send", 0, 0),
    ("hold", 0, 10),
    ("send", 0, 1),
    ("settle", 0, 1),
    ("meanwhile", 0, 3),
    ("crash", 0, 0),
    ("adopt", 1, 0),
]
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@LIVES
@example(steps=ENDS_MEANWHILE, segment_bytes=1, remembered=10**6, with_budget=False)
def test_nothing_is_lost_doubled_or_overspent_whenever_a_process_dies(
    sqlite_template: Path, steps: list[tuple[str, int, int]], segment_bytes: int, remembered: int, with_budget: bool
) -> None:
    world = live(sqlite_template, steps, segment_bytes=segment_bytes, remembered=remembered, with_budget=with_budget)
    asyncio.run(world)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=1000, deadline=None, suppress_health_check=SLOW)
@LIVES
def test_nothing_is_lost_doubled_or_overspent_in_a_thousand_lives(
    sqlite_template: Path, steps: list[tuple[str, int, int]], segment_bytes: int, remembered: int, with_budget: bool
) -> None:
    world = live(sqlite_template, steps, segment_bytes=segment_bytes, remembered=remembered, with_budget=with_budget)
    asyncio.run(world)
