"""Whole answers that are not recordings, and errors both ways."""

import json
from typing import Any

import msgspec
import pytest
from anthropic.types import Message
from anthropic.types.shared import ErrorResponse
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.errors import Flaw, Invalid
from samovar.ports.dialect import BadAnswer, Unsupported, UpstreamError, Vendor
from samovar.ports.llm import (
    ChatResponse,
    Media,
    MediaKind,
    Part,
    Reasoning,
    Refusal,
    Stop,
    StopKind,
    Text,
    ToolCall,
    Usage,
)
from samovar.providers.anthropic import AnthropicMessages
from tests.providers.anthropic.conftest import VENDOR

DIALECT = AnthropicMessages()


def answer(*parts: Part, stop: StopKind = StopKind.END, usage: Usage | None = None) -> dict[str, Any]:
    """What a client gets; it fits the SDK's types."""
    response = ChatResponse(id="r1", model="m", parts=parts, stop=Stop(kind=stop), usage=usage or Usage())
    written: dict[str, Any] = json.loads(DIALECT.write_response(response))
    Message.model_validate(written)
    return written


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (StopKind.END, "end_turn"),
        (StopKind.MAX_TOKENS, "max_tokens"),
        (StopKind.STOP_SEQUENCE, "stop_sequence"),
        (StopKind.TOOL_CALLS, "tool_use"),
        (StopKind.PAUSE, "pause_turn"),
        (StopKind.REFUSAL, "refusal"),
        (StopKind.CONTENT_FILTER, "refusal"),
        (StopKind.CONTEXT_WINDOW, "model_context_window_exceeded"),
        (StopKind.OTHER, "end_turn"),
    ],
)
def test_every_reason_to_stop_has_its_word(kind: StopKind, word: str) -> None:
    assert answer(stop=kind)["stop_reason"] == word


def test_a_word_of_next_year_keeps_its_spelling(vendor: Vendor) -> None:
    body = b'{"type":"message","stop_reason":"bored","usage":{}}'
    assert DIALECT.read_response(body, vendor=vendor).stop == Stop(kind=StopKind.OTHER, raw="bored")


@given(
    fresh=st.integers(0, 10**7),
    cached=st.integers(0, 10**7),
    five=st.integers(0, 10**7),
    hour=st.integers(0, 10**7),
    thought=st.integers(0, 10**6),
)
def test_usage_written_and_read_again_is_the_same(fresh: int, cached: int, five: int, hour: int, thought: int) -> None:
    usage = Usage(
        input_tokens=fresh + cached + five + hour,
        cached_input_tokens=cached,
        cache_write_tokens=five + hour,
        cache_write_1h_tokens=hour,
        output_tokens=thought + 1,
        reasoning_tokens=thought,
        web_searches=2,
        service_tier="priority",
    )
    written = answer(usage=usage)
    assert written["usage"]["input_tokens"] == fresh
    again = DIALECT.read_response(json.dumps(written).encode(), vendor=VENDOR)
    assert again.usage == usage


def test_an_answer_of_another_vendor_fits_the_sdk() -> None:
    written = answer(
        Reasoning(text="hm", encrypted="e", id="rs_1", origin="openai"),
        Text(text="x", annotations=msgspec.Raw(b'[{"type":"url_citation"}]')),
        ToolCall(id="a", name="f", arguments=""),
        ToolCall(id="b", name="f", arguments='{"broken'),
        Refusal(text="no"),
    )
    assert [block["type"] for block in written["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert "citations" not in written["content"][1]
    assert [block["input"] for block in written["content"][2:]] == [{}, {"INVALID_JSON": '{"broken'}]
    assert written["stop_details"]["explanation"] == "no"


def test_our_own_field_is_last() -> None:
    response = ChatResponse(id="r", model="m", parts=(), stop=Stop(kind=StopKind.END), usage=Usage())
    written = json.loads(DIALECT.write_response(response, extra={"cost_credits": "1"}))
    assert list(written)[-1] == "samovar"


def test_sound_in_an_answer_is_refused() -> None:
    with pytest.raises(Unsupported):
        answer(Media(kind=MediaKind.AUDIO, base64="AAAA", media_type="audio/wav"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b"[]",
        b'{"type":"completion"}',
        b"\xff",
        b'{"type":"message","usage":{"input_tokens":"x"}}',
    ],
)
def test_a_body_that_is_no_message_is_a_bad_answer(vendor: Vendor, body: bytes) -> None:
    with pytest.raises(BadAnswer):
        DIALECT.read_response(body, vendor=vendor)
    with pytest.raises(BadAnswer):
        DIALECT.tap(body, vendor=vendor)


def test_an_error_in_a_200_is_an_error(vendor: Vendor) -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    for read in (DIALECT.read_response, DIALECT.tap):
        with pytest.raises(UpstreamError) as raised:
            read(body, vendor=vendor)
        assert (raised.value.upstream_status, raised.value.upstream_code) == (529, "overloaded_error")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_an_error_has_anthropics_shape(status: int, kind: str) -> None:
    error = Invalid("The request breaks a rule.", flaws=[Flaw("$.tools", "too many")])
    body = json.loads(DIALECT.write_error(error, status=status, request_id="req_1"))
    assert body == {
        "type": "error",
        "error": {"type": kind, "message": "The request breaks a rule. ($.tools: too many)"},
        "request_id": "req_1",
    }
    if kind != "request_too_large":  # the SDK's types lack it, its documentation does not
        ErrorResponse.model_validate(body)


def read_error(status: int, body: bytes, **headers: str) -> UpstreamError:
    return DIALECT.read_error(status, body, header=lambda name: headers.get(name.replace("-", "_")))


def test_a_vendors_error_keeps_its_words_but_no_key() -> None:
    error = read_error(
        401, b'{"type":"error","error":{"type":"authentication_error","message":"bad key sk-ant-api03-AbCdEf123456"}}'
    )
    assert error.detail == "bad key [redacted]"
    assert (error.upstream_status, error.upstream_code, error.http_status) == (401, "authentication_error", 502)


@pytest.mark.parametrize("body", [b"", b"<html>oops secret</html>", b"\xff\xfe", b"[]", b'{"error":"text"}', b"null"])
def test_an_unreadable_error_is_a_general_one(body: bytes) -> None:
    error = read_error(503, body)
    assert error.upstream_status == 503
    assert "secret" not in error.detail


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", None),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(retry_after: str, seconds: float | None) -> None:
    error = read_error(429, b"", retry_after=retry_after, date="Sat, 21 Nov 2026 12:00:00 GMT")
    assert error.retry_after_s == seconds


def test_a_date_to_retry_at_needs_the_answers_own_date() -> None:
    assert read_error(429, b"", retry_after="Sat, 21 Nov 2026 12:00:30 GMT").retry_after_s is None


def test_splicing_changes_the_model_and_nothing_else(vendor: Vendor) -> None:
    body = b'{"model": "anthropic/claude", "drop_params": true, "messages": [ {"role":"user",  "content":"\\u0447"} ], "x":1.0}'
    spliced = DIALECT.splice(body, model="claude-sonnet-5", vendor=vendor)
    assert spliced == b'{"model":"claude-sonnet-5","messages":[ {"role":"user",  "content":"\\u0447"} ],"x":1.0}'
