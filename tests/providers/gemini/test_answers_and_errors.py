"""Whole answers that are not recordings, and errors both ways."""

import json
from typing import Any

import msgspec
import pytest
from google.genai.errors import ClientError
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.errors import Flaw, Invalid, TooManyRequests
from samovar.ports.dialect import BadAnswer, Unsupported, UpstreamError, Vendor
from samovar.ports.llm import (
    ChatResponse,
    Media,
    MediaKind,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Stop,
    StopKind,
    Text,
    ToolCall,
    Usage,
)
from samovar.providers.gemini import GeminiContent
from tests.providers.gemini.conftest import VENDOR, served

DIALECT = GeminiContent()


def answer(*parts: Part, stop: StopKind = StopKind.END, usage: Usage | None = None) -> dict[str, Any]:
    """What a client gets."""
    response = ChatResponse(id="r1", model="m", parts=parts, stop=Stop(kind=stop), usage=usage or Usage())
    written: dict[str, Any] = json.loads(DIALECT.write_response(response))
    return written


def read(**fields: Any) -> ChatResponse:
    return DIALECT.read_response(json.dumps(fields).encode(), vendor=VENDOR)


def candidate(*parts: dict[str, Any], reason: str = "STOP") -> list[dict[str, Any]]:
    return [{"content": {"parts": list(parts), "role": "model"}, "finishReason": reason}]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("STOP", StopKind.END),
        ("MAX_TOKENS", StopKind.MAX_TOKENS),
        ("SAFETY", StopKind.CONTENT_FILTER),
        ("RECITATION", StopKind.CONTENT_FILTER),
        ("SPII", StopKind.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", StopKind.ERROR),
        ("LANGUAGE", StopKind.OTHER),
        ("BORED", StopKind.OTHER),
    ],
)
def test_every_reason_to_stop_has_its_kind_and_keeps_its_word(word: str, kind: StopKind) -> None:
    response = read(candidates=candidate({"text": "x"}, reason=word))
    assert response.stop == Stop(kind=kind, raw=word)
    written = json.loads(DIALECT.write_response(response))["candidates"][0]["finishReason"]
    assert written == (word if word != "BORED" else "OTHER")


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (StopKind.STOP_SEQUENCE, "STOP"),
        (StopKind.TOOL_CALLS, "STOP"),
        (StopKind.CONTEXT_WINDOW, "MAX_TOKENS"),
        (StopKind.REFUSAL, "SAFETY"),
        (StopKind.PAUSE, "OTHER"),
        (StopKind.ERROR, "OTHER"),
    ],
)
def test_a_reason_without_a_word_has_the_nearest(kind: StopKind, word: str) -> None:
    assert answer(stop=kind)["candidates"][0]["finishReason"] == word


def test_an_answer_with_a_call_stops_for_it() -> None:
    response = read(candidates=candidate({"functionCall": {"name": "f"}}))
    assert response.stop.kind is StopKind.TOOL_CALLS
    assert response.parts[0] == ToolCall(id="call_gemini__1", name="f", arguments="{}")


def test_a_blocked_prompt_is_an_answer_without_words() -> None:
    response = read(promptFeedback={"blockReason": "PROHIBITED_CONTENT"}, usageMetadata={"promptTokenCount": 4})
    assert response.stop == Stop(kind=StopKind.CONTENT_FILTER, raw="PROHIBITED_CONTENT")
    assert (response.parts, response.usage.input_tokens) == ((), 4)


def test_usage_counts_thoughts_tools_searches_and_modalities() -> None:
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 7,
        "toolUsePromptTokenCount": 30,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 50},
            {"modality": "AUDIO", "tokenCount": 30},
            {"modality": "IMAGE", "tokenCount": 20},
        ],
        "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 12}],
        "trafficType": "ON_DEMAND_PRIORITY",
    }
    grounded = candidate({"text": "x"})
    grounded[0]["groundingMetadata"] = {"webSearchQueries": ["a", "b"]}
    expected = Usage(
        input_tokens=130,
        output_tokens=27,
        cached_input_tokens=40,
        reasoning_tokens=7,
        audio_input_tokens=30,
        image_input_tokens=25,
        image_output_tokens=12,
        web_searches=2,
        service_tier="priority",
    )
    assert read(candidates=grounded, usageMetadata=usage).usage == expected
    body = json.dumps({"candidates": grounded, "usageMetadata": usage}).encode()
    assert DIALECT.tap(body, vendor=VENDOR).usage == expected


