"""Whole answers and errors, both ways."""

import json

import msgspec
import pytest
from openai.types.responses import Response

from samovar.kernel.errors import Flaw, Invalid
from samovar.ports.dialect import BadAnswer, Unsupported, UpstreamError
from samovar.ports.llm import (
    ChatResponse,
    Media,
    MediaKind,
    Opaque,
    Reasoning,
    Refusal,
    Stop,
    StopKind,
    Text,
    ToolCall,
    Usage,
)
from samovar.providers.openai_responses import OpenAIResponses
from tests.providers.openai_responses.conftest import OPENAI, XAI

DIALECT = OpenAIResponses()


def answer(*parts: object, kind: StopKind = StopKind.END) -> ChatResponse:
    return ChatResponse(
        id="msg_01",
        model="claude",
        parts=parts,  # type: ignore[arg-type]
        stop=Stop(kind=kind),
        usage=Usage(input_tokens=9, cached_input_tokens=4, output_tokens=5, reasoning_tokens=2),
    )


def body(**fields: object) -> bytes:
    response = {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": []}
    return msgspec.json.encode({**response, **fields})


def test_an_answer_of_another_vendor_is_one_the_sdk_reads() -> None:
    written = DIALECT.write_response(
        answer(
            Reasoning(text="hm", signature="sig", origin="anthropic"),
            Text(text="One "),
            Text(text="two"),
            ToolCall(id="call_1", name="f", arguments='{"a":1}'),
            Refusal(text="No."),
            kind=StopKind.TOOL_CALLS,
        ),
        extra={"cost_credits": "1"},
    )
    response = Response.model_validate(json.loads(written))
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "message"]
    assert response.output_text == "One two"
    assert response.status == "completed"
    assert response.usage is not None
    assert (response.usage.total_tokens, response.usage.input_tokens_details.cached_tokens) == (14, 4)
    assert json.loads(written)["samovar"] == {"cost_credits": "1"}
    assert len({item.id for item in response.output}) == 4


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        (StopKind.END, "completed", None),
        (StopKind.STOP_SEQUENCE, "completed", None),
        (StopKind.TOOL_CALLS, "completed", None),
        (StopKind.MAX_TOKENS, "incomplete", "max_output_tokens"),
        (StopKind.CONTEXT_WINDOW, "incomplete", "max_output_tokens"),
        (StopKind.CONTENT_FILTER, "incomplete", "content_filter"),
        (StopKind.ERROR, "failed", None),
    ],
)
def test_each_reason_to_stop_has_its_status(kind: StopKind, status: str, reason: str | None) -> None:
    response = Response.model_validate(json.loads(DIALECT.write_response(answer(Text(text="x"), kind=kind))))
    assert response.status == status
    assert (response.incomplete_details.reason if response.incomplete_details else None) == reason
    assert (response.error is not None) is (status == "failed")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"output": []}, StopKind.END),
        ({"output": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}]}, StopKind.TOOL_CALLS),
        (
            {"output": [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": ""}]},
            StopKind.TOOL_CALLS,
        ),
        (
            {"output": [{"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}]},
            StopKind.REFUSAL,
        ),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, StopKind.MAX_TOKENS),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, StopKind.CONTENT_FILTER),
        ({"status": "incomplete", "incomplete_details": {"reason": "bored"}}, StopKind.OTHER),
    ],
)
def test_each_status_has_its_reason_to_stop(fields: dict[str, object], kind: StopKind) -> None:
    read, tapped = DIALECT.read_response(body(**fields), vendor=OPENAI), DIALECT.tap(body(**fields), vendor=OPENAI)
    assert read.stop.kind is kind
    assert tapped.stop == read.stop


def test_an_item_that_the_core_cannot_hold_stays_whole() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    read = DIALECT.read_response(body(output=[item]), vendor=OPENAI)
    [part] = read.parts
    assert isinstance(part, Opaque)
    assert json.loads(bytes(part.raw)) == item
    assert json.loads(DIALECT.write_response(read))["output"] == [item]


def test_traces_of_other_dialects_are_left_out_and_pictures_become_generated_ones() -> None:
    trace = Opaque(dialect="anthropic-messages", raw=msgspec.Raw(b'{"type":"server_tool_use"}'))
    picture = Media(kind=MediaKind.IMAGE, base64="aGk=", media_type="image/png")
    response = Response.model_validate(json.loads(DIALECT.write_response(answer(trace, picture))))
    [item] = response.output
    assert item.type == "image_generation_call"
    assert item.result == "aGk="
    with pytest.raises(Unsupported, match="audio"):
        DIALECT.write_response(answer(Media(kind=MediaKind.AUDIO, base64="aGk=")))


def test_citations_of_chat_are_made_flat_and_others_left_out() -> None:
    nested = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}
    foreign = {"type": "char_location", "cited_text": "x"}
    text = Text(text="x", annotations=msgspec.Raw(msgspec.json.encode([nested, foreign])))
    output = json.loads(DIALECT.write_response(answer(text)))["output"]
    assert output[0]["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
    ]


