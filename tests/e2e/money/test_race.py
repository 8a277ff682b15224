"""Three processes on PostgreSQL and Redis, and more calls at once than their common wallet affords."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import Samovar
from tests.e2e.money.conftest import Witness, end, started
from tests.e2e.money.paying import Customer, cost_of, customer, price, told_cost, until
from tests.support.callers import Heard
from tests.support.own_redis import OwnRedis

COST = 1_000_000
MODEL = "openai/gpt-race"


@pytest.fixture
async def three(
    witness: Witness, own_postgres: str, own_redis: OwnRedis, tmp_path: Path
) -> AsyncIterator[list[Samovar]]:
    """Three hosts of one installation."""
    common = {
        **witness.vendors(),
        "SAMOVAR_DATABASE_URL": own_postgres,
        "SAMOVAR_REDIS_URL": own_redis.url,
        "SAMOVAR_MASTER_KEY": "00" * 32,
        # Small leases: many meet at the database.
        "SAMOVAR_LEASE_CREDITS": "1",
    }
    async with AsyncExitStack() as stack:

        async def host(name: str) -> Samovar:
            running = await started(tmp_path / name, common)
            stack.push_async_callback(asyncio.to_thread, end, running)
            return running

        # The first makes the tables.
        yield [await host("a"), *await asyncio.gather(host("b"), host("c"))]


async def raced(shops: list[Samovar], payer: Customer, calls: int, *, text: str, most: int) -> list[Heard]:
    """So many calls at once, spread over the processes; every third is a stream."""
    at = [payer.at(shop) for shop in shops]
    return await asyncio.gather(
        *(
            at[number % len(at)].ask("chat", text, model=MODEL, stream=number % 3 == 0, most=most)
            for number in range(calls)
        )
    )


async def balanced(payer: Customer, heard: list[Heard], *, credits: int) -> int:
    """That wallet, ledger and what callers were told agree; how many calls were paid for."""
    assert Counter(one.status for one in heard).keys() <= {200, 402}, Counter(one.status for one in heard)
    paid = {one.headers["x-samovar-call-id"]: told_cost(one) for one in heard if one.status == 200}

    async def all_moved() -> bool:
        return (await payer.wallet()).held == 0

    assert await until(all_moved), await payer.wallet()
    figures = await payer.wallet()
    charges = await payer.charges()
    assert {call: cost_of(row) for call, row in charges.items()} == paid
    assert figures.spent == sum(paid.values())
    assert figures.balance == credits - figures.spent >= 0
    assert await payer.check() == []
    return len(paid)


async def test_calls_that_race_for_a_wallet_get_all_it_affords_and_nothing_more(three: list[Samovar]) -> None:
    # A price for a request: what is held is what it costs.
    price(three[0], MODEL, request="0.001", input="0", output="0")
    payer = customer(three[0], credits="9")
    heard = await raced(three, payer, 300, text="race", most=5)
    assert await balanced(payer, heard, credits=90 * COST) == 90


async def test_calls_that_hold_far_more_than_they_cost_share_the_wallet_to_its_end(three: list[Samovar]) -> None:
    # They may say a hundred tokens, and say one.
    price(three[0], MODEL, input="0", output="100", request="0.0009")
    payer = customer(three[0], credits="10")
    heard = await raced(three, payer, 300, text="one", most=100)
    paid = await balanced(payer, heard, credits=100 * COST)
    # A call is held at eleven times its cost, and may be refused when less than that is left in a process. What processes
    # have left comes together again, but on a busy machine not before the calls that wait for it have lost their patience.
    assert 100 - 3 * 11 <= paid <= 100


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_thousand_calls_race_for_a_wallet_that_affords_three_hundred(three: list[Samovar]) -> None:
    price(three[0], MODEL, request="0.001", input="0", output="0")
    payer = customer(three[0], credits="30")
    heard = await raced(three, payer, 1_000, text="race", most=5)
    assert await balanced(payer, heard, credits=300 * COST) == 300


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_thousand_calls_that_hold_far_more_than_they_cost_share_a_wallet_to_its_end(
    three: list[Samovar],
) -> None:
    price(three[0], MODEL, input="0", output="100", request="0.0009")
    payer = customer(three[0], credits="30")
    heard = await raced(three, payer, 1_000, text="one", most=100)
    assert 289 <= await balanced(payer, heard, credits=300 * COST) <= 300
