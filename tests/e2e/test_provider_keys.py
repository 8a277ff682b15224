"""Several keys of one provider: they take turns, and one that its vendor limits or refuses rests. The vendor is the sandbox,
whose journal tells which key each request came with."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.e2e.calling import Way, call
from tests.e2e.conftest import Running, Samovar, start_samovar

REFUSED_BY_SANDBOX = "sk-sandbox-bad"
WHOLE, STREAM = Way("openai", "openai", stream=False), Way("openai", "openai", stream=True)


@pytest.fixture(scope="module")
def keyed(sandbox: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar whose environment has two keys of OpenAI's."""
    settings = {
        "OPENAI_API_KEY": "sk-of-the-environment-aaaa, sk-of-the-environment-bbbb",
        "OPENAI_BASE_URL": f"{sandbox.url}/v1",
    }
    running = start_samovar(tmp_path_factory.mktemp("keyed"), settings)
    yield running
    running.stop()


class Provider:
    """A provider of its own, so that its keys are all well, with keys that tell themselves apart by their ends."""

    def __init__(self, samovar: Samovar, sandbox: Running, keys: list[str]) -> None:
        self.samovar, self.sandbox, self.keys = samovar, sandbox, keys
        self.name = f"pool-{uuid.uuid4().hex[:8]}"
        self.model = f"{self.name}/gpt-{uuid.uuid4().hex[:8]}"
        order = {"name": self.name, "vendor": "openai", "base_url": f"{sandbox.url}/v1", "api_keys": keys}
        status, made, _ = samovar.request("POST", "/api/providers", order)
        assert status == 201, made
        self.id = made["id"]

    def asked_with(self) -> list[str]:
        """The ends of the keys that the sandbox saw, in order, of calls to this provider's model."""
        journal = httpx2.get(f"{self.sandbox.url}/sandbox/requests").json()["requests"]
        mine = [one for one in journal if one["model"] == self.model.partition("/")[2]]
        return [re.sub(r".*ends in (\w+)\]", r"\1", one["headers"]["authorization"]) for one in mine]

    def health(self) -> Any:
        """``GET /api/providers/{id}/health``."""
        status, found, _ = self.samovar.request("GET", f"/api/providers/{self.id}/health")
        assert status == 200, found
        return found

    def fails_only_with(self, place: int, fault: str) -> str:
        """A text whose first call with this key fails, and with no other."""
        text = f"[[flaky:1 {fault}]] {uuid.uuid4().hex}"
        body = {"model": "gpt-other", "messages": [{"role": "user", "content": text}]}
        for other, key in enumerate(self.keys):
            if other != place:
                headers = {"Authorization": f"Bearer {key}"}
                assert httpx2.post(f"{self.sandbox.url}/v1/chat/completions", json=body, headers=headers).is_error
        return text


def keys(count: int) -> list[str]:
    """Keys that end in 0000, 0001 ..."""
    return [f"sk-{uuid.uuid4().hex}-{place:04}" for place in range(count)]


