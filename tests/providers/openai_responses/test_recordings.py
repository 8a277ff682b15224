"""Every recorded answer of the real APIs, read, passed on and written again."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from samovar.ports.dialect import UpstreamError
from samovar.ports.llm import ChatRequest, Failed, Opaque, Reasoning, Text, ToolCall
from samovar.providers.openai_responses import OpenAIResponses
from tests.providers.openai_responses.conftest import VENDORS
from tests.providers.openai_responses.recordings import answers, errors, streams
from tests.providers.openai_responses.streaming import as_sdk_response, check_events
from tests.support.streams import cut, gather, read_all

DIALECT = OpenAIResponses()
REQUEST = ChatRequest(model="gpt-5-mini", messages=())
TRANSLATED = {"message", "function_call", "reasoning"}
LABELS = {"fingerprint", "id", "logprobs", "status", "obfuscation"}


def _essence(value: object) -> object:
    """JSON without nulls, empty lists and the labels that a translation makes anew."""
    if isinstance(value, dict):
        kept = {key: _essence(item) for key, item in value.items() if key not in LABELS and item not in (None, [])}
        if value.get("type") == "reasoning":
            # Open thinking comes back as a summary, the vendor's mark of an envelope aside.
            kept.pop("encrypted_content", None)
        return kept
    return [_essence(item) for item in value] if isinstance(value, list) else value


def _output(body: dict[str, Any]) -> object:
    return _essence(body["output"])


@pytest.mark.parametrize(("vendor", "body"), answers())
def test_an_answer_read_and_written_again_has_the_same_output(vendor: str, body: bytes) -> None:
    read = DIALECT.read_response(body, vendor=VENDORS[vendor])
    written, recorded = json.loads(DIALECT.write_response(read)), json.loads(body)
    assert _output(written) == _output(recorded)
    assert {name: written[name] for name in ("id", "model", "status", "created_at")} == {
        name: recorded[name] for name in ("id", "model", "status", "created_at")
    }
    if vendor == "openai":
        # Traces of tools pass as they are, and newer ones are not in the SDK's types. xAI's citations are not OpenAI's.
        written["output"] = [item for item in written["output"] if item["type"] in TRANSLATED]
        Response.model_validate(written)


@pytest.mark.parametrize(("vendor", "body"), answers())
def test_the_tap_sees_what_the_reader_sees(vendor: str, body: bytes) -> None:
    read, tapped = DIALECT.read_response(body, vendor=VENDORS[vendor]), DIALECT.tap(body, vendor=VENDORS[vendor])
    assert (tapped.model, tapped.usage, tapped.stop) == (read.model, read.usage, read.stop)


@pytest.mark.parametrize(("vendor", "body"), answers())
def test_usage_stays_as_inclusive_as_it_came(vendor: str, body: bytes) -> None:
    usage, recorded = DIALECT.read_response(body, vendor=VENDORS[vendor]).usage, json.loads(body)["usage"]
    assert (usage.input_tokens, usage.output_tokens) == (recorded["input_tokens"], recorded["output_tokens"])
    assert usage.cached_input_tokens == recorded["input_tokens_details"]["cached_tokens"]
    assert usage.reasoning_tokens == recorded["output_tokens_details"]["reasoning_tokens"]
    ticks = recorded.get("cost_in_usd_ticks")
    assert usage.reported_cost_nano_usd == (None if ticks is None else round(ticks / 10))


@pytest.mark.parametrize(("vendor", "body"), errors())
def test_a_refusal_says_what_the_vendor_said(vendor: str, body: bytes) -> None:
    recorded = json.loads(body)["error"]
    error = DIALECT.read_error(400, body, header=lambda name: None)
    assert error.detail == recorded["message"]
    assert error.upstream_code == (recorded["code"] or recorded["type"])
    with pytest.raises(UpstreamError, match=recorded["message"][:20]):
        DIALECT.read_response(body, vendor=VENDORS[vendor])


@pytest.mark.parametrize(("vendor", "stream"), streams())
def test_a_stream_passes_byte_for_byte(vendor: str, stream: bytes) -> None:
    relay = DIALECT.relay(vendor=VENDORS[vendor], wants_usage=True)
    assert relay.feed(stream) + relay.end() == stream
    assert relay.started
    assert relay.failed is None


@pytest.mark.parametrize(("vendor", "stream"), streams())
def test_relay_and_reader_agree_on_usage_and_stop(vendor: str, stream: bytes) -> None:
    relay = DIALECT.relay(vendor=VENDORS[vendor], wants_usage=True)
    for event in stream.split(b"\n\n"):
        relay.feed(event + b"\n\n")
    relay.end()
    whole = gather(read_all(DIALECT.stream_reader(vendor=VENDORS[vendor]), [stream]))
    assert (relay.usage, relay.stop) == (whole.usage, whole.stop)
    said = [part.arguments if isinstance(part, ToolCall) else getattr(part, "text", "") for part in whole.parts]
    assert relay.output_chars >= len("".join(said))


@pytest.mark.parametrize(("vendor", "stream"), streams())
def test_the_stream_says_what_its_last_event_says(vendor: str, stream: bytes) -> None:
    last = json.loads(stream.rstrip().rpartition(b"data: ")[2])["response"]
    if not last["output"]:
        pytest.skip("the recording's last event has no items")
    body = json.dumps({**last, "object": "response"}).encode()
    read = DIALECT.read_response(body, vendor=VENDORS[vendor])
    whole = gather(read_all(DIALECT.stream_reader(vendor=VENDORS[vendor]), [stream]))
    # Some recordings were shortened by their makers: fewer deltas than the whole text.
    assert [_plain(part, words=False) for part in whole.parts] == [_plain(part, words=False) for part in read.parts]
    for streamed, at_once in zip(whole.parts, read.parts, strict=True):
        assert not isinstance(at_once, Text) or at_once.text[:5] == getattr(streamed, "text", "")[:5]
    assert (whole.usage, whole.stop) == (read.usage, read.stop)


def _plain(part: object, *, words: bool = True) -> object:
    """A part without what may differ between the events of one stream: ids and encrypted content that rotate."""
    match part:
        case Opaque():
            return _essence(json.loads(bytes(part.raw)))
        case Reasoning():
            return ("reasoning", part.text)
        case Text():
            annotations = None if part.annotations is None else json.loads(bytes(part.annotations))
            return (part.text if words else "", part.phase, annotations)
        case ToolCall():
            return (part.id, part.name, part.arguments)
    return part


@pytest.mark.parametrize(("vendor", "stream"), streams())
def test_a_stream_read_and_written_again_is_the_same_to_the_sdk(vendor: str, stream: bytes) -> None:
    writer = DIALECT.stream_writer(REQUEST)
    deltas = read_all(DIALECT.stream_reader(vendor=VENDORS[vendor]), [stream])
    written = b"".join(map(writer.write, deltas)) + writer.end({"cost": "0.1"})
    if vendor == "openai":
        check_events(written)
    answer = as_sdk_response(written)
    whole = gather(deltas)
    read = DIALECT.read_response(answer.to_json().encode(), vendor=VENDORS[vendor])
    assert [_plain(part) for part in read.parts] == [_plain(part) for part in whole.parts]
    assert (read.id, read.model, read.stop) == (whole.id, whole.model, whole.stop)
    assert answer.usage is not None
    assert answer.usage.output_tokens == whole.usage.output_tokens


@pytest.mark.parametrize(("vendor", "stream"), streams())
@settings(max_examples=6, deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=40))
def test_cuts_anywhere_change_nothing(vendor: str, stream: bytes, places: list[int]) -> None:
    blocks = cut(stream, places)
    whole = read_all(DIALECT.stream_reader(vendor=VENDORS[vendor]), [stream])
    assert read_all(DIALECT.stream_reader(vendor=VENDORS[vendor]), blocks) == whole
    relay, uncut = (DIALECT.relay(vendor=VENDORS[vendor], wants_usage=True) for _ in range(2))
    assert b"".join(map(relay.feed, blocks)) + relay.end() == uncut.feed(stream) + uncut.end()
    assert (relay.usage, relay.stop, relay.started, relay.output_chars) == (
        uncut.usage,
        uncut.stop,
        uncut.started,
        uncut.output_chars,
    )


@pytest.mark.parametrize(("vendor", "stream"), streams(failed=True))
def test_a_quota_error_in_mid_stream_is_an_error_like_any_other(vendor: str, stream: bytes) -> None:
    relay = DIALECT.relay(vendor=VENDORS[vendor], wants_usage=True)
    with pytest.raises(UpstreamError, match="exceeded your current quota") as raised:
        relay.feed(stream)
    assert (raised.value.http_status, raised.value.upstream_code) == (429, "insufficient_quota")
    deltas = read_all(DIALECT.stream_reader(vendor=VENDORS[vendor]), [stream])
    assert [(d.status, d.code) for d in deltas if isinstance(d, Failed)] == [(429, "insufficient_quota")]


def test_a_sample_of_our_own_is_read_without_the_recordings() -> None:
    body = msgspec.json.encode(
        {
            "id": "resp_1",
            "object": "response",
            "created_at": 1760000000,
            "status": "completed",
            "model": "gpt-5-mini",
            "output": [
                {
                    "id": "msg_1",
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": "Чай готов", "annotations": []}],
                }
            ],
            "usage": {"input_tokens": 13, "input_tokens_details": {"cached_tokens": 10}, "output_tokens": 4},
        }
    )
    read = DIALECT.read_response(body, vendor=VENDORS["openai"])
    assert read.parts == (Text(text="Чай готов"),)
    assert (read.usage.input_tokens, read.usage.cached_input_tokens) == (13, 10)
