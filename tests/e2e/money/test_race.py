"""Three processes on PostgreSQL and Redis, and more calls at once than their common wallet affords."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import Samovar, start_samovar
from tests.e2e.money.conftest import Witness, end, new_postgres
from tests.e2e.money.paying import Customer, cost_of, customer, price, told_cost, until
from tests.support.callers import Heard
from tests.support.own_redis import OwnRedis

COST = 1_000_000


@pytest.fixture(scope="module")
def three(witness: Witness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Samovar]]:
    """Three hosts of one installation."""
    folder = tmp_path_factory.mktemp("three")
    with ExitStack() as stack:
        redis = OwnRedis(folder)
        redis.start()
        stack.callback(redis.stop)
        common = {
            **witness.vendors(),
            "SAMOVAR_DATABASE_URL": stack.enter_context(new_postgres()),
            "SAMOVAR_REDIS_URL": redis.url,
            "SAMOVAR_MASTER_KEY": "00" * 32,
            # Small leases: many meet at the database.
            "SAMOVAR_LEASE_CREDITS": "1",
        }

        def host(name: str) -> Samovar:
            (folder / name).mkdir()
            running = start_samovar(folder / name, common)
            stack.callback(end, running)
            return running

        # The first makes the tables.
        first = host("a")
        with ThreadPoolExecutor() as pool:
            yield [first, *pool.map(host, ("b", "c"))]


async def raced(shops: list[Samovar], payer: Customer, calls: int, *, model: str, text: str, most: int) -> list[Heard]:
    """So many calls at once, spread over the processes; every third is a stream."""
    at = [payer.at(shop) for shop in shops]
    return await asyncio.gather(
        *(
            at[number % len(at)].ask("chat", text, model=model, stream=number % 3 == 0, most=most)
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
    model = price(three[0], f"openai/gpt-{uuid.uuid4().hex[:8]}", request="0.001", input="0", output="0")
    payer = customer(three[0], credits="9")
    heard = await raced(three, payer, 300, model=model, text="race", most=5)
    assert await balanced(payer, heard, credits=90 * COST) == 90


async def test_calls_that_hold_far_more_than_they_cost_share_the_wallet_to_its_end(three: list[Samovar]) -> None:
    # They may say a hundred tokens, and say one.
    model = price(three[0], f"openai/gpt-{uuid.uuid4().hex[:8]}", input="0", output="100", request="0.0009")
    payer = customer(three[0], credits="10")
    heard = await raced(three, payer, 300, model=model, text="one", most=100)
    paid = await balanced(payer, heard, credits=100 * COST)
    # A call is held at eleven times its cost, and may be refused when less than that is left in a process. What processes
    # have left comes together again, but on a busy machine not before the calls that wait for it have lost their patience.
    assert 100 - 3 * 11 <= paid <= 100


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_thousand_calls_race_for_a_wallet_that_affords_three_hundred(three: list[Samovar]) -> None:
    model = price(three[0], f"openai/gpt-{uuid.uuid4().hex[:8]}", request="0.001", input="0", output="0")
    payer = customer(three[0], credits="30")
    heard = await raced(three, payer, 1_000, model=model, text="race", most=5)
    assert await balanced(payer, heard, credits=300 * COST) == 300


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_thousand_calls_that_hold_far_more_than_they_cost_share_a_wallet_to_its_end(
    three: list[Samovar],
) -> None:
    model = price(three[0], f"openai/gpt-{uuid.uuid4().hex[:8]}", input="0", output="100", request="0.0009")
    payer = customer(three[0], credits="30")
    heard = await raced(three, payer, 1_000, model=model, text="one", most=100)
    assert 289 <= await balanced(payer, heard, credits=300 * COST) <= 300
