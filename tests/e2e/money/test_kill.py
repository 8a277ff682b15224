"""A Samovar that is killed in mid-call: what reached the vendor stands in the ledger, each call once."""

import asyncio
import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Samovar
from tests.e2e.money.conftest import Witness, end, started
from tests.e2e.money.paying import Customer, asked, cost_of, customer, price, told_cost, until
from tests.support.callers import Heard

AT_ONCE = 40
CREDITS = 1_000
MOST = 50
TEXT = "[[first_byte_ms:40]] [[delay_ms:15]] seven words that come one by one"
"""Slow enough that calls are under way whenever the process is killed."""
INPUT, OUTPUT, REQUEST = 1_000, 2_000, 100_000
"""Nano-dollars for a token said, a token heard, and a call."""


@dataclass(frozen=True)
class Round:
    """One life of a process: what callers heard, whole answers among it, and of which model."""

    payer: Customer
    model: str
    heard: list[Heard]


def hold(model: str, *, stream: bool) -> int:
    """What a call is held at: each byte may be a token, and the answer as long as it may be."""
    _, body = asked("chat", TEXT, model=model, stream=stream, most=MOST)
    return len(json.dumps(body)) * INPUT + MOST * OUTPUT + REQUEST


async def killed_life(samovar: Samovar, model: str, *, calls: int, after: int) -> Round:
    """Call and call, and kill the process when so many calls were answered."""
    payer = await asyncio.to_thread(customer, samovar, credits=str(CREDITS))
    heard: list[Heard] = []
    numbers = iter(range(calls))

    async def caller() -> None:
        for number in numbers:
            heard.append(await payer.ask("chat", TEXT, model=model, stream=number % 2 == 0, most=MOST))
            if len(heard) == after:
                samovar.process.kill()
            if samovar.process.poll() is not None:
                return

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    await asyncio.to_thread(samovar.process.wait, 10)
    return Round(payer, model, heard)


async def settled_after(samovar: Samovar, witness: Witness, last: Round) -> int:
    """See that the next process brought everything into the ledger; how many calls had no outcome."""
    payer = last.payer.at(samovar)

    async def adopted() -> bool:
        return (await payer.wallet()).held == 0

    assert await until(adopted), await payer.wallet()
    charges = await payer.charges()
    seen = {
        call for call, one in (await asyncio.to_thread(witness.seen)).items() if f"openai/{one['model']}" == last.model
    }
    told = {one.headers["x-samovar-call-id"]: told_cost(one) for one in last.heard if one.status == 200 and one.whole}
    assert len(set(told.values())) == 1
    assert seen
    assert set(told) <= seen <= set(charges)
    cost = next(iter(told.values()))
    at_hold = {call for call, row in charges.items() if row["mark"] == "at_hold"}
    for call, row in charges.items():
        if call in at_hold:
            assert call not in told
            assert cost_of(row) in (hold(last.model, stream=True), hold(last.model, stream=False))
        else:
            assert call in seen
            assert (cost_of(row), row["mark"], row["estimated"]) == (cost, None, False)
    # Nobody was charged but those who called; of calls without an outcome there are no more than there were at once.
    assert len(at_hold) <= AT_ONCE
    figures = await payer.wallet()
    assert figures.spent == sum(cost_of(row) for row in charges.values())
    assert figures.balance == CREDITS * 10_000_000 - figures.spent
    return len(at_hold)


async def killed(witness: Witness, folder: Path, environment: dict[str, str], *, times: int, calls: int) -> None:
    """Kill so many processes, each in the middle of so many calls."""
    # Seeded, so that a failure comes again.
    chance = random.Random(2026)
    # One for each run: the witness is shared, and its memory outlives a test.
    name = f"gpt-kill-{folder.name}"
    settings = {**witness.vendors(), **environment}
    samovar = await started(folder, settings)
    without_outcome = 0
    try:
        for number in range(times):
            model = price(samovar, f"openai/{name}-{number}-", input="1", output="2", request="0.0001")
            last = await killed_life(samovar, model, calls=calls, after=chance.randrange(1, calls - AT_ONCE))
            samovar = await started(folder, settings)
            without_outcome += await settled_after(samovar, witness, last)
        assert await last.payer.at(samovar).check() == []
    finally:
        await asyncio.to_thread(end, samovar)
    # Else nobody was killed in the middle of anything.
    assert without_outcome > 0


async def test_a_killed_process_loses_no_charge_and_doubles_none_on_sqlite(witness: Witness, tmp_path: Path) -> None:
    await killed(witness, tmp_path, {}, times=2, calls=300)


async def test_a_killed_process_loses_no_charge_and_doubles_none_on_postgresql(
    witness: Witness, tmp_path: Path, own_postgres: str
) -> None:
    await killed(witness, tmp_path, {"SAMOVAR_DATABASE_URL": own_postgres}, times=1, calls=300)


@pytest.mark.soak
@pytest.mark.chaos
@pytest.mark.timeout(1800)
async def test_twenty_kills_in_the_middle_of_two_thousand_calls_lose_nothing_on_sqlite(
    witness: Witness, tmp_path: Path
) -> None:
    await killed(witness, tmp_path, {}, times=20, calls=2_000)


@pytest.mark.soak
@pytest.mark.chaos
@pytest.mark.timeout(1800)
async def test_twenty_kills_in_the_middle_of_two_thousand_calls_lose_nothing_on_postgresql(
    witness: Witness, tmp_path: Path, own_postgres: str
) -> None:
    await killed(witness, tmp_path, {"SAMOVAR_DATABASE_URL": own_postgres}, times=20, calls=2_000)
