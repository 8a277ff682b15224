"""Calls that nobody can pay for, or whose cost nobody can know: a clear word in the caller's language, and no charge."""

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.conftest import Samovar, start_samovar
from tests.e2e.money.conftest import Witness, end
from tests.e2e.money.paying import CREDIT, SURFACES, asked, cost_of, customer, price
from tests.support.callers import Heard, post

EVERYWHERE = [*SURFACES, "embeddings"]


def unheard() -> str:
    """A model that no price page lists."""
    return f"openai/gpt-{uuid.uuid4().hex[:10]}"


def message_of(surface: str, heard: Heard) -> str:
    """The words of an error, which must have the surface's own shape."""
    body: Any = heard.json
    error = body["error"]
    if surface == "messages":
        assert body["type"] == "error"
        assert error["type"] == "billing_error"
    elif surface == "gemini":
        assert (error["code"], error["status"]) == (402, "FAILED_PRECONDITION")
    else:
        assert {"message", "type", "param", "code"} <= set(error)
        assert error["code"] in ("credit_spent", "price_unknown", "wallet_gone")
    return str(error["message"])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("surface", EVERYWHERE)
async def test_an_empty_wallet_is_told_in_the_callers_language(shop: Samovar, surface: str, stream: bool) -> None:
    payer = customer(shop, credits="0")
    model = "openai/text-embedding-3-small" if surface == "embeddings" else "openai/gpt-4o-mini"
    heard = await payer.ask(surface, "hello", model=model, stream=stream)
    assert heard.status == 402, heard
    said = message_of(surface, heard)
    # Whose wallet it is, what is missing, and what to do.
    assert payer.wallet_id in said
    assert "has 0 to give" in said
    assert "add credits" in said
    assert await payer.charges() == {}
    # With credits put in it works at once.
    assert shop.request("POST", f"/api/wallets/{payer.wallet_id}/credits", {"credits": "5"})[0] == 200
    assert (await payer.ask(surface, "hello", model=model, stream=stream)).status == 200


@pytest.mark.parametrize("surface", EVERYWHERE)
async def test_a_model_without_a_price_is_refused(shop: Samovar, surface: str) -> None:
    payer = customer(shop)
    model = "openai/sandbox/embed" if surface == "embeddings" else unheard()
    heard = await payer.ask(surface, "hello", model=model)
    assert heard.status == 402, heard
    assert "SAMOVAR_UNKNOWN_PRICE" in message_of(surface, heard)
    assert await payer.charges() == {}


