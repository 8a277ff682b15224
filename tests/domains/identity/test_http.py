"""``/api/keys`` as a client sees it."""

from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from samovar.adapters.memory import MemoryLimiter
from samovar.app.control import control_app
from samovar.domains.identity.http import authenticated, router
from samovar.domains.identity.model import Scope, administrator
from samovar.domains.identity.service import IdentityService
from samovar.kernel.principal import Principal
from samovar.ports.limits import Limit
from tests.domains.identity.conftest import Make
from tests.support.clock import ManualClock
from tests.support.rebound import Rebound

ADMIN = {"X-Admin-Token": "the-admin-token"}


@cache
def an_app() -> tuple[FastAPI, Rebound]:
    """And what its routes have for a service."""
    over = Rebound()
    service: Any = over
    keys = router(service=service, authenticate=authenticated(service))
    return control_app([keys], title="Samovar", version="0", description=""), over


def a_client(service: IdentityService, **headers: str) -> httpx2.AsyncClient:
    app, over = an_app()
    transport = httpx2.ASGITransport(app=over.to(service, app))
    return httpx2.AsyncClient(transport=transport, base_url="http://samovar", headers=headers)


@pytest.fixture
async def client(service: IdentityService) -> AsyncIterator[httpx2.AsyncClient]:
    """The administrator's client."""
    async with a_client(service, **ADMIN) as client:
        yield client


async def made(client: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/api/keys", json={"name": "laptop", **fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    return problem


async def test_a_new_key_is_shown_once_and_works(client: httpx2.AsyncClient, service: IdentityService) -> None:
    answer = await client.post("/api/keys", json={"name": "laptop"})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    key = answer.json()
    assert key["key"].startswith("sk-samovar-")
    assert (key["name"], key["state"], key["scopes"], key["allowed_models"]) == ("laptop", "active", ["gateway"], None)
    assert key["created_at"].endswith("Z")
    assert (await service.authenticate(key["key"])).id == key["id"]
    for later in (await client.get(f"/api/keys/{key['id']}"), await client.get("/api/keys")):
        assert later.status_code == 200
        assert key["key"] not in later.text
        assert key["hint"] in later.text


async def test_a_key_takes_scopes_models_and_an_end(client: httpx2.AsyncClient) -> None:
    order = {"scopes": ["gateway", "keys"], "allowed_models": ["openai/*"], "expires_at": "2026-12-01T03:00:00+03:00"}
    key = await made(client, **order)
    assert key["expires_at"] == "2026-12-01T00:00:00Z"
    assert (key["scopes"], key["allowed_models"]) == (order["scopes"], order["allowed_models"])


async def test_the_list_is_paged(client: httpx2.AsyncClient) -> None:
    newest = [(await made(client))["id"] for _ in range(3)][::-1]
    first = (await client.get("/api/keys", params={"limit": 2})).json()
    assert [key["id"] for key in first["items"]] == newest[:2]
    rest = (await client.get("/api/keys", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert rest["items"][0]["id"] == newest[2]
    assert rest["next_cursor"] is None


async def test_a_revoked_key_is_refused(client: httpx2.AsyncClient, service: IdentityService) -> None:
    key = await made(client, scopes=["keys"])
    async with a_client(service, Authorization=f"Bearer {key['key']}") as other:
        assert (await other.get("/api/keys")).status_code == 200
        for _ in range(2):
            answer = await client.delete(f"/api/keys/{key['id']}")
            assert (answer.status_code, answer.content) == (204, b"")
        answer = await other.get("/api/keys")
    problem = refused(answer, 401, "revoked_key")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert key["key"][15:] not in str(problem)


@pytest.mark.parametrize("body", [None, {}, {"grace_s": 60}])
async def test_a_key_is_rotated(client: httpx2.AsyncClient, body: dict[str, int] | None) -> None:
    old = await made(client)
    path = f"/api/keys/{old['id']}/rotate"
    answer = await (client.post(path) if body is None else client.post(path, json=body))
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.json()["key"] != old["key"]
    shown = (await client.get(f"/api/keys/{old['id']}")).json()
    grace = "2026-11-21T12:01:00Z" if body else "2026-11-28T12:00:00Z"
    assert (shown["state"], shown["replaced_by"], shown["grace_until"]) == ("replaced", answer.json()["id"], grace)
    refused(await client.post(f"/api/keys/{old['id']}/rotate"), 409, "key_not_active")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "the-admin-token"},
    ],
)
async def test_without_a_credential_nothing_is_shown(service: IdentityService, headers: dict[str, str]) -> None:
    async with a_client(service, **headers) as client:
        refused(await client.get("/api/keys"), 401, "no_credential")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Admin-Token": ""},
        {"X-Admin-Token": "the-admin-tokem"},
        {"X-Admin-Token": "wrong", "Authorization": "Bearer the-admin-token"},
        {"Authorization": "Bearer sk-samovar-" + "x" * 43},
        {"Authorization": "Bearer " + "x" * 5000},
    ],
)
async def test_a_wrong_credential_is_refused(service: IdentityService, headers: dict[str, str]) -> None:
    async with a_client(service, **headers) as client:
        refused(await client.get("/api/keys"), 401, "unknown_key")