@given(
    cached=st.integers(0, 10**7),
    audio=st.integers(0, 10**6),
    image=st.integers(0, 10**6),
    thought=st.integers(0, 10**6),
    drawn=st.integers(0, 10**6),
)
def test_usage_written_and_read_again_is_the_same(
    cached: int, audio: int, image: int, thought: int, drawn: int
) -> None:
    usage = Usage(
        input_tokens=cached + audio + image + 1,
        cached_input_tokens=cached,
        output_tokens=thought + drawn + 1,
        reasoning_tokens=thought,
        audio_input_tokens=audio,
        image_input_tokens=image,
        image_output_tokens=drawn,
    )
    written = answer(usage=usage)
    total = written["usageMetadata"]["totalTokenCount"]
    assert total == usage.input_tokens + usage.output_tokens
    assert DIALECT.read_response(json.dumps(written).encode(), vendor=VENDOR).usage == usage


async def test_an_answer_of_another_vendor_is_read_by_the_sdk() -> None:
    response = ChatResponse(
        id="r",
        model="m",
        parts=(
            Reasoning(text="hm", signature="s+/=", origin="anthropic"),
            Text(text="x", annotations=msgspec.Raw(b'[{"type":"url_citation"}]')),
            ToolCall(id="toolu_1", name="f", arguments='{"a": 1}'),
            ToolCall(id="toolu_2", name="f", arguments='{"broken'),
            Media(kind=MediaKind.IMAGE, base64="AAAA", media_type="image/png"),
            Opaque(dialect="anthropic-messages", raw=msgspec.Raw(b"{}")),
            Refusal(text="no"),
        ),
        stop=Stop(kind=StopKind.REFUSAL),
        usage=Usage(),
    )
    async with served(DIALECT.write_response(response, extra={"cost_credits": "1"})) as it:
        got = await it.client.aio.models.generate_content(model="m", contents="?")
    assert [(call.id, call.args) for call in got.function_calls] == [
        ("toolu_1", {"a": 1}),
        ("toolu_2", {"INVALID_JSON": '{"broken'}),
    ]
    content = got.candidates[0].content
    assert [part.text for part in content.parts if part.text] == ["hm", "x", "no"]
    assert content.parts[0].thought
    # What the client sends back is the other vendor's thinking again, whole.
    back = {"contents": [content.model_dump(mode="json", exclude_none=True)]}
    (message,) = DIALECT.read_request(json.dumps(back).encode()).messages
    assert message.parts[0] == response.parts[0]
    assert message.parts[2] == response.parts[2]


@pytest.mark.parametrize("encrypted", [None, "e" * 50])
def test_thinking_of_another_vendor_survives_the_way_through_a_client(encrypted: str | None) -> None:
    thinking = Reasoning(
        text="t", signature=None if encrypted else "s", encrypted=encrypted, id="rs_1", origin="openai"
    )
    (part,) = answer(thinking)["candidates"][0]["content"]["parts"]
    body = json.dumps({"contents": [{"role": "model", "parts": [part]}]}).encode()
    assert DIALECT.read_request(body).messages[0].parts == (thinking,)


def test_our_own_field_is_last() -> None:
    response = ChatResponse(id="r", model="m", parts=(), stop=Stop(kind=StopKind.END), usage=Usage())
    assert list(json.loads(DIALECT.write_response(response, extra={"cost_credits": "1"})))[-1] == "samovar"


def test_media_that_say_nothing_are_refused_in_an_answer() -> None:
    with pytest.raises(Unsupported):
        answer(Media(kind=MediaKind.AUDIO))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b"[]",
        b"{}",
        b"\xff",
        b'{"candidates":[{"content":{"parts":[1]}}]}',
        b'{"candidates":[],"usageMetadata":{"promptTokenCount":-1}}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":' + b"[" * 100_000,
    ],
    ids=range(8),
)
def test_a_body_that_is_no_answer_is_a_bad_answer(vendor: Vendor, body: bytes) -> None:
    with pytest.raises(BadAnswer):
        DIALECT.read_response(body, vendor=vendor)