def metric(samovar: Samovar, series: str) -> float:
    """A series of ``/metrics``."""
    _, text, _ = samovar.request("GET", "/metrics")
    (value,) = re.findall(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(value)


def test_keys_take_turns_from_call_to_call(keyed: Samovar, sandbox: Running) -> None:
    provider = Provider(keyed, sandbox, keys(3))
    for way in (WHOLE, STREAM, WHOLE, WHOLE, STREAM, WHOLE):
        assert call(keyed, way, "hello", model=provider.model).said == "hello"
    assert provider.asked_with() == ["0000", "0001", "0002"] * 2
    assert [(key["state"], key["calls"]) for key in provider.health()["keys"]] == [("well", 2)] * 3


def test_keys_of_one_variable_with_commas_between_take_turns(keyed: Samovar, sandbox: Running) -> None:
    for _ in range(4):
        assert call(keyed, WHOLE, "hello").status == 200
    status, health, _ = keyed.request("GET", "/api/providers/environment-openai/health")
    assert status == 200
    assert [(key["hint"], key["calls"]) for key in health["keys"]] == [("...aaaa", 2), ("...bbbb", 2)]


@pytest.mark.parametrize("way", [WHOLE, STREAM], ids=str)
def test_a_limited_key_rests_and_the_next_one_is_asked_at_once(keyed: Samovar, sandbox: Running, way: Way) -> None:
    provider = Provider(keyed, sandbox, keys(2))
    text = provider.fails_only_with(0, "fault=429 retry_after=30")
    outcome = call(keyed, way, text, model=provider.model)
    assert (outcome.status, outcome.headers["x-samovar-attempts"]) == (200, "2"), outcome.text
    assert outcome.took_s < 10
    for _ in range(3):
        assert call(keyed, way, "hello", model=provider.model).status == 200
    assert provider.asked_with() == ["0000", "0001", "0001", "0001", "0001"]
    limited, well = provider.health()["keys"]
    assert (limited["state"], limited["limited"], well["state"], well["rests_for_s"]) == ("limited", 1, "well", 0)
    assert 10 < limited["rests_for_s"] <= 30
    assert metric(keyed, f'samovar_provider_keys_resting{{provider="{provider.name}"}}') == 1


def test_a_limited_key_is_well_again_after_the_time_its_vendor_said(keyed: Samovar, sandbox: Running) -> None:
    provider = Provider(keyed, sandbox, keys(2))
    text = provider.fails_only_with(0, "fault=429 retry_after=1")
    assert call(keyed, WHOLE, text, model=provider.model).status == 200
    seen = len(provider.asked_with())
    deadline = time.monotonic() + 20
    while "0000" not in provider.asked_with()[seen:] and time.monotonic() < deadline:
        call(keyed, WHOLE, "hello", model=provider.model)
    assert "0000" in provider.asked_with()[seen:]
    assert {key["state"] for key in provider.health()["keys"]} == {"well"}


def test_a_refused_key_rests_ten_minutes(keyed: Samovar, sandbox: Running) -> None:
    good = keys(1)[0]
    provider = Provider(keyed, sandbox, [REFUSED_BY_SANDBOX, good])
    outcomes = [call(keyed, WHOLE, "hello", model=provider.model) for _ in range(4)]
    assert [(one.status, one.headers["x-samovar-attempts"]) for one in outcomes] == [
        (200, "2"), (200, "1"), (200, "1"), (200, "1")
    ]  # fmt: skip
    # The sandbox turns a bad key away before it reads which model is asked.
    assert provider.asked_with() == ["0000"] * 4
    refused, well = provider.health()["keys"]
    assert (refused["state"], refused["refused"], well["state"]) == ("refused", 1, "well")
    assert 550 < refused["rests_for_s"] <= 600


def test_a_call_is_tried_with_three_keys_at_most(keyed: Samovar, sandbox: Running) -> None:
    provider = Provider(keyed, sandbox, keys(5))
    outcome = call(keyed, WHOLE, "[[fault:429 retry_after=30]] hello", model=provider.model)
    assert (outcome.status, outcome.headers["retry-after"]) == (429, "30")
    assert provider.asked_with() == ["0000", "0001", "0002"]
    assert [key["state"] for key in provider.health()["keys"]] == ["limited"] * 3 + ["well"] * 2


def test_when_all_keys_rest_the_one_that_is_well_first_is_still_tried(keyed: Samovar, sandbox: Running) -> None:
    provider = Provider(keyed, sandbox, keys(2))
    assert call(keyed, WHOLE, "[[fault:429 retry_after=30]] hello", model=provider.model).status == 429
    assert call(keyed, WHOLE, "hello", model=provider.model).status == 200
    assert provider.asked_with() == ["0000", "0001", "0000"]
    assert [key["state"] for key in provider.health()["keys"]] == ["well", "limited"]


def test_the_only_key_of_a_provider_does_not_rest(keyed: Samovar, sandbox: Running) -> None:
    provider = Provider(keyed, sandbox, keys(1))
    outcome = call(keyed, WHOLE, "[[fault:429 retry_after=30]] hello", model=provider.model)
    assert (outcome.status, outcome.headers["retry-after"]) == (429, "30")
    assert call(keyed, WHOLE, "hello", model=provider.model).status == 200
    assert provider.asked_with() == ["0000", "0000"]
    assert provider.health()["keys"] == []


def test_what_is_not_the_keys_fault_leaves_it_well(keyed: Samovar, sandbox: Running) -> None:
    provider = Provider(keyed, sandbox, keys(2))
    for fault in ("500", "400", "404"):
        assert call(keyed, WHOLE, f"[[fault:{fault}]] hello", model=provider.model).status >= 400
    assert {key["state"] for key in provider.health()["keys"]} == {"well"}
    assert len(provider.asked_with()) == 3


def test_keys_that_are_changed_begin_anew(keyed: Samovar, sandbox: Running) -> None:
    provider = Provider(keyed, sandbox, [REFUSED_BY_SANDBOX, keys(1)[0]])
    assert call(keyed, WHOLE, "hello", model=provider.model).status == 200
    status, _, _ = keyed.request("PATCH", f"/api/providers/{provider.id}", {"api_keys": keys(2)})
    assert status == 200
    assert {(key["state"], key["calls"]) for key in provider.health()["keys"]} == {("well", 0)}


def test_a_providers_health_shows_the_models_that_do_worst_first(keyed: Samovar, sandbox: Running) -> None:
    provider = Provider(keyed, sandbox, keys(1))
    assert call(keyed, STREAM, "[[chunks:20 delay_ms=1]] hello", model=provider.model).status == 200
    ill = f"{provider.name}/gpt-ill"
    for _ in range(5):
        assert call(keyed, WHOLE, "[[fault:500]] hello", model=ill).status == 502
    health = provider.health()
    assert (health["name"], health["enabled"], health["models_seen"]) == (provider.name, True, 2)
    worst, well = health["models"]
    assert (worst["model"], worst["breaker"], well["model"], well["breaker"]) == (ill, "open", provider.model, "closed")
    assert 30 < worst["rests_for_s"] <= 60
    assert worst["failure"] > 0.5
    assert (well["rests_for_s"], well["failure"]) == (0, 0)
    assert well["first_content_s"] > 0
    # It never answered, and is shown by its name all the same: it is ill.
    assert metric(keyed, f'samovar_breaker_state{{model="{ill}"}}') == 2


def test_only_who_may_read_providers_sees_their_health(keyed: Samovar, sandbox: Running) -> None:
    provider = Provider(keyed, sandbox, keys(2))
    path = f"/api/providers/{provider.id}/health"
    bare = httpx2.get(keyed.url + path)
    caller = httpx2.get(keyed.url + path, headers={"Authorization": f"Bearer {keyed.key}"})
    assert (bare.status_code, caller.status_code) == (401, 403)
    assert "providers:read" in caller.json()["detail"]
    status, refused, _ = keyed.request("GET", "/api/providers/none/health")
    assert (status, refused["code"]) == (404, "provider_not_found")
    call(keyed, WHOLE, "hello", model=provider.model)
    assert not any(key in json.dumps(provider.health()) for key in provider.keys)
