"""The routes of money, called over ASGI with an application that turns our errors into problem details."""

from collections.abc import AsyncIterator
from functools import cache
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from samovar.domains.billing.http.money import router
from samovar.kernel.errors import SamovarError
from samovar.kernel.principal import Principal
from samovar.ports.routes import join
from tests.domains.billing.conftest import ADMIN, CREDIT, STRANGER, Till, cost, gone
from tests.support.clock import ManualClock
from tests.support.rebound import Rebound


async def authenticate(request: Request) -> Principal:
    return STRANGER if request.headers.get("x-who") == "stranger" else ADMIN


async def problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SamovarError)
    return JSONResponse({"code": error.code, "detail": error.detail}, status_code=error.status)


@cache
def an_app() -> tuple[FastAPI, tuple[Rebound, ...]]:
    """And what its routes have for wallets, budgets and books."""
    app, over = FastAPI(), (Rebound(), Rebound(), Rebound())
    wallets, budgets, books = cast(Any, over)
    join(app.router, router(wallets=wallets, budgets=budgets, books=books, authenticate=authenticate))
    app.add_exception_handler(SamovarError, problem)
    return app, over


@pytest.fixture
async def http(till: Till) -> AsyncIterator[httpx2.AsyncClient]:
    app, (wallets, budgets, books) = an_app()
    bound = wallets.to(till.wallets, budgets.to(till.budgets, books.to(till.books, app)))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=bound), base_url="http://samovar") as client:
        yield client


async def test_a_wallet_is_made_shown_changed_and_funded(http: httpx2.AsyncClient) -> None:
    made = await http.post("/api/wallets", json={"name": "lab", "credits": 12.5})
    assert (made.status_code, made.json()["balance"]) == (201, "12.5")
    path = f"/api/wallets/{made.json()['id']}"
    funded = await http.post(f"{path}/credits", json={"credits": "0.0000001"})
    assert funded.json()["balance"] == "12.5000001"
    changed = await http.patch(path, json={"name": "hall"}, headers={"if-match": made.headers["etag"]})
    assert (changed.json()["name"], changed.headers["etag"]) == ("hall", '"2"')
    stale = await http.patch(path, json={"name": "attic"}, headers={"if-match": made.headers["etag"]})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_revision")
    shown = (await http.get(path)).json()
    assert {name: shown[name] for name in ("balance", "held", "spent", "available")} == {
        "balance": "12.5000001",
        "held": "0",
        "spent": "0",
        "available": "12.5000001",
    }


