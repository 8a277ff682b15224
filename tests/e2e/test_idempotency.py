"""One answer for each idempotency key: on both engines, among processes, for streams, and after a restart."""

import http.client
import json
import os
import uuid
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.calling import CHAT, Said, a_chat, calls, fresh, send, stats, surfaces, until
from tests.e2e.conftest import ADMIN_TOKEN, Running, Samovar, start_samovar
from tests.support import tables_ready
from tests.support.servers import POSTGRES_URL, on_postgres

SURFACES = surfaces(chat="openai/gpt-once", vectors="openai/text-embedding-once")


def post(samovar: Samovar, path: str, body: Any, key: str | None, *, bearer: str = "") -> Said:
    """A call under an idempotency key; on /api as the administrator."""
    return send(samovar, path, body, {} if key is None else {"Idempotency-Key": key}, bearer=bearer)


def chat(text: str, **more: Any) -> dict[str, Any]:
    """A chat with a model that nobody called before."""
    return a_chat(text, model=fresh("openai"), **more)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pair(
    request: pytest.FixtureRequest, sandbox: Running, tmp_path_factory: pytest.TempPathFactory, run_name: str
) -> Iterator[tuple[Samovar, Samovar]]:
    """Two processes on one database (one, twice, on SQLite's)."""
    folder = tmp_path_factory.mktemp("once")
    settings = {
        "OPENAI_API_KEY": "sk-vendor-openai",
        "OPENAI_BASE_URL": f"{sandbox.url}/v1",
        "SAMOVAR_MASTER_KEY": b64encode(os.urandom(32)).decode(),
        "SAMOVAR_IDEMPOTENCY_LEASE_S": "5",
        "SAMOVAR_BLOCK_TRIES": "off",
    }
    if request.param == "sqlite":
        only = start_samovar(folder, settings)
        yield only, only
        only.stop()
        return
    request.getfixturevalue("empty_postgres_url")
    name = f"{run_name}_once"
    tables_ready.on_server(name)
    both: list[Samovar] = []
    try:
        for number in ("1", "2"):
            (folder / number).mkdir()
            both.append(start_samovar(folder / number, {**settings, "SAMOVAR_DATABASE_URL": f"{POSTGRES_URL}/{name}"}))
        both[1].key = both[0].key
        yield both[0], both[1]
    finally:
        for one in both:
            one.stop()
        on_postgres(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.mark.parametrize(("path", "body"), SURFACES, ids=[path for path, _ in SURFACES])
def test_every_surface_gives_its_first_answer_again_byte_for_byte(
    pair: tuple[Samovar, Samovar], sandbox: Running, path: str, body: Any
) -> None:
    one, other = pair
    text, key = uuid.uuid4().hex, uuid.uuid4().hex
    body = json.loads(json.dumps(body).replace("TEXT", text))
    before = calls(sandbox)
    first = post(one, path, body, key)
    second = post(other, path, body, key)
    assert (first.status, second.status) == (200, 200)
    assert (first.is_replay, second.is_replay) == (False, True)
    assert first.body == second.body
    assert text.encode() in first.body or "embedding" in path
    assert calls(sandbox) == before + 1
    assert second.headers["x-samovar-call-id"] == first.headers["x-samovar-call-id"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert second.headers["content-type"] == first.headers["content-type"]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_a_stream_is_given_again_as_a_stream(pair: tuple[Samovar, Samovar], sandbox: Running, path: str) -> None:
    one, other = pair
    body = chat("word after word after word", stream=True, max_tokens=100)
    before = calls(sandbox)
    key = uuid.uuid4().hex
    first, second = post(one, path, body, key), post(other, path, body, key)
    assert second.is_replay
    assert second.headers["content-type"].startswith("text/event-stream")
    assert second.headers["transfer-encoding"] == "chunked"
    assert first.body == second.body
    assert first.body.count(b"data:") > 5
    assert calls(sandbox) == before + 1


def test_of_many_that_race_in_two_processes_one_calls_the_provider(
    pair: tuple[Samovar, Samovar], sandbox: Running
) -> None:
    body, key = chat("[[first_byte_ms:1500]] who wins?"), uuid.uuid4().hex
    before = calls(sandbox)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: post(pair[number % 2], CHAT, body, key), range(16)))
    assert sorted(one.status for one in found) == [200, *[409] * 15]
    for one in found:
        if one.status == 409:
            assert one.code == "idempotency_in_flight"
            assert int(one.headers["retry-after"]) > 0
    assert calls(sandbox) == before + 1
    [winner] = [one for one in found if one.status == 200]
    for samovar in pair:
        late = post(samovar, CHAT, body, key)
        assert late.is_replay
        assert late.body == winner.body
    assert calls(sandbox) == before + 1


