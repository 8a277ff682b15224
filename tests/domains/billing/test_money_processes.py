"""Real processes: racing for one wallet on PostgreSQL, and killed in the middle of their calls."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from samovar.domains.billing.model.ledger import Mark
from samovar.domains.billing.service.money.payers import WalletRef
from samovar.ports.database import Database
from tests.domains.billing.conftest import ADMIN, Open, Till

ROOT = Path(__file__).parents[3]
HOLD = 1_000
COST = 700


def url_of(database: Database, request: pytest.FixtureRequest, folder: Path) -> str:
    if database.engine == "sqlite":
        return f"sqlite:///{folder / 'samovar.db'}"
    return str(request.getfixturevalue("postgres_url"))


@asynccontextmanager
async def spender(
    url: str, spool: Path, wallet: WalletRef, name: str, *, calls: int, cost: int
) -> AsyncIterator[Process]:
    words = (url, str(spool), wallet.id, name, str(calls), str(HOLD), str(cost))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.domains.billing.spending", *words, cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def lines(process: Process, *, until: str | None = None, most: int | None = None) -> list[list[str]]:
    """The words of each line until one that begins so, or until there are ``most``."""
    assert process.stdout is not None
    found: list[list[str]] = []
    async with asyncio.timeout(60):
        while most is None or len(found) < most:
            words = (await process.stdout.readline()).decode().split()
            if not words or words[0] == until:
                break
            found.append(words)
    return found


async def all_charges(till: Till, wallet: WalletRef) -> dict[str, tuple[int, str | None]]:
    found: dict[str, tuple[int, str | None]] = {}
    before = None
    while True:
        page = await till.wallets.transfers(ADMIN, wallet.id, limit=100, before=before)
        for one in page:
            if one.kind == "charge":
                assert found.setdefault(one.id, (one.amount_nano_usd, one.mark)) == (one.amount_nano_usd, one.mark)
        if len(page) <= 100:
            return found
        before = page[99].at, page[99].id


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_three_processes_spend_a_wallet_to_its_end_and_not_beyond(
    open_till: Open, postgres_database: Database, postgres_url: str, spool: Path
) -> None:
    till = await open_till()
    made = await till.wallets.create(ADMIN, till.order(300 * HOLD))
    wallet = WalletRef(made.id, made.team_id, HOLD)

    async def one(name: str) -> list[list[str]]:
        async with spender(postgres_url, spool, wallet, name, calls=334, cost=HOLD) as process:
            said = await lines(process, until="done")
            await process.communicate(b"\n")
            assert process.returncode == 0
            return said

    said = [words for part in await asyncio.gather(one("a"), one("b"), one("c")) for words in part]
    ended = {call for word, call in said if word == "ended"}
    refused = {call for word, call in said if word == "refused"}
    assert len(ended) + len(refused) == 1002
    # Never more than it affords; with leases outstanding a process may be refused a little early, by less than a call each.
    assert 297 <= len(ended) <= 300
    assert await all_charges(till, wallet) == dict.fromkeys(ended, (HOLD, None))
    left = await till.wallets.get(ADMIN, wallet.id)
    assert (left.balance_nano_usd, left.leased_nano_usd) == ((300 - len(ended)) * HOLD, 0)
    assert await till.books.check(ADMIN) == []


async def killed(till: Till, url: str, spool: Path, name: str, *, after_lines: int) -> None:
    """Kill a process in the middle of its calls, and see that the next one of the host settles all it did."""
    made = await till.wallets.create(ADMIN, till.order(10**9))
    wallet = WalletRef(made.id, made.team_id, HOLD)
    async with spender(url, spool, wallet, name, calls=100_000, cost=COST) as process:
        said = await lines(process, most=after_lines)
        process.kill()
        said += await lines(process)
    assert await till.money.adopt() == 1
    sent = {call for word, call in said if word == "sent"}
    ended = {call for word, call in said if word == "ended"}
    found = await all_charges(till, wallet)
    assert {call: found.get(call) for call in ended} == dict.fromkeys(ended, (COST, None))
    assert sent <= set(found)
    # Those whose outcome was not noted are charged at their hold, and say so; of calls at once there are twenty.
    others = [found[call] for call in set(found) - ended]
    assert set(others) <= {(HOLD, Mark.AT_HOLD.value), (COST, None)}
    assert len(others) <= 20
    left = await till.wallets.get(ADMIN, wallet.id)
    assert (left.balance_nano_usd, left.leased_nano_usd) == (10**9 - sum(cost for cost, _ in found.values()), 0)
    assert await till.money.adopt() == 0


async def test_a_process_that_is_killed_loses_no_charge_and_doubles_none(
    open_till: Open, database: Database, request: pytest.FixtureRequest, tmp_path: Path, spool: Path
) -> None:
    till = await open_till()
    url = url_of(database, request, tmp_path)
    for number, after in enumerate((1, 700)):
        await killed(till, url, spool, f"k{number}", after_lines=after)
    assert await till.books.check(ADMIN) == []


@pytest.mark.soak
@pytest.mark.timeout(1200)
async def test_twenty_kills_in_the_middle_of_two_thousand_calls_lose_nothing(
    open_till: Open, database: Database, request: pytest.FixtureRequest, tmp_path: Path, spool: Path
) -> None:
    till = await open_till()
    url = url_of(database, request, tmp_path)
    for number in range(20):
        await killed(till, url, spool, f"s{number}", after_lines=1 + 211 * number)
    assert await till.books.check(ADMIN) == []
