"""Charges from a spool on the disk into the ledger: rows a second, and how long the event loop is busy with it at a time."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import uvloop

from bench.figures import Figure, median
from bench.scenarios.bench import Bench
from samovar.adapters.alembic import migrate
from samovar.adapters.memory import MemoryBus
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock, SystemIds
from samovar.domains.billing.model import Charge
from samovar.domains.billing.service import MoneyService, MoneySettings, WalletOrder, WalletRef, Wallets
from samovar.domains.catalog.model import Rates
from samovar.domains.identity import store
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Team, administrator
from samovar.ports.database import Database
from samovar.ports.llm import Usage

POSTGRES_URL = os.environ.get("SAMOVAR_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432")
TARGETS = {"SQLite": 10_000.0, "PostgreSQL": 5_000.0}
WALLETS = 20
CALLS_A_SECOND_OF_MEASURE = 5_000
_USAGE = Usage(input_tokens=1200, output_tokens=340, cached_input_tokens=1000)
_CHARGE = Charge(nano_usd=1234, source="snapshot", rates=Rates(input=2_500_000_000, output=10_000_000_000))


def ledger(bench: Bench) -> list[Figure]:
    """Each engine where it answers; the median of the repeats."""
    # As a serving process has it (app/background.py): threads beside the loop give way sooner.
    sys.setswitchinterval(0.0005)
    calls = int(CALLS_A_SECOND_OF_MEASURE * bench.measure.seconds)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(bench.measure.repeats):
        folder = bench.stage.fresh_directory()
        found.setdefault("SQLite", []).append(uvloop.run(_on_sqlite(folder, calls)))
        try:
            on_postgres = uvloop.run(_on_postgres(folder, calls))
        except OSError:
            continue
        found.setdefault("PostgreSQL", []).append(on_postgres)
    figures: list[Figure] = []
    for engine, runs in found.items():
        rates, held, holds = ([run[place] for run in runs] for place in range(3))
        figures += [
            Figure(f"ledger, rows into {engine}", median(rates), "rows/s", TARGETS[engine], note=f"{calls:,} charges"),
            Figure(f"ledger, {engine}, longest turn of the loop", median(held) * 1000, "ms"),
            Figure(f"ledger, {engine}, hold to settle", median(holds) * 1e6, "us", note="of our time, a call"),
        ]
    return figures


async def _on_sqlite(folder: Path, calls: int) -> tuple[float, float, float]:
    path = folder / "ledger.db"
    await migrate(f"sqlite:///{path}")
    return await _measured(SqliteDatabase(path), folder / "spool-sqlite", calls)


async def _on_postgres(folder: Path, calls: int) -> tuple[float, float, float]:
    async with postgres() as url:
        await migrate(url)
        return await _measured(PostgresDatabase(url), folder / "spool-postgres", calls)


@asynccontextmanager
async def postgres() -> AsyncIterator[str]:
    """A database of the bench's own, dropped behind it. Raises ``OSError`` where no server answers."""
    name = f"samovar_bench_{os.getpid()}"
    server = await asyncpg.connect(f"{POSTGRES_URL}/postgres", timeout=5)
    try:
        await server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{POSTGRES_URL}/{name}"
        finally:
            await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


async def _measured(database: Database, spool: Path, calls: int) -> tuple[float, float, float]:
    """Rows a second, the longest turn of the loop, and the seconds of a hold and its settlement."""
    clock = SystemClock()
    ids = SystemIds(clock=clock)
    settings = MoneySettings(spool=spool, lease_nano_usd=10**9)
    money = MoneyService(database=database, clock=clock, ids=ids, bus=MemoryBus(), settings=settings, prices="bench")
    try:
        wallets = await _wallets(database, money, clock, ids)
        holds_s = await _noted(money, wallets, calls)
        ticking = asyncio.create_task(_longest_turn())
        await asyncio.sleep(0)
        started = time.perf_counter()
        await money.flush()
        took_s = time.perf_counter() - started
        ticking.cancel()
        return calls / took_s, await ticking, holds_s / calls
    finally:
        await money.close()
        await database.close()


async def _wallets(database: Database, money: MoneyService, clock: SystemClock, ids: SystemIds) -> list[WalletRef]:
    async with database.transaction() as tx:
        await store.add_team(tx, Team(id=DEFAULT_TEAM_ID, name="Default", created_at=clock.now()))
    desk = Wallets(database=database, clock=clock, ids=ids, changed=money.changed, flush=money.flush)
    made = [
        await desk.create(administrator(), WalletOrder(name=f"bench {number}", nano_usd=10**15))
        for number in range(WALLETS)
    ]
    return [WalletRef(wallet.id, wallet.team_id, 0) for wallet in made]


async def _noted(money: MoneyService, wallets: list[WalletRef], calls: int) -> float:
    for number, wallet in enumerate(wallets):
        (await money.hold(f"warm_{number}", wallet, 10_000, principal_id="key_bench")).release()
    started = time.thread_time()
    for number in range(calls):
        hold = await money.hold(f"call_{number}", wallets[number % WALLETS], 10_000, principal_id="key_bench")
        hold.sent()
        hold.settle(_CHARGE, money.memo(_CHARGE, _USAGE, model="openai/gpt-5", provider="openai"))
    return time.thread_time() - started


async def _longest_turn() -> float:
    """Of the loop, in processor time of its thread: on a busy machine the clock would measure the others."""
    longest, last = 0.0, time.thread_time()
    try:
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return longest
