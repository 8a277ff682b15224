"""Attempts, breakers, names and money, as a running Samovar shows them."""

import json
import os
import signal
import sqlite3
import threading
import time
import uuid
from pathlib import Path

import pytest

from samovar.kernel.money import nano_usd_of_credits
from tests.e2e.calling import STREAMS, WAYS, Way, call, event_of, fresh
from tests.e2e.conftest import Running, Samovar, start_samovar
from tests.support.sockets import closed_port


@pytest.fixture(scope="module")
def group(samovar: Samovar) -> str:
    """A group whose first member's provider is down."""
    name = f"down{uuid.uuid4().hex[:6]}"
    provider = {"name": name, "vendor": "openai", "base_url": f"http://127.0.0.1:{closed_port()}/v1", "api_key": "sk-x"}
    status, made, _ = samovar.request("POST", "/api/providers", provider)
    assert status == 201, made
    body = {"model_ids": [f"{name}/gpt-a", fresh("openai")]}
    status, made, _ = samovar.request("PUT", f"/api/groups/group-{name}", body)
    assert status in (200, 201), made
    return f"group-{name}"


def breaker_lines(samovar: Samovar) -> list[str]:
    _, metrics, _ = samovar.request("GET", "/metrics")
    return [line for line in metrics.splitlines() if line.startswith("samovar_breaker_state{")]


def test_a_group_goes_on_to_its_next_member_and_rests_the_one_that_is_down(samovar: Samovar, group: str) -> None:
    for number in range(7):
        way = WAYS[number % len(WAYS)]
        outcome = call(samovar, way, "who answers?", model=group)
        assert outcome.status == 200, outcome.text
        assert outcome.said == "who answers?"
        assert outcome.headers["x-samovar-attempts"] == "2"
        event = event_of(samovar, outcome.request_id)
        first, second = json.loads(event["attempts"])
        assert first["error"] == ("upstream_unreachable" if number < 5 else "provider_resting")
        assert second.get("error") is None
        assert event["requested_model"] == group
        assert event["provider"] == "openai"
    assert any(line.endswith(" 2.0") for line in breaker_lines(samovar))


def test_the_callers_faults_do_not_open_a_breaker(samovar: Samovar) -> None:
    model = fresh("openai")
    for _ in range(7):
        assert call(samovar, WAYS[0], "[[fault:400]] a", model=model).status == 400
    for _ in range(7):
        assert call(samovar, WAYS[0], "[[fault:429 retry_after=30]] a", model=model).status == 429
    assert call(samovar, WAYS[0], "well", model=model).status == 200


def test_a_target_that_fails_five_times_rests_and_says_for_how_long(samovar: Samovar) -> None:
    model = fresh("anthropic")
    for _ in range(5):
        assert call(samovar, WAYS[0], "[[fault:500]] a", model=model).status == 502
    refused = call(samovar, WAYS[0], "well", model=model)
    assert refused.status == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_aliases_and_bare_names_lead_to_their_model(samovar: Samovar) -> None:
    name = f"alias-{uuid.uuid4().hex[:6]}"
    status, made, _ = samovar.request("PUT", f"/api/aliases/{name}", {"model_id": "sandbox/echo"})
    assert status in (200, 201), made
    for asked in (name, "echo"):
        outcome = call(samovar, WAYS[0], "hello", model=asked)
        assert outcome.status == 200, outcome.text
        assert outcome.headers["x-samovar-model"] == "sandbox/echo"
    # Other tests ask this Samovar what it has.
    assert samovar.request("DELETE", f"/api/aliases/{name}")[0] == 204


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_cost_that_is_told_is_the_cost_that_is_kept(samovar: Samovar, way: Way) -> None:
    model = "openai/gpt-4o-mini" if way.vendor == "openai" else "anthropic/claude-sonnet-4-5"
    outcome = call(samovar, way, "what do you cost?", model=model, **{"x-samovar-usage": "1"})
    assert outcome.status == 200, outcome.text
    event = event_of(samovar, outcome.request_id)
    assert event["usage_estimated"] == 0
    assert event["cost_nano_usd"] > 0
    if way.stream:
        told = [found["samovar"] for found in outcome.events if "samovar" in found]
        assert len(told) == 1
        credits = told[0]["cost_credits"]
    else:
        credits = outcome.headers["x-samovar-cost-credits"]
    assert nano_usd_of_credits(credits) == event["cost_nano_usd"]


@pytest.mark.parametrize("way", STREAMS, ids=str)
def test_a_stream_says_no_cost_unasked(samovar: Samovar, way: Way) -> None:
    assert '"samovar"' not in call(samovar, way, "hello").text


def test_no_answered_call_is_lost_when_it_is_told_to_stop(sandbox: Running, tmp_path: Path) -> None:
    environment = {"OPENAI_API_KEY": "sk-vendor", "OPENAI_BASE_URL": f"{sandbox.url}/v1"}
    running = start_samovar(tmp_path, environment)
    answered: list[str] = []
    go_on = threading.Event()
    go_on.set()

    def caller() -> None:
        way = Way("openai", "openai", stream=False)
        while go_on.is_set():
            try:
                outcome = call(running, way, "under load", model="openai/gpt-4o-mini")
            except OSError:
                return
            if outcome.status == 200:
                answered.append(outcome.request_id)

    callers = [threading.Thread(target=caller) for _ in range(8)]
    for thread in callers:
        thread.start()
    while len(answered) < 200:
        time.sleep(0.01)
    os.kill(running.process.pid, signal.SIGTERM)
    running.process.wait(30)
    go_on.clear()
    for thread in callers:
        thread.join()
    connection = sqlite3.connect(running.data_dir / "samovar.db")
    kept = {row[0] for row in connection.execute("SELECT request_id FROM usage_events WHERE status = 'ok'")}
    connection.close()
    assert set(answered) <= kept