async def test_the_admin_token_is_taken_as_bearer_too(service: IdentityService) -> None:
    async with a_client(service, Authorization="bearer the-admin-token") as client:
        assert (await client.get("/api/keys")).status_code == 200


async def test_a_gateway_key_may_not_see_keys(client: httpx2.AsyncClient, service: IdentityService) -> None:
    key = await made(client)
    async with a_client(service, Authorization=f"Bearer {key['key']}") as other:
        assert "keys:read" in refused(await other.get("/api/keys"), 403, "forbidden")["detail"]


async def test_another_teams_key_is_404(service: IdentityService, other_team: Principal) -> None:
    mine = (await service.create_key(administrator(), name="mine")).key
    theirs = await service.create_key(other_team, name="theirs", scopes=[Scope.ADMIN])
    async with a_client(service, Authorization=f"Bearer {theirs.secret}") as client:
        for answer in (
            await client.get(f"/api/keys/{mine.id}"),
            await client.delete(f"/api/keys/{mine.id}"),
            await client.post(f"/api/keys/{mine.id}/rotate"),
        ):
            refused(answer, 404, "key_not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 101},
        {"name": "a\u0000b"},
        {"name": 7},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "allowed_models": []},
        {"name": "x", "allowed_models": ["a*b"]},
        {"name": "x", "expires_at": "2027-01-01T00:00:00"},
        {"name": "x", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "expires_at": "9999-12-31T23:59:59-12:00"},
        {"name": "x", "expires_at": 1e300},
        {"name": "x", "wallet_id": "not yet known"},
        [],
        "x",
        None,
    ],
)
async def test_a_wrong_order_is_refused_by_field(client: httpx2.AsyncClient, body: object) -> None:
    answer = await client.post("/api/keys", json=body)
    assert refused(answer, 422, "invalid_request")["errors"]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"name": "\\ud800"}', b'{"name": NaN}'])
async def test_a_malformed_order_is_refused(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.post("/api/keys", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "params", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "\x00"}]
)
async def test_a_wrong_page_is_refused(client: httpx2.AsyncClient, params: dict[str, str]) -> None:
    refused(await client.get("/api/keys", params=params), 422, "invalid_request")


@pytest.mark.parametrize("key_id", ["nothing", "%00", "key_01M7YZMHG0CGDFCKH67BEYAW5E", "%F0%9F%8D%B5"])
async def test_an_unknown_id_is_404(client: httpx2.AsyncClient, key_id: str) -> None:
    refused(await client.get(f"/api/keys/{key_id}"), 404, "key_not_found")
    refused(await client.delete(f"/api/keys/{key_id}"), 404, "key_not_found")
    refused(await client.post(f"/api/keys/{key_id}/rotate"), 404, "key_not_found")


async def test_an_address_that_guesses_must_wait(make: Make, service: IdentityService, clock: ManualClock) -> None:
    limited = make(limiter=MemoryLimiter(clock=clock), wrong_limit=Limit(amount=2, window_s=60))
    await limited.ensure_installed("the-admin-token")
    async with a_client(limited) as client:
        for guess in ("one", "two"):
            refused(await client.get("/api/keys", headers={"X-Admin-Token": guess}), 401, "unknown_key")
        answer = await client.get("/api/keys", headers={"X-Admin-Token": "three"})
        refused(answer, 429, "too_many_wrong_credentials")
        assert int(answer.headers["retry-after"]) > 0
        refused(await client.get("/api/keys", headers=ADMIN), 429, "too_many_wrong_credentials")
        clock.advance(int(answer.headers["retry-after"]))
        assert (await client.get("/api/keys", headers=ADMIN)).status_code == 200


def test_the_description_says_bounds_refusals_and_how_to_sign_in(service: IdentityService) -> None:
    document = an_app()[0].openapi()
    create = document["paths"]["/api/keys"]["post"]
    assert set(create["responses"]) == {"201", "400", "401", "403", "422", "429", "503"}
    assert list(create["responses"]["422"]["content"]) == ["application/problem+json"]
    assert {"HTTPBearer": []} in create["security"]
    assert {"APIKeyHeader": []} in create["security"]
    order = document["components"]["schemas"]["KeyOrder"]
    assert order["properties"]["name"]["maxLength"] == 100
    assert order["additionalProperties"] is False
    assert "409" in document["paths"]["/api/keys/{key_id}/rotate"]["post"]["responses"]


GUARD: dict[str, Any] = {
    "max_output_tokens": 500,
    "max_input_tokens": None,
    "rules": [{"name": "keys", "pattern": "sk-[a-z]{8}", "on": "both", "action": "redact", "replacement": "[key]"}],
}


