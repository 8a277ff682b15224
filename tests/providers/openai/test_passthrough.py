"""Requests and whole answers that pass through."""

import json

import pytest

from samovar.kernel.errors import Malformed
from samovar.ports.dialect import BadAnswer, UpstreamError, Vendor
from samovar.ports.llm import StopKind
from samovar.providers.openai import OpenAIChat
from samovar.providers.vendors import VENDORS

ASK = b'{"model":"a/b", "messages":[ {"role":"user","content":"\\u0434\xd0\xb0"} ], "temperature":1.0, "x":{"y" : 1}'


def test_the_head_says_what_routing_needs(dialect: OpenAIChat) -> None:
    head = dialect.read_head(
        ASK + b',"stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"drop_params":true}'
    )
    assert (head.model, head.stream, head.wants_usage, head.max_output_tokens) == ("a/b", True, True, 7)
    assert head.drop_params


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "$"),
        (b"{", "$"),
        (b"[]", "$"),
        (b"{}", "$.model"),
        (b'{"model":1,"messages":[]}', "$.model"),
        (b'{"model":"m"}', "$.messages"),
        (b'{"model":"m","messages":[]}', "$.messages"),
        (b'{"model":"m","messages":["hi"]}', "$.messages[0]"),
        (b'{"model":"m","messages":[{}]}', "$.messages[0].role"),
        (b'{"model":"m","messages":[{"role":"user"}],"temperature":"hot"}', "$.temperature"),
        (b'{"model":"m","messages":[{"role":"user"}],"max_tokens":0}', "$.max_tokens"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', "$"),
        (b'{"model":"m","messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "$"),
    ],
)
def test_a_bad_head_names_the_place(dialect: OpenAIChat, body: bytes, where: str) -> None:
    with pytest.raises(Malformed) as caught:
        dialect.read_head(body)
    assert caught.value.flaws[0].where.startswith(where)
    error = json.loads(dialect.write_error(caught.value, status=400, request_id="req"))["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == caught.value.flaws[0].where.removeprefix("$.")


def test_a_spliced_request_keeps_its_bytes(dialect: OpenAIChat, openai: Vendor) -> None:
    sent = dialect.splice(ASK + b',"drop_params":false,"samovar":{}}', model="b", vendor=openai)
    messages = b'[ {"role":"user","content":"\\u0434\xd0\xb0"} ]'
    assert sent == b'{"model":"b","messages":' + messages + b',"temperature":1.0,"x":{"y" : 1}}'


def test_usage_is_asked_for_in_a_stream_only(dialect: OpenAIChat, openai: Vendor) -> None:
    sent = json.loads(
        dialect.splice(
            ASK + b',"stream":true,"stream_options":{"include_obfuscation":false}}', model="b", vendor=openai
        )
    )
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert "stream_options" not in json.loads(dialect.splice(ASK + b"}", model="b", vendor=openai))
    spliced = dialect.splice(ASK + b',"stream":true}', model="b", vendor=VENDORS["bigmodel"])
    assert "stream_options" not in json.loads(spliced)


def test_an_older_server_gets_the_bound_and_the_role_it_knows(dialect: OpenAIChat) -> None:
    body = b'{"model":"m","messages":[{"role":"developer","content":"x"}],"max_completion_tokens":5}'
    sent = json.loads(dialect.splice(body, model="b", vendor=VENDORS["ollama"]))
    assert sent == {"model": "b", "messages": [{"role": "system", "content": "x"}], "max_tokens": 5}


def test_dropped_params_are_those_that_the_vendor_rejects(dialect: OpenAIChat, openai: Vendor) -> None:
    sent = json.loads(dialect.splice(ASK + b',"top_k":3,"drop_params":true}', model="b", vendor=openai))
    assert "top_k" not in sent
    assert sent["temperature"] == 1.0


def test_a_tap_reads_usage_and_the_stop(dialect: OpenAIChat) -> None:
    body = {
        "model": "grok",
        "choices": [{"message": {"content": "x"}, "finish_reason": "length"}],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 2,
            "completion_tokens_details": {"reasoning_tokens": 340},
            "cost_in_usd_ticks": 1_721_250,
        },
    }
    tapped = dialect.tap(json.dumps(body).encode(), vendor=VENDORS["xai"])
    assert tapped.usage is not None
    assert (tapped.usage.output_tokens, tapped.usage.reasoning_tokens) == (342, 340)
    assert tapped.usage.reported_cost_nano_usd == 172_125
    assert tapped.stop is not None
    assert tapped.stop.kind is StopKind.MAX_TOKENS


@pytest.mark.parametrize(
    ("details", "nano_usd"),
    [
        ({"is_byok": True, "cost_details": {"upstream_inference_cost": 0.019}}, 19_950_000),
        ({"is_byok": False, "cost_details": {"upstream_inference_cost": 0.00095}}, 950_000),
        ({"is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"is_byok": True}, None),
    ],
)
def test_what_another_vendors_own_key_pays_is_part_of_the_cost(
    dialect: OpenAIChat, details: dict[str, object], nano_usd: int | None
) -> None:
    usage = {"prompt_tokens": 194, "completion_tokens": 2, "cost": 0.00095, **details}
    answer = {"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    tapped = dialect.tap(json.dumps(answer).encode(), vendor=VENDORS["openrouter"])
    assert tapped.usage is not None
    assert (tapped.usage.input_tokens, tapped.usage.reported_cost_nano_usd) == (194, nano_usd)


@pytest.mark.parametrize(
    ("cost", "nano_usd"),
    [("0.000123", 123_000), ("1e-9", 1), ("0", 0), ("-1", None), ("1e99999", None), ('"x"', None)],
)
def test_a_reported_cost_is_exact_or_nothing(dialect: OpenAIChat, cost: str, nano_usd: int | None) -> None:
    body = '{"choices":[{"message":{}}],"usage":{"prompt_tokens":1,"cost":' + cost + "}}"
    usage = dialect.tap(body.encode(), vendor=VENDORS["openrouter"]).usage
    assert (usage.reported_cost_nano_usd if usage else None) == nano_usd


@pytest.mark.parametrize(
    "fields",
    [
        {"cost": {"input_tokens_cost": 0.001, "total_cost": 0.006}},
        {"cost": "x"},
        {"cost": 0.5, "is_byok": "perhaps"},
        {"cost": 0.5, "is_byok": True, "cost_details": ["x"]},
        {"cost_in_usd_ticks": {}},
    ],
)
def test_tokens_count_whatever_a_vendor_calls_its_cost(dialect: OpenAIChat, fields: dict[str, object]) -> None:
    usage = {"prompt_tokens": 194, "completion_tokens": 2, **fields}
    answer = {"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    tapped = dialect.tap(json.dumps(answer).encode(), vendor=VENDORS["openai"])
    assert tapped.usage is not None
    assert (tapped.usage.input_tokens, tapped.usage.output_tokens) == (194, 2)
    assert tapped.usage.reported_cost_nano_usd is None


def test_an_error_in_a_200_is_an_error(dialect: OpenAIChat, openai: Vendor) -> None:
    body = b'{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"upstream died"}}}'
    with pytest.raises(UpstreamError, match="upstream died") as caught:
        dialect.tap(body, vendor=openai)
    assert caught.value.upstream_status == 502


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"choices":[]}', b'{"choices":7}', b"\xff"])
def test_an_answer_that_is_none_is_bad(dialect: OpenAIChat, openai: Vendor, body: bytes) -> None:
    with pytest.raises(BadAnswer):
        dialect.tap(body, vendor=openai)
    with pytest.raises(BadAnswer):
        dialect.read_response(body, vendor=openai)