async def test_credits_sent_twice_with_one_key_are_added_once(http: httpx2.AsyncClient) -> None:
    key = {"idempotency-key": "invoice-7"}
    first = await http.post("/api/wallets", json={"name": "lab", "credits": 5}, headers=key)
    again = await http.post("/api/wallets", json={"name": "lab", "credits": 5}, headers=key)
    assert first.json() == again.json()
    other = await http.post("/api/wallets", json={"name": "lab", "credits": 6}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    path = f"/api/wallets/{first.json()['id']}/credits"
    for _ in range(2):
        assert (await http.post(path, json={"credits": 1}, headers=key)).json()["balance"] == "6"
    assert (await http.post(path, json={"credits": 2}, headers=key)).status_code == 422


async def test_a_project_owns_one_wallet(http: httpx2.AsyncClient) -> None:
    owner = {"owner_kind": "project", "owner_id": "p" * 128}
    made = await http.post("/api/wallets", json={"name": "lab"})
    given = await http.patch(f"/api/wallets/{made.json()['id']}", json=owner)
    assert (given.status_code, {name: given.json()[name] for name in owner}) == (200, owner)
    assert (await http.post("/api/wallets", json={"name": "hall", **owner})).status_code == 409
    assert (await http.post("/api/wallets", json={"name": "hall", **owner, "owner_id": "p" * 129})).status_code == 422


async def test_one_key_may_be_sent_for_two_wallets(http: httpx2.AsyncClient) -> None:
    for name in ("lab", "hall"):
        made = await http.post("/api/wallets", json={"name": name})
        path = f"/api/wallets/{made.json()['id']}/credits"
        for _ in range(2):
            funded = await http.post(path, json={"credits": 1}, headers={"idempotency-key": "may"})
            assert (funded.status_code, funded.json()["balance"]) == (200, "1")


async def test_no_more_is_taken_out_than_lies_in_a_wallet_unheld(http: httpx2.AsyncClient) -> None:
    made = await http.post("/api/wallets", json={"name": "lab", "credits": 5})
    path = f"/api/wallets/{made.json()['id']}/credits"
    refused = await http.post(path, json={"credits": -6})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_enough_credit")
    assert (await http.post(path, json={"credits": -5})).json()["balance"] == "0"


@pytest.mark.parametrize("credits", ["NaN", "-1", "1e30", 0.00000001, "ten", "5_0", "٥", "1e1", " 5"])
async def test_what_is_no_amount_is_refused(http: httpx2.AsyncClient, credits: object) -> None:
    assert (await http.post("/api/wallets", json={"name": "lab", "credits": credits})).status_code == 422


async def test_another_teams_wallet_is_not_there(http: httpx2.AsyncClient) -> None:
    made = (await http.post("/api/wallets", json={"name": "lab"})).json()
    stranger = {"x-who": "stranger"}
    for method, path, body in (
        ("GET", f"/api/wallets/{made['id']}", None),
        ("PATCH", f"/api/wallets/{made['id']}", {"name": "mine"}),
        ("POST", f"/api/wallets/{made['id']}/credits", {"credits": 1}),
        ("GET", f"/api/ledger?wallet={made['id']}", None),
        ("POST", "/api/budgets", {"wallet_id": made["id"], "period": "day", "credits": 1}),
    ):
        answer = await http.request(method, path, json=body, headers=stranger)
        assert (answer.status_code, answer.json()["code"]) == (404, "wallet_not_found"), path
    assert (await http.get("/api/wallets", headers=stranger)).json()["items"] == []


async def test_an_owner_has_one_wallet(http: httpx2.AsyncClient) -> None:
    order = {"name": "own", "owner_kind": "user", "owner_id": "person_1"}
    assert (await http.post("/api/wallets", json=order)).status_code == 201
    taken = await http.post("/api/wallets", json=order)
    assert (taken.status_code, taken.json()["code"]) == (409, "owner_taken")
    assert (await http.post("/api/wallets", json={"name": "half", "owner_kind": "user"})).status_code == 422


async def test_a_budget_lives_from_post_to_delete(http: httpx2.AsyncClient) -> None:
    wallet = (await http.post("/api/wallets", json={"name": "lab", "credits": 5})).json()["id"]
    order = {"wallet_id": wallet, "period": "week", "credits": "2.5", "mode": "degrade"}
    made = await http.post("/api/budgets", json=order)
    assert (made.status_code, made.json()["spent"], made.json()["warn_percent"]) == (201, "0", 80)
    path = f"/api/budgets/{made.json()['id']}"
    changed = await http.patch(path, json={"credits": 3}, headers={"if-match": made.headers["etag"]})
    assert (changed.json()["credits"], changed.json()["mode"]) == ("3", "degrade")
    stale = await http.patch(path, json={"credits": 4}, headers={"if-match": made.headers["etag"]})
    assert stale.status_code == 412
    listed = (await http.get(f"/api/budgets?wallet={wallet}")).json()["items"]
    assert [one["id"] for one in listed] == [made.json()["id"]]
    assert (await http.delete(path)).status_code == 204
    assert (await http.get(path)).status_code == 404


async def test_the_ledger_is_read_page_by_page(http: httpx2.AsyncClient) -> None:
    wallet = (await http.post("/api/wallets", json={"name": "lab", "credits": 1})).json()["id"]
    for _ in range(4):
        await http.post(f"/api/wallets/{wallet}/credits", json={"credits": 1})
    seen, cursor = [], ""
    while cursor is not None:
        page = (await http.get(f"/api/ledger?wallet={wallet}&limit=2{cursor and '&cursor=' + cursor}")).json()
        seen.extend(page["items"])
        cursor = page["next_cursor"]
    assert len({one["id"] for one in seen}) == 5
    assert {(one["kind"], one["credit"], one["credits"]) for one in seen} == {("funding", f"wallet:{wallet}", "1")}
    assert (await http.get("/api/ledger/check")).json() == {"differences": []}
    assert (await http.get(f"/api/ledger?wallet={wallet}&cursor=nonsense")).status_code == 400


@pytest.mark.parametrize("verdict", ["release", "charge"])
async def test_a_lost_hosts_lease_waits_in_suspense_until_an_admin_decides(
    http: httpx2.AsyncClient, till: Till, clock: ManualClock, verdict: str
) -> None:
    wallet = await till.wallet(100)
    order = {"wallet_id": wallet.id, "period": "month", "credits": 50}
    budget = (await http.post("/api/budgets", json=order)).json()["id"]
    hold = await till.money.hold("call_1", wallet, 10 * CREDIT, principal_id="key_1")
    await gone(hold.sent())
    (lease,) = (await http.get(f"/api/leases?wallet={wallet.id}")).json()["items"]
    assert (lease["rest"], lease["lost"]) == ("10", False)
    early = await http.post(f"/api/leases/{lease['id']}/settle")
    assert (early.status_code, early.json()["code"]) == (409, "lease_not_lost")
    clock.advance(301)
    settled = (await http.post(f"/api/leases/{lease['id']}/settle")).json()
    assert (settled["state"], (await http.get(f"/api/wallets/{wallet.id}")).json()["balance"]) == ("suspense", "90")
    # The host was only slow: what it charges now is paid from the suspense account.
    await gone(hold.settle(cost(4 * CREDIT)))
    await till.money.flush()
    assert await till.balance(wallet) == 90 * CREDIT
    assert await till.books.check(ADMIN) == []
    await http.post(f"/api/leases/{lease['id']}/{verdict}")
    left, spent = ("96", "4") if verdict == "release" else ("90", "10")
    shown = (await http.get(f"/api/wallets/{wallet.id}")).json()
    assert (shown["balance"], shown["spent"], shown["held"]) == (left, spent, "0")
    counted = (await http.get(f"/api/budgets/{budget}")).json()
    assert (counted["spent"], counted["held"]) == (spent, "0")
    assert await till.books.check(ADMIN) == []
