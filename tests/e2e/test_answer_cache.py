"""Answers from memory: in one process and, through Redis, among several."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.calling import CHAT, Said, a_chat, calls, event_of, send, surfaces, until
from tests.e2e.conftest import Running, Samovar, start_samovar

ASKED = {"x-samovar-cache": "1"}
SURFACES = surfaces(chat="openai/gpt-4.1", vectors="openai/text-embedding-3-small")


def post(samovar: Samovar, body: Any, headers: dict[str, str], *, path: str = CHAT, key: str = "") -> Said:
    return send(samovar, path, body, headers, bearer=key)


def chat(text: str = "", **more: Any) -> dict[str, Any]:
    """A chat that nobody asked before, of a model that has a price."""
    return a_chat(f"{text} {uuid.uuid4().hex}", model="openai/gpt-4.1", **more)


def a_key(samovar: Samovar, **fields: Any) -> str:
    status, made, _ = samovar.request("POST", "/api/keys", {"name": uuid.uuid4().hex, **fields})
    assert status == 201, made
    return str(made["key"])


@pytest.fixture(scope="module", params=["memory", "redis"])
def pair(
    request: pytest.FixtureRequest, sandbox: Running, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Samovar, Samovar]]:
    """Two processes that share a Redis (one, twice, with its own memory)."""
    settings = {
        "OPENAI_API_KEY": "sk-vendor-openai",
        "OPENAI_BASE_URL": f"{sandbox.url}/v1",
        "SAMOVAR_BLOCK_TRIES": "off",
    }
    if request.param == "memory":
        only = start_samovar(tmp_path_factory.mktemp("memory"), settings)
        yield only, only
        only.stop()
        return
    settings["SAMOVAR_REDIS_URL"] = request.getfixturevalue("redis_server")
    both = [start_samovar(tmp_path_factory.mktemp("redis"), settings) for _ in range(2)]
    yield both[0], both[1]
    for one in both:
        one.stop()


@pytest.mark.parametrize(("path", "body"), SURFACES, ids=[path for path, _ in SURFACES])
def test_what_was_asked_before_is_answered_from_memory_and_costs_nothing(
    pair: tuple[Samovar, Samovar], sandbox: Running, path: str, body: Any
) -> None:
    body = json.loads(json.dumps(body).replace("TEXT", uuid.uuid4().hex))
    before = calls(sandbox)
    first = post(pair[0], body, ASKED, path=path)
    again = dict(reversed(body.items()))
    second = post(pair[1], again, {**ASKED, "X-Request-Id": (name := uuid.uuid4().hex)}, path=path)
    assert (first.status, second.status) == (200, 200)
    assert (first.cache, second.cache) == ("MISS", "HIT")
    assert first.body == second.body
    assert calls(sandbox) == before + 1
    assert float(first.headers["x-samovar-cost-credits"]) > 0
    assert float(second.headers["x-samovar-cost-credits"]) == 0
    assert second.headers["x-samovar-model"] == first.headers["x-samovar-model"]
    assert second.headers["x-samovar-attempts"] == "0"
    assert second.headers["x-samovar-call-id"] != first.headers["x-samovar-call-id"]
    event = event_of(pair[1], name)
    assert (event["status"], event["cost_nano_usd"], event["price_source"]) == ("ok", 0, "cache")
    assert (event["input_tokens"], event["attempts"]) == (None, "[]")


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
def test_a_stream_is_answered_from_memory_as_a_stream(
    pair: tuple[Samovar, Samovar], sandbox: Running, path: str
) -> None:
    body = chat("word after word", stream=True, max_tokens=100)
    if path == "/v1/responses":
        body = {"model": body["model"], "input": uuid.uuid4().hex, "stream": True}
    before = calls(sandbox)
    first, second = (post(samovar, body, ASKED, path=path) for samovar in pair)
    assert (first.cache, second.cache) == ("MISS", "HIT")
    assert second.headers["content-type"].startswith("text/event-stream")
    assert first.body == second.body
    assert second.body.count(b"data:") > 3
    assert float(second.headers["x-samovar-cost-credits"]) == 0
    assert calls(sandbox) == before + 1
    # Asked as JSON it is another answer.
    whole = post(pair[0], {**body, "stream": False}, ASKED, path=path)
    assert (whole.status, whole.cache) == (200, "MISS")
    assert json.loads(whole.body)


def test_forms_of_geminis_stream_are_different_answers(pair: tuple[Samovar, Samovar]) -> None:
    path = "/gemini/v1beta/models/openai%2Fgpt-4.1:streamGenerateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": uuid.uuid4().hex}]}]}
    assert post(pair[0], body, ASKED, path=f"{path}?alt=sse").body.startswith(b"data:")
    array = post(pair[1], body, ASKED, path=path)
    assert array.cache == "MISS"
    assert isinstance(json.loads(array.body), list)
    assert post(pair[0], body, ASKED, path=path).body == array.body


def test_nobody_gets_what_they_did_not_ask_for(pair: tuple[Samovar, Samovar], sandbox: Running) -> None:
    body = chat(temperature=0)
    before = calls(sandbox)
    for _ in range(2):
        assert post(pair[0], body, {}).cache is None
    assert calls(sandbox) == before + 2
    assert post(pair[0], body, {"x-samovar-cache-ttl": "60"}).cache == "MISS"
    assert post(pair[0], body, {"x-samovar-cache-ttl": "60"}).cache == "HIT"
    assert post(pair[0], body, {"x-samovar-cache": "0"}).cache is None


def test_an_answer_is_forgotten_when_its_time_is_over(pair: tuple[Samovar, Samovar]) -> None:
    body = chat()
    assert post(pair[0], body, {"x-samovar-cache-ttl": "1"}).cache == "MISS"
    assert until(lambda: post(pair[1], body, {"x-samovar-cache-ttl": "1"}).cache == "MISS")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "more", "status"),
    [
        ("[[fault:500]]", {}, 502),
        ("[[fault:429 retry_after=0]]", {}, 429),
        ("[[fault:400]]", {}, 400),
        ("one two three four five six", {"max_tokens": 2}, 200),
    ],
)
def test_errors_and_answers_cut_short_are_not_remembered(
    pair: tuple[Samovar, Samovar], sandbox: Running, stream: bool, text: str, more: Any, status: int
) -> None:
    body = {**chat(text, stream=stream, **more), "model": f"openai/gpt-{uuid.uuid4().hex}"}
    for samovar in pair:
        before = calls(sandbox)
        found = post(samovar, body, ASKED)
        assert found.status == status
        assert found.cache in (None, "MISS")
        assert calls(sandbox) > before


def test_a_stream_that_broke_is_not_remembered(pair: tuple[Samovar, Samovar], sandbox: Running) -> None:
    body = chat("[[fault:cut]] one two three four five six seven eight", stream=True)
    for samovar in pair:
        before = calls(sandbox)
        assert b"error" in post(samovar, body, ASKED).body
        assert calls(sandbox) == before + 1


def test_a_key_may_ask_for_all_its_calls_at_temperature_0(pair: tuple[Samovar, Samovar]) -> None:
    one, other = (a_key(samovar, cache={"ttl_s": 60}) for samovar in pair)
    cold, warm = chat(temperature=0), chat(temperature=1)
    assert [post(pair[0], cold, {}, key=one).cache, post(pair[1], cold, {}, key=other).cache] == ["MISS", "HIT"]
    assert [post(pair[0], warm, {}, key=one).cache for _ in range(2)] == ["MISS", "MISS"]
    assert post(pair[0], cold, {"x-samovar-cache": "0"}, key=one).cache is None


def test_a_key_may_keep_its_answers_to_itself(pair: tuple[Samovar, Samovar]) -> None:
    own, shared = a_key(pair[0], cache={"own": True}), a_key(pair[0], cache={})
    body = chat(temperature=0)
    assert [post(pair[0], body, {}, key=own).cache for _ in range(2)] == ["MISS", "HIT"]
    assert post(pair[0], body, {}, key=shared).cache == "MISS"


def test_guard_rails_and_rights_come_before_memory(pair: tuple[Samovar, Samovar]) -> None:
    body = chat("the secret word")
    assert post(pair[0], body, ASKED).cache == "MISS"
    assert post(pair[0], body, ASKED).cache == "HIT"
    rule = {"name": "no secrets", "pattern": "secret", "action": "block", "on": "input"}
    guarded = a_key(pair[0], guard={"rules": [rule]})
    assert post(pair[0], body, ASKED, key=guarded).status == 400
    # What was said without the rule is not said to a key that has it.
    said = a_key(pair[0], guard={"rules": [{**rule, "on": "output", "action": "redact"}]})
    found = post(pair[0], body, ASKED, key=said)
    assert (found.status, found.cache) == (200, "MISS")
    assert b"secret" not in found.body
    elsewhere = a_key(pair[0], allowed_models=["anthropic/*"])
    assert post(pair[0], body, ASKED, key=elsewhere).status in (403, 404)


def test_an_answer_from_memory_holds_no_money(pair: tuple[Samovar, Samovar]) -> None:
    body = chat()
    assert post(pair[0], body, ASKED).cache == "MISS"
    status, wallet, _ = pair[0].request("POST", "/api/wallets", {"name": uuid.uuid4().hex, "credits": "0"})
    assert status == 201, wallet
    poor = a_key(pair[0], wallet_id=wallet["id"])
    assert post(pair[0], body, ASKED, key=poor).cache == "HIT"
    assert post(pair[0], chat(), ASKED, key=poor).status == 402


def test_a_header_that_says_nothing_known_is_refused(pair: tuple[Samovar, Samovar]) -> None:
    for headers in ({"x-samovar-cache": "maybe"}, {"x-samovar-cache-ttl": "0"}):
        assert post(pair[0], chat(), headers).status == 400