@pytest.fixture(scope="module")
def lenient(witness: Witness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar that charges what it has no price for at the ceiling."""
    settings = {**witness.vendors(), "SAMOVAR_UNKNOWN_PRICE": "ceiling"}
    running = start_samovar(tmp_path_factory.mktemp("lenient"), settings)
    yield running
    end(running)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_model_without_a_price_costs_the_ceiling_where_the_setting_says_so(
    lenient: Samovar, stream: bool
) -> None:
    payer = customer(lenient, credits="10", call_ceiling="3")
    for _ in range(3):
        heard = await payer.ask("chat", "hello", model=unheard(), stream=stream)
        assert heard.status == 200
        assert heard.headers.get("x-samovar-cost-credits") == (None if stream else "3")
    charges = await payer.charges()
    assert [(cost_of(row), row["mark"]) for row in charges.values()] == [(3 * CREDIT, "unpriced")] * 3
    # One credit is left: the fourth would be above it.
    assert (await payer.ask("chat", "hello", model=unheard(), stream=stream)).status == 402
    # A provider that fails costs nothing here either.
    assert (await customer(lenient).ask("chat", "[[fault:500]] a", model=unheard(), stream=stream)).status == 502


async def test_a_call_without_a_bound_is_held_at_the_wallets_ceiling(shop: Samovar) -> None:
    model = price(shop, unheard(), input="1", output="1")
    narrow = customer(shop, credits="5", call_ceiling="6")
    refused = await narrow.ask("chat", "hello", model=model, most=None)
    assert refused.status == 402
    assert "may cost up to 6 credits" in refused.json["error"]["message"]
    # With a bound of its own it may go.
    assert (await narrow.ask("chat", "hello", model=model, most=100)).status == 200
    wide = customer(shop, credits="5", call_ceiling="4")
    assert (await wide.ask("chat", "hello", model=model, most=None)).status == 200
    [row] = (await wide.charges()).values()
    assert 0 < cost_of(row) < CREDIT // 100


@pytest.mark.parametrize("most", [-1, -(10**18), 0, 2**31, 10**18, 10**30])
@pytest.mark.parametrize("surface", SURFACES)
async def test_an_absurd_bound_gives_no_free_call_and_no_fault_of_ours(shop: Samovar, surface: str, most: int) -> None:
    payer = customer(shop, credits="5")
    for model in ("openai/gpt-4o-mini", price(shop, unheard(), input="1", output="1")):
        for stream in (False, True):
            heard = await payer.ask(surface, "hello", model=model, most=most, stream=stream)
            assert heard.status in (200, 400, 402, 422), heard
            if heard.status == 200:
                row = (await payer.charges())[heard.headers["x-samovar-call-id"]]
                assert cost_of(row) > 0
    figures = await payer.wallet()
    assert figures.balance + figures.spent == 5 * CREDIT
    assert figures.balance > 0
    assert await payer.check() == []


@pytest.mark.parametrize("wallet", ["wal_none", "", "x" * 65, "wal_01ARZ3NDEKTSV4RRFFQ69G5FAV"])
def test_a_key_cannot_pay_from_a_wallet_that_does_not_exist(shop: Samovar, wallet: str) -> None:
    status, said, _ = shop.request("POST", "/api/keys", {"name": "k", "wallet_id": wallet})
    assert status in (400, 404, 422), said
    assert said["code"]
    assert "wallet" in str(said)


@pytest.mark.parametrize("surface", SURFACES)
async def test_a_key_whose_wallet_is_gone_is_told_so(lenient: Samovar, surface: str) -> None:
    payer = customer(lenient)
    # As after a backup was played back that is older than the wallet.
    with closing(sqlite3.connect(lenient.data_dir / "samovar.db", timeout=10)) as connection:
        connection.execute("DELETE FROM wallets WHERE id = ?", (payer.wallet_id,))
        connection.commit()
    heard = await payer.ask(surface, "hello", model="openai/gpt-4o-mini")
    assert heard.status == 402, heard
    said = message_of(surface, heard)
    assert payer.wallet_id in said
    assert "Make a key with another" in said


PICTURE = "https://pictures.example.org/1.png"
SEEN: dict[str, Any] = {
    "chat": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}]},
    "responses": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]}]},
    "messages": {
        "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": PICTURE}}]}]
    },
    "gemini": {"contents": [{"parts": [{"file_data": {"mime_type": "image/png", "file_uri": PICTURE}}]}]},
}


@pytest.mark.parametrize("is_escaped", [False, True], ids=["plain", "escaped"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_picture_that_a_short_request_only_names_is_held_for(
    shop: Samovar, surface: str, is_escaped: bool
) -> None:
    # A dollar for a million tokens: five thousand of a picture are half a credit.
    model = price(shop, "openai/sandbox/vision", input="1", output="1")
    path, body = asked(surface, "", model=model, most=20)
    said = json.dumps(body | SEEN[surface])
    if is_escaped:
        said = said.replace('"image', '"\\u0069mage').replace("_image", "_\\u0069mage").replace("file", "fil\\u0065")
    status: list[int] = []
    for credits in ("0.4", "1"):
        payer = customer(shop, credits=credits)
        heard = await post(shop.url + path, said.encode(), {"Authorization": f"Bearer {payer.key}"})
        status.append(heard.status)
        assert all(row["mark"] is None for row in (await payer.charges()).values())
    assert status == [402, 200]


LEANING: dict[str, dict[str, Any]] = {
    "responses": {"previous_response_id": "resp_1"},
    "gemini": {"cachedContent": "cachedContents/1"},
}


@pytest.mark.parametrize("surface", LEANING)
async def test_what_the_vendor_keeps_of_a_request_is_held_for_up_to_the_ceiling(shop: Samovar, surface: str) -> None:
    vendor = "gemini" if surface == "gemini" else "openai"
    model = price(shop, f"{vendor}/sandbox/vision", input="1", output="1")
    is_refused: list[bool] = []
    for credits, more in (("0.4", {}), ("0.4", LEANING[surface]), ("1", LEANING[surface])):
        payer = customer(shop, credits=credits, call_ceiling="0.5")
        # What it leans on the sandbox does not have: but for money, that is its business.
        is_refused.append((await payer.ask(surface, "hello", model=model, most=20, **more)).status == 402)
    assert is_refused == [False, True, False]