async def test_a_key_is_changed_in_what_was_sent_and_in_nothing_else(
    client: httpx2.AsyncClient, service: IdentityService
) -> None:
    key = await made(client, allowed_models=["openai/*"])
    assert (key["guard"], key["drop_params"], key["revision"]) == (None, False, 1)
    before = await service.authenticate(key["key"])
    assert (before.guard, before.drop_params) == (None, False)
    answer = await client.patch(f"/api/keys/{key['id']}", json={"guard": GUARD, "drop_params": True})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    changed = answer.json()
    assert changed == {
        **{name: value for name, value in key.items() if name != "key"},
        "guard": GUARD,
        "drop_params": True,
        "revision": 2,
        "last_used_at": changed["last_used_at"],
    }
    assert (await client.get(f"/api/keys/{key['id']}")).json()["guard"] == GUARD
    after = await service.authenticate(key["key"])
    assert after.guard is not None
    assert (after.guard.max_output_tokens, after.guard.rules[0].name, after.drop_params) == (500, "keys", True)
    answer = await client.patch(f"/api/keys/{key['id']}", json={"guard": None, "allowed_models": None, "name": "desk"})
    assert [answer.json()[name] for name in ("guard", "allowed_models", "name", "drop_params", "revision")] == [
        None,
        None,
        "desk",
        True,
        3,
    ]


async def test_a_change_of_a_revision_that_is_over_is_refused(client: httpx2.AsyncClient) -> None:
    key = await made(client)
    path = f"/api/keys/{key['id']}"
    tag = (await client.get(path)).headers["etag"]
    assert (await client.patch(path, json={"name": "a"}, headers={"If-Match": tag})).status_code == 200
    refused(await client.patch(path, json={"name": "b"}, headers={"If-Match": tag}), 412, "stale_revision")
    refused(await client.patch(path, json={"name": "b"}, headers={"If-Match": "soon"}), 400, "malformed_request")
    assert (await client.get(path)).json()["name"] == "a"


async def test_a_guard_that_cannot_work_is_refused_with_its_place(client: httpx2.AsyncClient) -> None:
    rule = {"name": "a", "pattern": "(", "action": "block"}
    problem = refused(
        await client.post("/api/keys", json={"name": "n", "guard": {"rules": [rule]}}), 422, "invalid_request"
    )
    assert [flaw["where"] for flaw in problem["errors"]] == ["guard.rules[0].pattern"]
    problem = refused(
        await client.post("/api/keys", json={"name": "n", "guard": {"rules": [{}]}}), 422, "invalid_request"
    )
    assert problem["errors"]
    refused(await client.post("/api/keys", json={"name": "n", "guard": {"tokens": 1}}), 422, "invalid_request")


async def test_a_revoked_key_is_not_changed(client: httpx2.AsyncClient) -> None:
    key = await made(client)
    await client.delete(f"/api/keys/{key['id']}")
    refused(await client.patch(f"/api/keys/{key['id']}", json={"name": "a"}), 409, "key_not_active")


async def test_a_key_keeps_its_guard_when_it_is_rotated(client: httpx2.AsyncClient) -> None:
    key = await made(client, guard=GUARD, drop_params=True)
    new = (await client.post(f"/api/keys/{key['id']}/rotate")).json()
    assert (new["guard"], new["drop_params"], new["revision"]) == (GUARD, True, 1)


async def test_a_guarded_key_makes_none_that_is_guarded_less(
    service: IdentityService, client: httpx2.AsyncClient
) -> None:
    maker = await made(client, scopes=["keys", "gateway"], guard=GUARD)
    async with a_client(service, Authorization=f"Bearer {maker['key']}") as limited:
        refused(await limited.post("/api/keys", json={"name": "free"}), 403, "beyond_own_rights")
        more = {**GUARD, "max_output_tokens": 501}
        refused(await limited.post("/api/keys", json={"name": "more", "guard": more}), 403, "beyond_own_rights")
        refused(await limited.patch(f"/api/keys/{maker['id']}", json={"guard": None}), 403, "beyond_own_rights")
        await made(limited, guard={**GUARD, "max_output_tokens": 100})


async def test_a_key_says_whether_its_answers_are_remembered_and_hands_it_on(
    client: httpx2.AsyncClient, service: IdentityService
) -> None:
    key = await made(client, cache={"ttl_s": 60})
    assert key["cache"] == {"ttl_s": 60, "own": False}
    principal = await service.authenticate(key["key"])
    assert principal.cache is not None
    assert (principal.cache.ttl_s, principal.cache.own) == (60, False)
    new = (await client.post(f"/api/keys/{key['id']}/rotate")).json()
    assert new["cache"] == key["cache"]
    answer = await client.patch(f"/api/keys/{new['id']}", json={"cache": {"own": True}})
    assert answer.json()["cache"] == {"ttl_s": 3600, "own": True}
    assert (await client.patch(f"/api/keys/{new['id']}", json={"name": "n"})).json()["cache"] == answer.json()["cache"]
    assert (await client.patch(f"/api/keys/{new['id']}", json={"cache": None})).json()["cache"] is None
    assert (await client.post("/api/keys", json={"name": "n", "cache": {"ttl_s": 604_801}})).status_code == 422
