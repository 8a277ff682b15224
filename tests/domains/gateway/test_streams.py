"""Streams on real sockets: keep-alives, late errors, defects of our own, vendors that say no usage."""

import io
import json
from typing import Any

import pytest

from samovar.domains.gateway.model import CallStatus
from samovar.ports.dialect import Relay, Vendor
from samovar.providers.openai import OpenAIChat
from tests.app.conftest import logged
from tests.domains.gateway.conftest import Start, saying

__all__ = ["logged"]

SURFACES = ["openai", "anthropic"]


def events_of(body: bytes) -> list[Any]:
    """The parsed ``data`` of each event. Fails where a beat stands inside an event."""
    found = []
    for event in body.decode().split("\n\n"):
        lines = [line for line in event.split("\n") if line]
        data = [line[6:] for line in lines if line.startswith("data: ")]
        assert len(data) <= 1, event
        assert not (data and any(line.startswith(":") for line in lines)), event
        found += [json.loads(line) for line in data if line != "[DONE]"]
    return found


def words_of(surface: str, events: list[Any]) -> str:
    if surface == "openai":
        return "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e.get("choices"))
    return "".join(e["delta"].get("text", "") for e in events if e["type"] == "content_block_delta")


def beats(body: bytes) -> int:
    """Keep-alives of ours: the sandbox sends one ping of its own after it opened an Anthropic stream."""
    return max(0, body.count(b"event: ping") - body.count(b"event: message_start")) + sum(
        line.startswith(b":") for line in body.split(b"\n")
    )


@pytest.mark.parametrize("surface", SURFACES)
async def test_a_late_first_content_is_waited_for_with_beats(start: Start, surface: str) -> None:
    gateway = await start(vendors={})
    answer = await gateway.chat("[[first_byte_ms:500]] hello", surface=surface, model="sandbox/echo")
    assert answer.status == 200
    assert answer.headers["x-request-id"]
    assert beats(answer.body) >= 2
    assert words_of(surface, events_of(answer.body)).endswith("hello")
    assert [event.status for event in gateway.finished] == [CallStatus.OK]


@pytest.mark.parametrize("surface", SURFACES)
async def test_a_silence_between_words_is_filled_between_events(start: Start, surface: str) -> None:
    gateway = await start(vendors={})
    answer = await gateway.chat("[[delay_ms:400]] one two", surface=surface, model="sandbox/echo")
    assert beats(answer.body) >= 2
    assert words_of(surface, events_of(answer.body)).endswith("one two")


@pytest.mark.parametrize("surface", SURFACES)
async def test_a_quick_stream_has_no_beat(start: Start, surface: str) -> None:
    gateway = await start(vendors={})
    answer = await gateway.chat("one two three", surface=surface, model="sandbox/echo")
    assert beats(answer.body) == 0
    assert answer.headers["x-samovar-model"] == "sandbox/echo"


async def test_half_an_event_holds_the_beat_back(start: Start) -> None:
    whole = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
    first, second = whole % b"one ", whole % b"two"
    last = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    blocks = (first, second[:50], second[50:], last + b"data: [DONE]\n\n")
    async with saying(*blocks, kind="text/event-stream", pause_s=0.4) as url:
        gateway = await start(vendors={"openai": f"{url}/v1"})
        answer = await gateway.chat("a", model="openai/gpt-x")
    assert words_of("openai", events_of(answer.body)) == "one two"
    assert beats(answer.body) >= 1
    # No usage came: it is estimated, and says so.
    usage = gateway.finished[0].usage
    assert usage is not None
    assert usage.estimated
    assert (usage.input_tokens, usage.output_tokens) == (1, 2)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("fault", ["500", "html", "error_200"])
async def test_an_error_after_the_first_beat_is_the_dialects_error_event(
    start: Start, surface: str, fault: str
) -> None:
    gateway = await start(vendors={})
    answer = await gateway.chat(f"[[fault:{fault} first_byte_ms=400]] a", surface=surface, model="sandbox/echo")
    assert answer.status == 200
    assert beats(answer.body) >= 1
    assert events_of(answer.body)[-1]["error"]["message"]
    assert b"[DONE]" not in answer.body
    assert [event.status for event in gateway.finished] == [CallStatus.ERROR]


@pytest.mark.parametrize("surface", SURFACES)
async def test_a_vendor_that_says_no_usage_is_estimated(start: Start, surface: str) -> None:
    message = b'{"role":"assistant","content":"four words of text"}'
    choice = b'{"index":0,"message":%b,"finish_reason":"stop"}' % message
    body = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[%b]}' % choice
    async with saying(body, kind="application/json") as url:
        gateway = await start(vendors={"openai": f"{url}/v1"})
        answer = await gateway.chat("a question", surface=surface, model="openai/gpt-4o-mini", stream=False)
    assert answer.status == 200
    event = gateway.finished[0]
    assert event.usage is not None
    assert event.usage.estimated
    assert (event.usage.input_tokens, event.usage.output_tokens) == (3, 5)
    assert event.cost_nano_usd
    assert "x-samovar-cost-credits" in answer.headers
    if surface == "anthropic":
        assert answer.json["usage"]["output_tokens"] == 5


class Defective(OpenAIChat):
    """OpenAI's chat with a planted defect of ours in the middle of every stream."""

    def relay(self, *, vendor: Vendor, wants_usage: bool, maker: str = "") -> Any:
        relay = super().relay(vendor=vendor, wants_usage=wants_usage, maker=maker)
        return _FailsInTheMiddle(relay)


class _FailsInTheMiddle:
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def __getattr__(self, name: str) -> Any:
        return getattr(self._relay, name)

    def feed(self, block: bytes) -> bytes:
        if self._relay.started:
            raise ZeroDivisionError
        return self._relay.feed(block)


async def test_a_defect_of_ours_in_mid_stream_is_told_logged_and_accounted_for(
    start: Start, logged: io.StringIO
) -> None:
    gateway = await start(vendors={}, dialects={"openai-chat": Defective()})
    answer = await gateway.chat("[[delay_ms:30]] one two three", model="sandbox/echo")
    assert answer.status == 200
    assert events_of(answer.body)[-1]["error"]["message"].startswith("an internal error")
    assert "ZeroDivisionError" in logged.getvalue()
    event = gateway.finished[0]
    assert (event.status, event.error_code) == (CallStatus.BROKEN, "internal_error")
    assert len(gateway.finished) == 1


class _Unreadable(OpenAIChat):
    def splice(self, body: bytes, *, model: str, vendor: Vendor) -> bytes:
        raise ZeroDivisionError


@pytest.mark.parametrize("stream", [False, True])
async def test_a_defect_before_the_call_is_a_500_and_accounted_for(
    start: Start, logged: io.StringIO, stream: bool
) -> None:
    gateway = await start(vendors={}, dialects={"openai-chat": _Unreadable()})
    answer = await gateway.chat("a", model="sandbox/echo", stream=stream)
    assert answer.status == 500
    assert [(event.status, event.http_status) for event in gateway.finished] == [(CallStatus.ERROR, 500)]
    assert "ZeroDivisionError" in logged.getvalue()