def test_searches_and_reported_prices_are_counted() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}
    search = {"type": "web_search_call", "id": "ws", "status": "completed"}
    openai = DIALECT.tap(body(output=[search, search], usage=usage, service_tier="flex"), vendor=OPENAI).usage
    assert openai is not None
    assert (openai.web_searches, openai.service_tier, openai.reported_cost_nano_usd) == (2, "flex", None)
    # Only what searches is billed (platform.openai.com, web search), not the reading of what was found.
    looks = [{**search, "action": {"type": kind}} for kind in ("search", "open_page", "find_in_page", "search")]
    looked = DIALECT.tap(body(output=[*looks, {**search, "action": "odd"}], usage=usage), vendor=OPENAI).usage
    assert looked is not None
    assert looked.web_searches == 3
    told = {"server_side_tool_usage_details": {"web_search_calls": 3}, "cost_in_usd_ticks": 37_756_000}
    xai = DIALECT.tap(body(output=[search], usage={**usage, **told}), vendor=XAI).usage
    assert xai is not None
    assert (xai.web_searches, xai.reported_cost_nano_usd) == (3, 3_775_600)
    again = json.loads(DIALECT.write_response(msgspec.structs.replace(answer(), usage=xai)))["usage"]
    assert again["cost"] == pytest.approx(0.0037756)


def test_what_another_vendors_own_key_pays_is_part_of_the_cost() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "cost": 0, "is_byok": True}
    for details, nano_usd in (({"upstream_inference_cost": 0.00002}, 20_000), (None, None)):
        told = DIALECT.tap(body(usage={**usage, "cost_details": details}), vendor=OPENAI).usage
        assert told is not None
        assert told.reported_cost_nano_usd == nano_usd


def test_tokens_count_whatever_a_vendor_calls_its_cost() -> None:
    told = DIALECT.tap(body(usage={"input_tokens": 1, "output_tokens": 2, "cost": {"total": 1}}), vendor=OPENAI).usage
    assert told is not None
    assert (told.input_tokens, told.output_tokens, told.reported_cost_nano_usd) == (1, 2, None)


def test_usage_that_makes_no_sense_is_none() -> None:
    assert DIALECT.tap(body(usage={"input_tokens": "many"}), vendor=OPENAI).usage is None
    assert DIALECT.tap(body(usage=None), vendor=OPENAI).usage is None
    assert DIALECT.read_response(body(), vendor=OPENAI).usage.estimated


def test_a_failed_answer_is_an_error() -> None:
    failed = body(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down"})
    for read in (DIALECT.read_response, DIALECT.tap):
        with pytest.raises(UpstreamError, match="Slow down") as raised:
            read(failed, vendor=OPENAI)
        assert raised.value.http_status == 429


@pytest.mark.parametrize("bad", [b"<html>", b"[]", b'{"object":"chat.completion"}', b'{"object":"response"}', b"\xff"])
def test_what_is_no_response_is_a_bad_answer(bad: bytes) -> None:
    for read in (DIALECT.read_response, DIALECT.tap):
        with pytest.raises(BadAnswer):
            read(bad, vendor=OPENAI)


def test_an_answer_that_is_still_in_progress_passes_but_cannot_be_translated() -> None:
    assert DIALECT.tap(body(status="in_progress"), vendor=OPENAI).stop is None
    with pytest.raises(BadAnswer, match="not whole"):
        DIALECT.read_response(body(status="in_progress"), vendor=OPENAI)


@pytest.mark.parametrize(
    ("sent", "detail", "code"),
    [
        (b'{"error":{"message":"no","type":"invalid_request_error","code":null}}', "no", "invalid_request_error"),
        (b'{"error":{"message":"no","type":"t","code":"c"}}', "no", "c"),
        (b'{"code":"Some requested entity was not found","error":"no model"}', "no model", None),
        (b'{"error":{"message":"bad key sk-proj-abcdefghijk"}}', "bad key [redacted]", None),
        (b"<html>", "The provider answered with status 418 and no readable error.", None),
        (b"", "The provider answered with status 418 and no readable error.", None),
        (b"\xff\xfe", "The provider answered with status 418 and no readable error.", None),
    ],
)
def test_every_error_body_is_read(sent: bytes, detail: str, code: str | None) -> None:
    error = DIALECT.read_error(418, sent, header=lambda name: None)
    assert (error.detail, error.upstream_status) == (detail, 418)
    assert code is None or error.upstream_code == code


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after": "Sat, 21 Nov 2026 05:00:10 GMT", "date": "Sat, 21 Nov 2026 05:00:00 GMT"}, 10.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_the_time_to_wait_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert DIALECT.read_error(429, b"{}", header=headers.get).retry_after_s == seconds


def test_our_own_errors_have_openais_shape() -> None:
    error = Invalid("$.input: too long", flaws=[Flaw("$.input", "too long")])
    assert json.loads(DIALECT.write_error(error, status=422, request_id="req_1")) == {
        "error": {
            "message": "$.input: too long",
            "type": "invalid_request_error",
            "param": "input",
            "code": "invalid_request",
        },
        "request_id": "req_1",
    }
