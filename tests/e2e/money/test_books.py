"""What a wallet, the ledger, the usage log and the callers know of the same calls agrees to the nano-dollar."""

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.e2e.calling import events_where
from tests.e2e.conftest import Samovar
from tests.e2e.money.paying import (
    CREDIT,
    SURFACES,
    Customer,
    Figures,
    cost_of,
    customer,
    leave,
    price,
    told_cost,
    until,
)
from tests.support.sockets import closed_port

MODELS = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash")


async def settled(payer: Customer) -> Figures:
    """The wallet, when nothing is held any more."""

    async def idle() -> bool:
        return (await payer.wallet()).held == 0

    assert await until(idle), await payer.wallet()
    return await payer.wallet()


async def agreed(payer: Customer, paid: dict[str, int]) -> None:
    """That the ledger has these calls at these costs and no others, and wallet and usage log say the same."""
    charges = await payer.charges()
    assert {call: cost_of(row) for call, row in charges.items()} == paid
    figures = await settled(payer)
    assert figures == Figures(balance=100 * CREDIT - sum(paid.values()), held=0, spent=sum(paid.values()))

    def logged() -> dict[str, int | None]:
        rows = events_where(payer.samovar, "principal_id = ?", payer.key_id)
        return {row["id"]: row["cost_nano_usd"] for row in rows if row["cost_nano_usd"] is not None}

    assert await until(lambda: logged() == paid), logged()
    assert await payer.check() == []


async def each(*checks: Coroutine[Any, Any, None]) -> None:
    """All at once, each with a customer of its own: they wait much, for leases that go back and logs that are written."""
    async with asyncio.TaskGroup() as group:
        for check in checks:
            group.create_task(check)


async def test_whole_answers_and_streams_cost_what_the_books_say(shop: Samovar) -> None:
    await each(*(pays_what_the_books_say(shop, surface) for surface in (*SURFACES, "embeddings")))


async def pays_what_the_books_say(shop: Samovar, surface: str) -> None:
    payer = customer(shop)
    models = ("openai/text-embedding-3-small", "gemini/gemini-embedding-001") if surface == "embeddings" else MODELS
    heard = await asyncio.gather(
        *(
            payer.ask(surface, "what do you cost?", model=model, stream=stream)
            for model in models
            for stream in ((False,) if surface == "embeddings" else (False, True))
        )
    )
    assert [one.status for one in heard] == [200] * len(heard), heard
    paid = {one.headers["x-samovar-call-id"]: told_cost(one) for one in heard}
    assert len(paid) == len(heard)
    assert all(cost > 0 for cost in paid.values())
    await agreed(payer, paid)


async def test_an_upstream_that_fails_costs_nothing(shop: Samovar) -> None:
    faults = ("500", "400", "429", "html_502", "error_200", "cut_body")
    await each(*(pays_nothing(shop, fault) for fault in faults))


async def pays_nothing(shop: Samovar, fault: str) -> None:
    payer = customer(shop)
    # Whole answers: half of one is none, where half a stream is something.
    model = price(shop, f"openai/gpt-{uuid.uuid4().hex[:8]}", input="1", output="1")
    asked = (payer.ask(surface, f"[[fault:{fault}]] hello", model=model) for surface in SURFACES)
    assert all(heard.status >= 400 for heard in await asyncio.gather(*asked))
    await agreed(payer, {})


@pytest.mark.parametrize("surface", SURFACES)
async def test_who_leaves_in_mid_stream_pays_for_what_was_counted(shop: Samovar, surface: str) -> None:
    await each(*(pays_for_what_came(shop, surface, model) for model in MODELS))


async def pays_for_what_came(shop: Samovar, surface: str, model: str) -> None:
    payer = customer(shop)
    left = await leave(payer, surface, "[[chunks:150 delay_ms=30]] words", model=model, after_words=6)

    async def charged() -> bool:
        return left in await payer.charges()

    assert await until(charged)
    row = (await payer.charges())[left]
    assert (row["estimated"], row["mark"]) == (True, None)
    whole = await payer.ask(surface, "[[chunks:150]] words", model=model, stream=True)
    assert 0 < cost_of(row) < told_cost(whole)
    await agreed(payer, {left: cost_of(row), whole.headers["x-samovar-call-id"]: told_cost(whole)})


async def test_a_stream_that_breaks_is_charged_once_for_what_came(shop: Samovar) -> None:
    await each(*(pays_once_for_what_came(shop, surface) for surface in SURFACES))


async def pays_once_for_what_came(shop: Samovar, surface: str) -> None:
    payer = customer(shop)
    model = price(shop, f"openai/gpt-{uuid.uuid4().hex[:8]}", input="1", output="1")
    heard = await payer.ask(surface, "[[fault:cut]] [[chunks:20]] words", model=model, stream=True)
    assert heard.status == 200
    charges = await payer.charges()
    assert [row["estimated"] for row in charges.values()] == [True]
    await agreed(payer, {call: cost_of(row) for call, row in charges.items()})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_fallback_is_charged_once_for_the_target_that_answered(shop: Samovar, stream: bool) -> None:
    name = f"down{uuid.uuid4().hex[:6]}"
    provider = {"name": name, "vendor": "openai", "base_url": f"http://127.0.0.1:{closed_port()}/v1", "api_key": "sk-x"}
    assert shop.request("POST", "/api/providers", provider)[0] == 201
    # Dearer than the one that answers: were it charged, it would show.
    first = price(shop, f"{name}/gpt-a", input="100", output="100")
    second = price(shop, f"openai/gpt-{uuid.uuid4().hex[:6]}", input="50", output="50")
    last = price(shop, f"anthropic/claude-{uuid.uuid4().hex[:6]}", input="1", output="1")
    group = f"group-{name}"
    assert shop.request("PUT", f"/api/groups/{group}", {"model_ids": [first, second, last]})[0] in (200, 201)
    payer = customer(shop)
    for surface in SURFACES:
        heard = await payer.ask(surface, "who answers?", model=group, stream=stream)
        assert heard.status == 200, heard
        assert heard.headers["x-samovar-attempts"] == "2"
        assert heard.headers["x-samovar-model"] == second
        row = (await payer.charges())[heard.headers["x-samovar-call-id"]]
        assert (row["memo"]["model"], cost_of(row)) == (second, told_cost(heard))
    assert len(await payer.charges()) == len(SURFACES)