def test_another_body_under_the_same_key_is_refused(pair: tuple[Samovar, Samovar]) -> None:
    key = uuid.uuid4().hex
    assert post(pair[0], CHAT, chat("one"), key).status == 200
    refused = post(pair[1], CHAT, chat("two"), key)
    assert (refused.status, refused.code) == (422, "idempotency_key_reused")


def test_a_key_of_256_characters_is_refused_in_the_shape_of_the_surface(pair: tuple[Samovar, Samovar]) -> None:
    refused = post(pair[0], CHAT, chat("hi"), "x" * 256)
    assert refused.status == 400
    assert "Idempotency-Key" in json.loads(refused.body)["error"]["message"]
    assert post(pair[0], CHAT, chat("hi"), "x" * 255).status == 200


def test_a_fault_of_the_request_is_given_again(pair: tuple[Samovar, Samovar], sandbox: Running) -> None:
    key, body = uuid.uuid4().hex, {"model": "openai/gpt-4", "messages": "none"}
    before = calls(sandbox)
    first, second = (post(samovar, CHAT, body, key) for samovar in pair)
    assert 400 <= first.status < 500
    assert (first.status, first.body) == (second.status, second.body)
    assert second.is_replay
    assert calls(sandbox) <= before + 1


@pytest.mark.parametrize("fault", ["500", "429 retry_after=0", "html_502"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_of_the_provider_is_not_kept(
    pair: tuple[Samovar, Samovar], sandbox: Running, fault: str, stream: bool
) -> None:
    key, body = uuid.uuid4().hex, chat(f"[[fault:{fault}]] hi", stream=stream)
    for samovar in pair:
        before = calls(sandbox)
        found = post(samovar, CHAT, body, key)
        assert found.status >= 429
        assert not found.is_replay
        assert calls(sandbox) > before


def test_a_stream_that_broke_is_not_kept(pair: tuple[Samovar, Samovar], sandbox: Running) -> None:
    key, body = uuid.uuid4().hex, chat("[[fault:cut]] one two three four five six seven eight", stream=True)
    for samovar in pair:
        before = calls(sandbox)
        found = post(samovar, CHAT, body, key)
        assert found.status == 200
        assert b"error" in found.body
        assert not found.is_replay
        assert calls(sandbox) == before + 1


def test_a_client_that_leaves_in_mid_stream_leaves_its_key_free(
    pair: tuple[Samovar, Samovar], sandbox: Running
) -> None:
    one, other = pair
    key, body = uuid.uuid4().hex, chat("[[chunks:60 delay_ms=30]] words", stream=True)
    place = urlsplit(one.url)
    link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    headers = {"Authorization": f"Bearer {one.key}", "Idempotency-Key": key}
    before = stats(sandbox)
    link.request("POST", CHAT, json.dumps(body), headers)
    answer = link.getresponse()
    assert answer.read1(50)
    answer.close()
    link.close()
    assert until(lambda: stats(sandbox)["cancelled"] + stats(sandbox)["cut"] > before["cancelled"] + before["cut"])
    # At once, not when a lease is over.
    found: list[Said] = []
    assert until(lambda: bool(found.append(post(other, CHAT, body, key)) or found[-1].status == 200), within_s=3)
    assert not found[-1].is_replay
    assert post(one, CHAT, body, key).body == found[-1].body


def test_an_answer_larger_than_is_kept_is_not_made_twice(pair: tuple[Samovar, Samovar], sandbox: Running) -> None:
    key, body = uuid.uuid4().hex, chat("x" * 4_300_000)
    before = calls(sandbox)
    assert post(pair[0], CHAT, body, key).status == 200
    again = post(pair[1], CHAT, body, key)
    assert (again.status, again.code) == (422, "idempotent_answer_not_kept")
    assert calls(sandbox) == before + 1


def test_a_thing_is_made_once_and_its_secret_shown_again(pair: tuple[Samovar, Samovar]) -> None:
    key, body = uuid.uuid4().hex, {"name": f"once {uuid.uuid4().hex}"}
    first, second = (post(samovar, "/api/keys", body, key) for samovar in pair)
    assert (first.status, second.status) == (201, 201)
    assert (first.is_replay, second.is_replay) == (False, True)
    assert first.body == second.body
    assert second.headers["cache-control"] == "no-store"
    assert second.headers["content-type"] == "application/json"
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    _, page, _ = pair[0].request("GET", "/api/keys?limit=100")
    assert [one["name"] for one in page["items"]].count(body["name"]) == 1
    # The secret works, and the key of another caller with that secret is another key.
    made = json.loads(first.body)["key"]
    assert post(pair[0], CHAT, chat("hi"), key, bearer=made).status == 200
    refused = post(pair[0], "/api/keys", {"name": "another"}, key)
    assert (refused.status, refused.code) == (422, "idempotency_key_reused")


def test_of_many_that_make_one_thing_at_once_one_makes_it(pair: tuple[Samovar, Samovar]) -> None:
    key, body = uuid.uuid4().hex, {"name": f"race {uuid.uuid4().hex}"}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: post(pair[number % 2], "/api/keys", body, key), range(8)))
    assert {one.status for one in found} <= {201, 409}
    assert sum(one.status == 201 and not one.is_replay for one in found) == 1
    _, page, _ = pair[0].request("GET", "/api/keys?limit=100")
    assert [one["name"] for one in page["items"]].count(body["name"]) == 1


