"""Limits on a whole Samovar: what callers are told on each surface, and what holds."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from samovar.domains.identity.model import administrator
from tests.app.conftest import ADMIN, Answer, Serve, Served, Share

SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}),
    "stream": (
        "/v1/chat/completions",
        {"model": "sandbox/echo", "stream": True, "messages": [{"role": "user", "content": "hi"}]},
    ),
    "responses": ("/v1/responses", {"model": "sandbox/echo", "input": "hi"}),
    "messages": (
        "/v1/messages",
        {"model": "sandbox/echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    ),
    "gemini": ("/gemini/v1beta/models/sandbox%2Fecho:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
    "embeddings": ("/v1/embeddings", {"model": "sandbox/embed", "input": "hi"}),
}
LIMITED = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


async def admin(served: Served, method: str, path: str, body: object = None, **more: str) -> Answer:
    raw = None if body is None else json.dumps(body).encode()
    return await served.ask(method, path, body=raw, headers={**ADMIN, "Content-Type": "application/json", **more})


async def key_of(served: Served) -> tuple[str, dict[str, str]]:
    made = (await admin(served, "POST", "/api/keys", {"name": "limited"})).json
    return made["id"], {"Authorization": f"Bearer {made['key']}"}


async def call(served: Served, surface: str, headers: dict[str, str]) -> Answer:
    path, body = SURFACES[surface]
    return await served.ask("POST", path, body=json.dumps(body).encode(), headers=headers)


@asynccontextmanager
async def under_way(served: Served, headers: dict[str, str]) -> AsyncIterator[None]:
    """A stream is under way inside this block; then its caller leaves."""
    path, body = SURFACES["stream"]
    raw = json.dumps({**body, "messages": [{"role": "user", "content": "[[first_byte_ms:60000]] hi"}]}).encode()
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    _, writer = await served.connect()
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\n{told}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
    await in_flight(served, 1)
    yield
    writer.close()
    await in_flight(served, 0)


async def in_flight(served: Served, calls: int) -> None:
    """Wait until so many calls are."""
    async with asyncio.timeout(10):
        while served.services.quotas.figures().in_flight != calls:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("surface", SURFACES)
async def test_every_answer_tells_of_the_limit_and_the_refusal_has_the_surfaces_shape(
    share: Share, surface: str
) -> None:
    served = share(key_limits="2/hour")
    _, bearer = await key_of(served)
    answers = [await call(served, surface, bearer) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"2"}
    refused = answers[2]
    assert 1700 <= int(refused.headers["retry-after"]) <= 1801
    error = refused.json["error"]
    assert "2/hour" in error["message"]
    if surface == "messages":
        assert error["type"] == "rate_limit_error"
    elif surface == "gemini":
        assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    else:
        assert error["code"] == "rate_limited"


async def test_an_error_of_the_call_tells_of_the_limit_too(serve: Serve) -> None:
    served = await serve(key_limits="5/hour")
    _, bearer = await key_of(served)
    wrong = await served.ask("POST", "/v1/chat/completions", body=b"{", headers=bearer)
    assert wrong.status == 400
    assert wrong.headers["x-ratelimit-remaining"] == "4"


async def test_a_key_has_the_usual_limits_but_not_on_this_machines_own_loopback(share: Share) -> None:
    served = share()
    _, bearer = await key_of(served)
    assert not LIMITED & set((await call(served, "chat", bearer)).headers)


async def test_a_key_that_others_can_use_has_the_usual_limits(serve: Serve) -> None:
    served = await serve(host="0.0.0.0")  # noqa: S104
    _, bearer = await key_of(served)
    told = (await call(served, "chat", bearer)).headers
    assert (told["x-ratelimit-limit"], told["x-ratelimit-remaining"]) == ("150", "149")


async def test_an_admin_limits_a_key_and_sees_shows_changes_and_deletes_it(serve: Serve) -> None:
    served = await serve()
    key_id, bearer = await key_of(served)
    made = await admin(served, "POST", "/api/quotas", {"subject": "key", "subject_id": key_id, "limits": "1/hour"})
    assert made.status == 201
    path = f"/api/quotas/{made.json['id']}"
    assert [(await call(served, "chat", bearer)).status for _ in range(2)] == [200, 429]
    assert (await admin(served, "GET", path)).headers["etag"] == '"1"'
    changed = await admin(served, "PUT", path, {"limits": "off"}, **{"If-Match": '"1"'})
    assert (changed.status, changed.json["revision"]) == (200, 2)
    stale = await admin(served, "PUT", path, {"limits": "9/hour"}, **{"If-Match": '"1"'})
    assert (stale.status, stale.json["code"]) == (412, "stale_revision")
    assert (await call(served, "chat", bearer)).status == 200
    assert [one["id"] for one in (await admin(served, "GET", "/api/quotas")).json["items"]] == [made.json["id"]]
    assert (await admin(served, "DELETE", path)).status == 204
    assert (await admin(served, "GET", path)).json["code"] == "quota_not_found"
    wrong = await admin(served, "POST", "/api/quotas", {"subject": "key", "subject_id": "*", "limits": "many"})
    assert (wrong.status, wrong.json["code"]) == (422, "invalid_quota")
    assert (await served.ask("GET", "/api/quotas", headers=bearer)).status == 403


async def test_tokens_are_corrected_by_what_the_provider_says(serve: Serve) -> None:
    served = await serve()
    key_id, bearer = await key_of(served)
    await admin(served, "POST", "/api/quotas", {"subject": "key", "subject_id": key_id, "tokens": "400/hour"})
    path, body = SURFACES["chat"]
    # It may be answered up to 300 tokens, which are taken, and is answered one.
    asked = json.dumps({**body, "max_tokens": 300}).encode()
    for surface_body in (asked, json.dumps({**body, "max_tokens": 300, "stream": True}).encode()) * 3:
        answer = await served.ask("POST", path, body=surface_body, headers=bearer)
        assert answer.status == 200, answer.body
    long = json.dumps({**body, "messages": [{"role": "user", "content": "word " * 2000}]}).encode()
    refused = await served.ask("POST", path, body=long, headers=bearer)
    assert refused.status == 429
    assert "400/hour tokens" in refused.json["error"]["message"]
    # What the refused one would have used was not taken.
    assert (await served.ask("POST", path, body=asked, headers=bearer)).status == 200


@pytest.mark.parametrize("subject", ["key", "model"])
async def test_racing_calls_that_name_no_bound_do_not_pass_a_limit_on_tokens_together(
    serve: Serve, subject: str
) -> None:
    served = await serve()
    key_id, bearer = await key_of(served)
    subject_id = key_id if subject == "key" else "sandbox/echo"
    await admin(served, "POST", "/api/quotas", {"subject": subject, "subject_id": subject_id, "tokens": "3000/hour"})
    path, body = SURFACES["chat"]
    # Each is answered some 250 tokens: all twenty together would use three times the limit.
    raw = json.dumps(
        {**body, "messages": [{"role": "user", "content": "[[first_byte_ms:300]] " + "word " * 200}]}
    ).encode()
    answers = await asyncio.gather(*(served.ask("POST", path, body=raw, headers=bearer) for _ in range(20)))
    assert {answer.status for answer in answers} == {200, 429}
    used = sum(answer.json["usage"]["total_tokens"] for answer in answers if answer.status == 200)
    assert 0 < used <= 3000
    # What was taken for an answer that might have been longer is given back.
    assert (await served.ask("POST", path, body=raw, headers=bearer)).status == 200


async def test_a_model_that_is_used_up_leaves_the_call_to_the_next_of_its_group(serve: Serve) -> None:
    served = await serve()
    _, bearer = await key_of(served)
    await admin(served, "PUT", "/api/groups/some", {"model_ids": ["sandbox/echo", "sandbox/reason"]})
    await admin(served, "POST", "/api/quotas", {"subject": "model", "subject_id": "sandbox/echo", "limits": "1/hour"})
    path, body = SURFACES["chat"]
    answered = [
        await served.ask("POST", path, body=json.dumps({**body, "model": model}).encode(), headers=bearer)
        for model in ("some", "some", "sandbox/echo")
    ]
    assert [answer.headers.get("x-samovar-model") for answer in answered] == ["sandbox/echo", "sandbox/reason", None]
    assert answered[2].status == 429
    assert "model sandbox/echo" in answered[2].json["error"]["message"]


async def test_so_many_calls_at_once_and_the_place_of_one_that_left_is_free(serve: Serve) -> None:
    served = await serve()
    key_id, bearer = await key_of(served)
    await admin(served, "POST", "/api/quotas", {"subject": "key", "subject_id": key_id, "concurrency": 1})
    async with under_way(served, bearer):
        refused = await call(served, "chat", bearer)
    assert refused.status == 429
    assert "1 calls at once" in refused.json["error"]["message"]
    assert (await call(served, "chat", bearer)).status == 200


async def test_an_address_that_tries_too_often_is_shut_out_on_both_planes_and_let_in_by_an_admin(serve: Serve) -> None:
    served = await serve(host="0.0.0.0", block_tries="3/hour", credential_tries="off", address_limit="off")  # noqa: S104
    _, bearer = await key_of(served)
    wrong = {"Authorization": "Bearer sk-samovar-" + "x" * 43}
    assert [(await call(served, "chat", wrong)).status for _ in range(4)] == [401] * 4
    refused = await call(served, "messages", bearer)
    assert refused.status == 429
    assert refused.json["type"] == "error"
    assert int(refused.headers["retry-after"]) > 800
    shut_out = await admin(served, "GET", "/api/keys")
    assert (shut_out.status, shut_out.json["code"]) == (429, "address_blocked")
    assert (await served.ask("GET", "/health/live")).status == 200
    # From elsewhere an admin sees it, and lets it in.
    assert "samovar_addresses_blocked 1" in (await served.services.metrics.text()).decode()
    quotas = served.services.quotas
    assert [one.address for one in await quotas.addresses.blocked(administrator())] == ["127.0.0.1"]
    await quotas.addresses.unblock(administrator(), "127.0.0.1")
    assert (await call(served, "chat", bearer)).status == 200
    listed = await admin(served, "GET", "/api/quotas/blocked")
    assert listed.json == {"items": [], "next_cursor": None}
    assert (await admin(served, "DELETE", "/api/quotas/blocked/127.0.0.1")).status == 404


async def test_an_address_without_a_key_is_limited(serve: Serve) -> None:
    served = await serve(host="0.0.0.0", address_limit="2/hour")  # noqa: S104
    assert [(await call(served, "chat", {})).status for _ in range(3)] == [401, 401, 429]
    _, bearer = await key_of(served)
    assert (await call(served, "chat", bearer)).status == 200


async def test_a_key_is_limited_on_the_control_plane_and_the_administrator_is_not(share: Share) -> None:
    served = share(key_limits="2/hour")
    made = (await admin(served, "POST", "/api/keys", {"name": "keys", "scopes": ["keys"]})).json
    bearer = {"Authorization": f"Bearer {made['key']}"}
    answers = [await served.ask("GET", "/api/keys", headers=bearer) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].json["code"] == "rate_limited"
    assert [(await admin(served, "GET", "/api/keys")).status for _ in range(4)] == [200] * 4


async def test_a_process_that_is_too_busy_says_so_before_any_work(serve: Serve) -> None:
    served = await serve(shed_in_flight=1)
    _, bearer = await key_of(served)
    async with under_way(served, bearer):
        refused = await call(served, "chat", bearer)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert (await call(served, "chat", bearer)).status == 200
    text = (await served.services.metrics.text()).decode()
    assert "samovar_calls_shed_total 1" in text
    assert 'samovar_quota_mode{kind="requests",mode="exact"} 1' in text


async def test_asking_for_the_models_counts_and_tells_too(share: Share) -> None:
    served = share(key_limits="2/hour")
    _, bearer = await key_of(served)
    answers = [await served.ask("GET", "/v1/models", headers=bearer) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].json["error"]["code"] == "rate_limited"
