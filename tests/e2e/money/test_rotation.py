"""A key that takes the place of another pays from the same wallet, and the same limits hold for it."""

import httpx2

from tests.e2e.conftest import Samovar
from tests.e2e.money.paying import Customer, price


async def test_what_a_key_owns_and_what_limits_it_goes_on_to_its_successors(shop: Samovar) -> None:
    status, made, _ = shop.request("POST", "/api/keys", {"name": "k"})
    assert status == 201, made
    wallet = {"name": "its own", "credits": "1", "owner_kind": "key", "owner_id": made["id"]}
    status, owned, _ = shop.request("POST", "/api/wallets", wallet)
    assert status == 201, owned
    quota = {"subject": "key", "subject_id": made["id"], "limits": "2/day", "concurrency": 5}
    assert shop.request("POST", "/api/quotas", quota)[0] == 201
    model = price(shop, "openai/gpt-4o", request="0.004", input="0", output="0")
    for generation in range(2):
        status, made, _ = shop.request("POST", f"/api/keys/{made['id']}/rotate", {})
        assert status == 201, made
        payer = Customer(shop, made["key"], made["id"], owned["id"])
        heard = await payer.ask("chat", "hello", model=model)
        assert heard.status == 200, heard
        assert (heard.headers["x-ratelimit-limit"], heard.headers["x-ratelimit-remaining"]) == ("2", "1")
        assert len(await payer.charges()) == generation + 1
    assert (await payer.ask("chat", "hello", model=model)).status == 402
    assert (await payer.ask("chat", "hello", model=model)).status == 429


async def test_what_a_key_makes_is_paid_for_by_the_wallet_that_the_key_owns(shop: Samovar) -> None:
    status, maker, _ = shop.request("POST", "/api/keys", {"name": "maker", "scopes": ["gateway", "keys"]})
    assert status == 201, maker
    wallet = {"name": "its own", "credits": "1", "owner_kind": "key", "owner_id": maker["id"]}
    status, owned, _ = shop.request("POST", "/api/wallets", wallet)
    assert status == 201, owned
    async with httpx2.AsyncClient(base_url=shop.url, headers={"Authorization": f"Bearer {maker['key']}"}) as client:
        made = (await client.post("/api/keys", json={"name": "made"})).raise_for_status().json()
    assert made["wallet_id"] == owned["id"]
    payer = Customer(shop, made["key"], made["id"], owned["id"])
    model = price(shop, "openai/gpt-4o", request="0.009", input="0", output="0")
    assert (await payer.ask("chat", "hello", model=model)).status == 200
    assert len(await payer.charges()) == 1
    assert (await payer.ask("chat", "hello", model=model)).status == 402