def test_a_fault_of_an_order_is_given_again(pair: tuple[Samovar, Samovar]) -> None:
    key = uuid.uuid4().hex
    first, second = (post(samovar, "/api/keys", {"name": ""}, key) for samovar in pair)
    assert (first.status, second.status) == (422, 422)
    assert second.is_replay
    assert second.headers["content-type"] == "application/problem+json"
    assert first.body == second.body


def test_a_caller_without_a_credential_gets_nothing_of_what_is_kept(pair: tuple[Samovar, Samovar]) -> None:
    key, body = uuid.uuid4().hex, chat("hi")
    assert post(pair[0], CHAT, body, key).status == 200
    assert post(pair[0], CHAT, body, key, bearer="sk-samovar-wrong").status == 401


def test_an_order_is_done_and_kept_though_its_caller_leaves(pair: tuple[Samovar, Samovar]) -> None:
    place = urlsplit(pair[0].url)
    for _ in range(10):
        key, body = uuid.uuid4().hex, {"name": f"left {uuid.uuid4().hex}"}
        link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
        link.request("POST", "/api/keys", json.dumps(body), {"X-Admin-Token": ADMIN_TOKEN, "Idempotency-Key": key})
        link.close()
        found: list[Said] = []
        assert until(lambda: bool(found.append(post(pair[1], "/api/keys", body, key)) or found[-1].status == 201))  # noqa: B023
        _, page, _ = pair[0].request("GET", "/api/keys?limit=100")
        assert [one["name"] for one in page["items"]].count(body["name"]) == 1


def test_a_process_killed_in_mid_call_frees_its_key_with_its_lease_and_what_was_kept_outlives_it(
    sandbox: Running, tmp_path: Path
) -> None:
    settings = {
        "OPENAI_API_KEY": "sk-vendor-openai",
        "OPENAI_BASE_URL": f"{sandbox.url}/v1",
        "SAMOVAR_IDEMPOTENCY_LEASE_S": "5",
    }
    samovar = start_samovar(tmp_path, settings)
    kept, key, body = chat("keep this"), uuid.uuid4().hex, chat("[[first_byte_ms:2000]] then die")
    first = post(samovar, CHAT, kept, "kept")
    with ThreadPoolExecutor(1) as pool:
        before = stats(sandbox)["in_flight"]
        doomed = pool.submit(post, samovar, CHAT, body, key)
        assert until(lambda: stats(sandbox)["in_flight"] > before)
        samovar.process.kill()
        samovar.process.wait(10)
        assert isinstance(doomed.exception(10), (OSError, http.client.HTTPException))
    again = start_samovar(tmp_path, settings)
    again.key = samovar.key
    try:
        assert post(again, CHAT, kept, "kept").body == first.body
        found: list[Said] = []
        assert until(lambda: bool(found.append(post(again, CHAT, body, key)) or found[-1].status == 200), within_s=15)
        assert {one.status for one in found[:-1]} <= {409}
        assert not found[-1].is_replay
    finally:
        again.stop()