def test_an_error_in_a_200_is_an_error(vendor: Vendor) -> None:
    body = b'{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}'
    for read_one in (DIALECT.read_response, DIALECT.tap):
        with pytest.raises(UpstreamError) as raised:
            read_one(body, vendor=vendor)
        assert (raised.value.upstream_status, raised.value.upstream_code) == (503, "UNAVAILABLE")


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (402, "FAILED_PRECONDITION"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (413, "INVALID_ARGUMENT"),
        (422, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_an_error_has_googles_shape(status: int, name: str) -> None:
    error = Invalid("The request breaks a rule.", flaws=[Flaw("$.tools", "too many")])
    body = json.loads(DIALECT.write_error(error, status=status, request_id="req_1"))["error"]
    assert (body["code"], body["status"]) == (status, name)
    assert body["message"] == "The request breaks a rule. ($.tools: too many)"
    assert body["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "$.tools", "description": "too many"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req_1"},
    ]


async def test_the_sdk_raises_our_errors_as_its_own_and_we_read_them_back() -> None:
    error = TooManyRequests("Slower.", headers={"Retry-After": "7"})
    body = DIALECT.write_error(error, status=429, request_id="req_1")
    async with served(body, status=429) as it:
        with pytest.raises(ClientError) as raised:
            await it.client.aio.models.generate_content(model="m", contents="?")
    assert (raised.value.code, raised.value.status, raised.value.message) == (429, "RESOURCE_EXHAUSTED", "Slower.")
    assert read_error(429, body).retry_after_s == 7.0


def read_error(status: int, body: bytes, **headers: str) -> UpstreamError:
    return DIALECT.read_error(status, body, header=lambda name: headers.get(name.replace("-", "_")))


def test_a_vendors_error_keeps_its_words_but_no_key() -> None:
    error = read_error(
        403,
        b'{"error":{"code":403,"status":"PERMISSION_DENIED","message":"Key AIzaSyA-1234567890_abcdefghijklmnopqrst '
        b'is blocked, see https://x.example/?key=secret123&y=1"}}',
    )
    assert error.detail == "Key [redacted] is blocked, see https://x.example/?key=[redacted]&y=1"
    assert (error.upstream_status, error.upstream_code, error.http_status) == (403, "PERMISSION_DENIED", 502)


def test_a_bad_key_is_our_fault_and_not_the_callers() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "x"}
    body = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [detail]}}
    error = read_error(400, json.dumps(body).encode())
    assert (error.upstream_status, error.http_status) == (401, 502)
    del body["error"]["details"]
    assert read_error(400, json.dumps(body).encode()).http_status == 400


def test_an_error_in_an_array_is_read_too() -> None:
    error = read_error(400, b'[{"error":{"code":400,"message":"Bad.","status":"INVALID_ARGUMENT"}}]')
    assert (error.detail, error.upstream_code) == ("Bad.", "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>secret</html>", b"\xff\xfe", b"[]", b'{"error":"secret"}', b"null", b'{"error":' + b"[" * 100_000],
    ids=range(7),
)
def test_an_unreadable_error_is_a_general_one(body: bytes) -> None:
    error = read_error(503, body, retry_after="3")
    assert (error.upstream_status, error.retry_after_s) == (503, 3.0)
    assert "secret" not in error.detail


@pytest.mark.parametrize("delay", ['"soon"', '"-1s"', "7", '{"seconds": 3}', '"1e5s"'])
def test_a_delay_that_is_no_duration_is_left_out(delay: str) -> None:
    detail = f'{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{delay}}}'
    body = f'{{"error":{{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{detail}, 1]}}}}'
    assert read_error(429, body.encode()).retry_after_s is None
    assert read_error(429, body.encode(), retry_after="9").retry_after_s == 9.0


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7.0), ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0), ("-3", None), ("soon", None), ("nan", None)],
)
def test_retry_after_is_seconds_or_a_date(retry_after: str, seconds: float | None) -> None:
    error = read_error(503, b"", retry_after=retry_after, date="Sat, 21 Nov 2026 12:00:00 GMT")
    assert error.retry_after_s == seconds


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reading_of_an_error(body: bytes) -> None:
    assert read_error(500, body).upstream_status == 500
