"""Budgets on a running Samovar: they stop, they warn, they turn to cheaper models."""

import uuid

import pytest

from tests.e2e.conftest import Samovar
from tests.e2e.money.paying import CREDIT, SURFACES, Customer, cost_of, customer, price

ONE = {"request": "0.01", "input": "0", "output": "0"}
"""One credit a call: what is held is what it costs."""


def budget(payer: Customer, **fields: object) -> str:
    status, made, _ = payer.samovar.request("POST", "/api/budgets", {"wallet_id": payer.wallet_id, **fields})
    assert status == 201, made
    return str(made["id"])


@pytest.mark.parametrize("period", ["day", "week", "month", "total"])
async def test_a_hard_budget_stops_calls_at_its_amount(shop: Samovar, period: str) -> None:
    model = price(shop, f"openai/gpt-{uuid.uuid4().hex[:8]}", **ONE)
    payer = customer(shop)
    made = budget(payer, period=period, credits="3")
    statuses = [(await payer.ask(surface, "hello", model=model)).status for surface in SURFACES]
    assert statuses == [200, 200, 200, 402]
    shown = shop.request("GET", f"/api/budgets/{made}")[1]
    assert (shown["spent"], shown["period"]) == ("3", period)
    # The wallet itself has plenty: with the budget raised the next call goes.
    assert shop.request("PATCH", f"/api/budgets/{made}", {"credits": "4"})[0] == 200
    assert (await payer.ask("chat", "hello", model=model)).status == 200
    assert (await payer.wallet()).spent == 4 * CREDIT


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_budget_that_warns_marks_answers_and_stops_none(shop: Samovar, stream: bool) -> None:
    model = price(shop, f"openai/gpt-{uuid.uuid4().hex[:8]}", **ONE)
    payer = customer(shop)
    budget(payer, period="day", credits="1000", mode="warn", warn_percent=80)
    assert "x-samovar-budget" not in (await payer.ask("chat", "hello", model=model, stream=stream)).headers
    other = customer(shop)
    budget(other, period="month", credits="1", mode="warn")
    for surface in SURFACES:
        heard = await other.ask(surface, "hello", model=model, stream=stream)
        assert heard.status == 200
        assert heard.headers["x-samovar-budget"] == "warned"
    assert (await other.wallet()).spent == 4 * CREDIT


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_spent_budget_turns_a_group_to_its_cheaper_member(shop: Samovar, stream: bool) -> None:
    name = uuid.uuid4().hex[:8]
    dear = price(shop, f"openai/gpt-dear-{name}", request="0.02", input="0", output="0")
    cheap = price(shop, f"anthropic/claude-cheap-{name}", request="0.001", input="0", output="0")
    assert shop.request("PUT", f"/api/groups/group-{name}", {"model_ids": [dear, cheap]})[0] in (200, 201)
    payer = customer(shop)
    # All of what a process leases counts as promised: ten credits at once, so this is the second call.
    budget(payer, period="day", credits="25", mode="degrade")
    seen = []
    for number in range(20):
        heard = await payer.ask(SURFACES[number % 4], "hello", model=f"group-{name}", stream=stream)
        assert heard.status == 200, heard
        degraded = heard.headers.get("x-samovar-budget") == "degrade"
        seen.append((heard.headers["x-samovar-model"], degraded))
        assert ("the budget asks for cheaper" in heard.headers["x-samovar-route"]) == degraded
    # At first the dear one, as the group says; then the cheap one for good.
    turn = seen.index((cheap, True))
    assert 0 < turn <= 13
    assert {model for model, _ in seen[:turn]} == {dear}
    assert set(seen[turn:]) == {(cheap, True)}
    charges = await payer.charges()
    assert sorted(cost_of(row) for row in charges.values()) == [CREDIT // 10] * (20 - turn) + [2 * CREDIT] * turn
    assert await payer.check() == []
