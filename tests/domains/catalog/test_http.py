"""The catalogue's routes, called over ASGI with an application that turns our errors into problem details."""

from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from samovar.domains.catalog.http import router
from samovar.domains.catalog.service import CatalogService
from samovar.kernel.errors import SamovarError
from samovar.kernel.principal import Principal
from samovar.ports.routes import join
from tests.domains.catalog.conftest import ADMIN, member
from tests.support.rebound import Rebound

KEY = "sk-ant-secret-of-the-team-9876"
ORDER = {"name": "anthropic", "vendor": "anthropic", "api_key": KEY}


async def authenticate(request: Request) -> Principal:
    return ADMIN if request.headers.get("x-admin-token") == "admin" else member(allowed=("openai/gpt-4o*",))


async def problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SamovarError)
    return JSONResponse({"code": error.code, "detail": error.detail}, status_code=error.status)


@cache
def an_app() -> tuple[FastAPI, Rebound]:
    """And what its routes have for a catalogue."""
    app, over = FastAPI(), Rebound()
    service: Any = over
    join(app.router, router(service=service, authenticate=authenticate))
    app.add_exception_handler(SamovarError, problem)
    return app, over


@pytest.fixture
async def http(catalog: CatalogService) -> AsyncIterator[httpx2.AsyncClient]:
    app, over = an_app()
    transport = httpx2.ASGITransport(app=over.to(catalog, app))
    headers = {"x-admin-token": "admin"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://samovar", headers=headers) as client:
        yield client


async def test_a_provider_lives_from_post_to_delete_and_its_key_is_never_answered(http: httpx2.AsyncClient) -> None:
    made = await http.post("/api/providers", json=ORDER)
    assert made.status_code == 201
    path = f"/api/providers/{made.json()['id']}"
    shown = await http.get(path)
    listed = await http.get("/api/providers")
    changed = await http.patch(path, json={"enabled": False}, headers={"if-match": shown.headers["etag"]})
    assert changed.json() == {**shown.json(), "enabled": False, "revision": 2}
    for answer in (made, shown, listed, changed):
        assert KEY not in answer.text
        assert "...9876" in answer.text
    stale = await http.patch(path, json={"enabled": True}, headers={"if-match": shown.headers["etag"]})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_revision")
    assert (await http.delete(path)).status_code == 204
    assert (await http.get(path)).status_code == 404


async def test_a_key_is_not_repeated_when_it_is_refused(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/api/providers", json={**ORDER, "api_key": "not a key, it has spaces"})
    assert answer.status_code == 422
    assert "it has spaces" not in answer.text


async def test_lists_are_cut_into_pages(http: httpx2.AsyncClient) -> None:
    first = (await http.get("/api/models?limit=2&provider=openai")).json()
    second = (await http.get("/api/models", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    found = [model["id"] for model in first["items"] + second["items"]]
    assert len(set(found)) == 4
    assert found == sorted(found)
    everything = (await http.get("/api/models?limit=100&q=GPT-5-MINI")).json()
    assert [model["id"] for model in everything["items"]] == ["openai/gpt-5-mini"]
    assert everything["next_cursor"] is None


async def test_a_model_shows_what_it_can_and_costs_and_what_is_unknown(http: httpx2.AsyncClient) -> None:
    (model,) = (await http.get("/api/models?q=openai/gpt-5-mini")).json()["items"]
    assert model["context_window"] == 400_000
    assert "reasoning" in model["abilities"]
    assert model["price"]["source"].startswith("genai-prices ")
    rates = model["price"]["standard"]["rates"]
    assert (rates["input"], rates["output"], rates["cached_input"]) == ("0.25", "2", "0.025")
    assert rates["audio_input"] is None


async def test_a_restricted_key_sees_its_own_models_alone(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/api/models?limit=100", headers={"x-admin-token": ""})
    found = {model["id"] for model in answer.json()["items"]}
    assert "openai/gpt-4o" in found
    assert all(model_id.startswith("openai/gpt-4o") for model_id in found)


async def test_an_override_is_said_in_dollars_and_comes_back_so(http: httpx2.AsyncClient) -> None:
    path = "/api/models/openai/ft:gpt-4o/mine/override"
    body = {"price": {"rates": {"input": "1.500000001", "output": 3}, "tiers": []}, "abilities": ["tools"]}
    put = await http.put(path, json=body)
    assert put.status_code == 200, put.text
    assert put.headers["etag"] == '"1"'
    shown = (await http.get(path)).json()
    assert shown["model_id"] == "openai/ft:gpt-4o/mine"
    assert shown["price"]["rates"]["input"] == "1.500000001"
    (model,) = (await http.get("/api/models?q=ft:gpt-4o/mine")).json()["items"]
    assert (model["price"]["source"], model["abilities"]) == ("override", ["tools"])
    assert (await http.delete(path)).status_code == 204
    assert (await http.delete(path)).status_code == 404


@pytest.mark.parametrize("price", ["-1", "0.0000000001", "1e99", "NaN", "Infinity", "a", 2_000_000, True])
async def test_a_price_that_is_none_is_refused(http: httpx2.AsyncClient, price: object) -> None:
    answer = await http.put("/api/models/openai/gpt-5/override", json={"price": {"rates": {"input": price}}})
    assert answer.status_code == 422


@pytest.mark.parametrize("name", ["auto", "auto:cost", "auto:mine", "auto:a:b", "dg:cost", "a:b:weighted"])
async def test_a_name_that_routing_gives_a_meaning_is_nobodys(http: httpx2.AsyncClient, name: str) -> None:
    for path, body in (("groups", {"model_ids": ["openai/gpt-5"]}), ("aliases", {"model_id": "openai/gpt-5"})):
        refused = await http.put(f"/api/{path}/{name}", json=body)
        assert refused.status_code == 422
        assert "is routing's own" in refused.text


@pytest.mark.parametrize("name", ["automatic", "cost", "dg:v2", "cost:dg", "dg:auto"])
async def test_a_name_that_only_looks_like_it_may_be_given(http: httpx2.AsyncClient, name: str) -> None:
    made = await http.put(f"/api/groups/{name}", json={"model_ids": ["openai/gpt-5"]})
    assert made.status_code == 200, made.text


async def test_aliases_and_groups_are_put_listed_and_deleted(http: httpx2.AsyncClient) -> None:
    alias = await http.put("/api/aliases/fast", json={"model_id": "openai/gpt-5-nano"})
    assert alias.json() == {"name": "fast", "model_id": "openai/gpt-5-nano", "revision": 1}
    group = await http.put("/api/groups/best", json={"model_ids": ["openai/gpt-5", "openai/gpt-4o"]})
    assert group.json()["model_ids"] == ["openai/gpt-5", "openai/gpt-4o"]
    taken = await http.put("/api/groups/fast", json={"model_ids": ["openai/gpt-5"]})
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    assert [one["name"] for one in (await http.get("/api/aliases")).json()["items"]] == ["fast"]
    assert [one["name"] for one in (await http.get("/api/groups")).json()["items"]] == ["best"]
    assert (await http.delete("/api/aliases/fast")).status_code == 204
    assert (await http.delete("/api/groups/best")).status_code == 204
    assert (await http.delete("/api/groups/best")).status_code == 404


async def test_an_etag_that_is_none_of_ours_is_malformed(http: httpx2.AsyncClient) -> None:
    answer = await http.put("/api/aliases/fast", json={"model_id": "openai/gpt-5"}, headers={"if-match": '"yesterday"'})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/providers", None),
        ("POST", "/api/providers", ORDER),
        ("PUT", "/api/aliases/x", {"model_id": "openai/gpt-5"}),
        ("PUT", "/api/groups/x", {"model_ids": ["openai/gpt-5"]}),
        ("PUT", "/api/models/openai/gpt-5/override", {"context_window": 1}),
    ],
)
async def test_a_key_that_may_only_call_is_refused(
    http: httpx2.AsyncClient, method: str, path: str, body: object
) -> None:
    answer = await http.request(method, path, json=body, headers={"x-admin-token": ""})
    assert answer.status_code == 403
