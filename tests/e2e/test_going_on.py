"""Calls that go on from an earlier answer reach the provider that made it, whichever process takes them."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from samovar.ports.pins import unpinned
from tests.e2e.conftest import Running, Samovar, start_samovar, start_sandbox

THINKING = {"reasoning": {"effort": "low"}, "store": False, "include": ["reasoning.encrypted_content"]}


@dataclass
class Pair:
    """Two sandboxes behind two providers of one group, ``both``, in which the first comes first; two processes serve."""

    samovar: Samovar
    first: Running
    second: Running

    def ask(self, model: str, text: Any = "hello", **fields: Any) -> tuple[int, Any, dict[str, str]]:
        """A call on a connection of its own, so that either process may take it. Of a stream its events."""
        headers = {"Authorization": f"Bearer {self.samovar.key}", "Connection": "close"}
        status, said, found = self.samovar.request(
            "POST", "/v1/responses", {"model": model, "input": text, **fields}, headers
        )
        if isinstance(said, str):
            said = [json.loads(line[6:]) for line in said.splitlines() if line.startswith("data: ")]
        return status, said, found

    def asked(self) -> tuple[int, int]:
        """How many requests each sandbox has seen."""
        return _requests(self.first), _requests(self.second)


def _requests(sandbox: Running) -> int:
    status, stats, _ = Samovar(sandbox.url, sandbox.process, sandbox.output).request("GET", "/sandbox/stats")
    assert status == 200
    return int(stats["requests"])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield _started(tmp_path_factory, redis_server, stack)


def _started(tmp_path_factory: pytest.TempPathFactory, redis_server: str, stack: ExitStack) -> Pair:
    first = start_sandbox(tmp_path_factory.mktemp("first"))
    stack.callback(first.stop)
    second = start_sandbox(tmp_path_factory.mktemp("second"))
    stack.callback(second.stop)
    settings = {
        "SAMOVAR_WORKERS": "2",
        "SAMOVAR_REDIS_URL": redis_server,
        "OPENAI_API_KEY": "sk-vendor-first",
        "OPENAI_BASE_URL": f"{first.url}/v1",
        "ANTHROPIC_API_KEY": "sk-vendor-anthropic",
        "ANTHROPIC_BASE_URL": first.url,
    }
    samovar = start_samovar(tmp_path_factory.mktemp("samovar"), settings)
    stack.callback(samovar.stop)
    provider = {"name": "second", "vendor": "openai", "base_url": f"{second.url}/v1", "api_key": "sk-vendor-second"}
    status, made, _ = samovar.request("POST", "/api/providers", provider)
    assert status == 201, made
    members = {"model_ids": ["openai/reason", "second/reason"]}
    status, made, _ = samovar.request("PUT", "/api/groups/both", members)
    assert status in (200, 201), made
    _known_to_both(samovar)
    return Pair(samovar, first, second)


def _known_to_both(samovar: Samovar) -> None:
    """Whoever did not take these requests hears of them a moment later."""
    headers = {"Authorization": f"Bearer {samovar.key}", "Connection": "close"}
    for _ in range(200):
        asked = {"model": "second/reason", "input": "hello"}
        found = [samovar.request("POST", "/v1/responses", asked, headers)[0] for _ in range(8)]
        if set(found) == {200}:
            return
        time.sleep(0.05)
    raise AssertionError("one of the processes never heard of the second provider")


@pytest.mark.parametrize("stream", [False, True])
def test_an_earlier_answer_is_gone_on_from_at_its_maker(pair: Pair, stream: bool) -> None:
    status, said, _ = pair.ask("second/reason", stream=stream)
    assert status == 200, said
    names = {event["response"]["id"] for event in said if "response" in event} if stream else {said["id"]}
    (name,) = names
    pin = unpinned(name)
    assert pin is not None
    for _ in range(6):
        before = pair.asked()
        status, said, _ = pair.ask("both", previous_response_id=name, stream=stream)
        # The sandbox keeps no answers, and says under which name it looked for this one.
        assert (status, said["error"]["code"]) == (400, "previous_response_not_found")
        assert f"'{pin.text}'" in said["error"]["message"]
        assert pair.asked() == (before[0], before[1] + 1)


@pytest.mark.parametrize("stream", [False, True])
def test_encrypted_reasoning_goes_back_to_its_maker(pair: Pair, stream: bool) -> None:
    status, said, _ = pair.ask("second/reason", **THINKING, stream=stream)
    assert status == 200, said
    output = said[-1]["response"]["output"] if stream else said["output"]
    assert unpinned(output[0]["encrypted_content"]) is not None
    said_before = [{"role": "user", "content": "hello"}, *output, {"role": "user", "content": "and?"}]
    for _ in range(4):
        status, said, headers = pair.ask("both", said_before, **THINKING)
        assert status == 200, said
        assert headers["x-samovar-provider"] == "second"
        assert headers["x-samovar-route"] == "made what the call goes on from"


@pytest.mark.parametrize("model", ["openai/reason", "anthropic/claude-sonnet-4-5"])
def test_elsewhere_the_caller_is_told_why_not(pair: Pair, model: str) -> None:
    _, said, _ = pair.ask("second/reason")
    before = pair.asked()
    status, refused, _ = pair.ask(model, previous_response_id=said["id"])
    assert (status, refused["error"]["code"]) == (400, "made_by_another_provider")
    assert "previous_response_id" in refused["error"]["message"]
    assert pair.asked() == before


def test_a_call_that_goes_on_from_nothing_takes_the_groups_order(pair: Pair) -> None:
    status, _, headers = pair.ask("both")
    assert (status, headers["x-samovar-provider"]) == (200, "openai")
