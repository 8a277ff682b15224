"""What a scrape shows, and that nobody can make it grow."""

import asyncio
import gc
import re
import time
import timeit
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from samovar.app.telemetry.metrics import Metrics
from samovar.app.telemetry.providers import MAX_MODELS, MAX_PROVIDERS
from samovar.app.telemetry.tallies import Distribution
from samovar.domains.gateway.model import BreakerState, CallFinished, CallStatus
from samovar.ports.llm import Usage

EVENT = CallFinished(
    id="call_1",
    request_id="req_1",
    team_id="team_1",
    principal_id="key_1",
    principal_kind="key",
    surface="openai-chat",
    requested_model="gpt-5-mini",
    model="openai/gpt-5-mini",
    provider="openai",
    vendor="openai",
    native=True,
    stream=True,
    status=CallStatus.OK,
    http_status=200,
    error_code=None,
    started_at=datetime(2026, 11, 21, tzinfo=UTC),
    duration_ms=1500.0,
    first_content_ms=300.0,
    overhead_ms=0.7,
    usage=Usage(input_tokens=100, output_tokens=20),
    cost_nano_usd=15_000_000,
    price_source="test",
    stop="end",
    attempts=(),
    trace_id="",
    parent_span_id="",
)


def _event(**changes: Any) -> CallFinished:
    return msgspec.structs.replace(EVENT, **changes)


def _metrics(**changes: Any) -> Metrics:
    parts: dict[str, Any] = {
        "connections": lambda: 3,
        "depths": lambda: {"usage_events": 7},
        "breakers": dict,
        "multiprocess": False,
    }
    return Metrics(**{**parts, **changes})


def _scrape(metrics: Metrics) -> dict[str, float]:
    """Series (its labels included) to value."""
    lines = asyncio.run(metrics.text()).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


_MODEL = 'gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="openai/gpt-5-mini"'


def test_a_request_is_counted_and_timed_by_its_route() -> None:
    metrics = _metrics()
    metrics.began()
    metrics.began()
    metrics.ended("POST", "/v1/chat/completions", 200, 0.3)
    shown = _scrape(metrics)
    assert shown['http_requests_total{method="POST",route="/v1/chat/completions",status="200"}'] == 1
    assert shown["http_requests_inprogress"] == 1
    bucket = 'http_request_duration_seconds_bucket{{le="{}",method="POST",route="/v1/chat/completions"}}'
    assert (shown[bucket.format("0.25")], shown[bucket.format("0.5")]) == (0, 1)


def test_a_call_shows_its_tokens_time_and_cost() -> None:
    metrics = _metrics()
    for _ in range(3):
        metrics.call(EVENT)
    shown = _scrape(metrics)
    assert shown[f'gen_ai_client_token_usage_sum{{{_MODEL},gen_ai_token_type="input"}}'] == 300
    assert shown[f'gen_ai_client_token_usage_sum{{{_MODEL},gen_ai_token_type="output"}}'] == 60
    assert shown[f'gen_ai_client_operation_duration_seconds_count{{{_MODEL},outcome="ok"}}'] == 3
    assert shown[f"gen_ai_client_operation_time_to_first_chunk_seconds_sum{{{_MODEL}}}"] == pytest.approx(0.9)
    assert shown[f"samovar_cost_credits_total{{{_MODEL}}}"] == 4.5
    assert shown["samovar_overhead_seconds_count"] == 3


def test_a_call_without_a_known_price_is_counted_as_such() -> None:
    metrics = _metrics()
    metrics.call(_event(cost_nano_usd=None))
    assert _scrape(metrics)[f"samovar_calls_unpriced_total{{{_MODEL}}}"] == 1


def test_what_is_scraped_twice_is_not_counted_twice() -> None:
    metrics = _metrics()
    metrics.call(EVENT)
    assert _scrape(metrics)["samovar_overhead_seconds_count"] == 1
    assert _scrape(metrics)["samovar_overhead_seconds_count"] == 1


def test_the_state_of_things_is_read_at_the_scrape() -> None:
    metrics = _metrics(breakers=lambda: {"openai/gpt-5-mini": BreakerState.OPEN}, resting=lambda: {"openai": 2})
    metrics.call(EVENT)
    metrics.redis("get", "ok")
    collections = 'python_gc_collections_total{generation="2"}'
    shown = _scrape(metrics)
    assert shown["database_connections_active"] == 3
    assert shown['samovar_queue_depth{queue="usage_events"}'] == 7
    assert shown['redis_operations_total{operation="get",outcome="ok"}'] == 1
    assert shown['samovar_breaker_state{model="openai/gpt-5-mini"}'] == 2
    assert shown['samovar_provider_keys_resting{provider="openai"}'] == 2
    assert shown["process_resident_memory_bytes"] > 0
    gc.collect()
    assert _scrape(metrics)[collections] > shown[collections]


def test_a_model_that_never_answered_is_named_once_its_breaker_opens() -> None:
    states = {"openai/wrong": BreakerState.CLOSED, "openai/ill": BreakerState.HALF_OPEN}
    shown = _scrape(_metrics(breakers=lambda: states))
    assert shown['samovar_breaker_state{model="openai/ill"}'] == 1
    assert 'samovar_breaker_state{model="openai/wrong"}' not in shown


def test_a_breaker_that_is_forgotten_shows_as_closed() -> None:
    states = {"openai/ill": BreakerState.OPEN}
    metrics = _metrics(breakers=lambda: states, resting=lambda: {"openai": 1} if states else {})
    assert _scrape(metrics)['samovar_breaker_state{model="openai/ill"}'] == 2
    states.clear()
    shown = _scrape(metrics)
    assert shown['samovar_breaker_state{model="openai/ill"}'] == 0
    assert shown['samovar_provider_keys_resting{provider="openai"}'] == 0


def test_however_many_breakers_open_the_series_are_few() -> None:
    metrics = _metrics(
        breakers=lambda: (
            {f"openai/{number}": BreakerState.HALF_OPEN for number in range(3 * MAX_MODELS)}
            | {"openai/last": BreakerState.OPEN}
        ),
        resting=lambda: {f"provider-{number}": number for number in range(3 * MAX_PROVIDERS)},
    )
    for _ in range(2):
        shown = _scrape(metrics)
        assert sum("samovar_breaker_state" in name for name in shown) == MAX_MODELS + 1
        assert sum("samovar_provider_keys_resting" in name for name in shown) == MAX_PROVIDERS + 1
        assert shown['samovar_breaker_state{model="other"}'] == 2
        assert shown['samovar_provider_keys_resting{provider="other"}'] == 3 * MAX_PROVIDERS - 1


def test_wrong_model_names_make_no_new_series() -> None:
    metrics = _metrics()
    metrics.call(EVENT)
    metrics.call(_event(model="bogus/0", status=CallStatus.ERROR))
    before = _scrape(metrics)
    for number in range(1000):
        metrics.call(_event(model=f"bogus/{number}", status=CallStatus.ERROR))
        metrics.call(_event(model="", provider="", status=CallStatus.ERROR))
    shown = _scrape(metrics)
    assert set(shown) == set(before)
    metrics.call(_event(model="openai/new"))
    assert 'gen_ai_request_model="openai/new"' in str(_scrape(metrics))


def test_more_models_than_have_a_place_are_one() -> None:
    metrics = _metrics()
    for number in range(3 * MAX_MODELS):
        metrics.call(_event(model=f"openrouter/{number}", stream=False))
    models = {found for series in _scrape(metrics) for found in re.findall(r'request_model="([^"]*)"', series)}
    assert len(models) == MAX_MODELS + 1
    assert "other" in models


def test_unheard_of_methods_are_one_series_and_leave_nothing_behind() -> None:
    metrics = _metrics()
    for number in range(1000):
        metrics.began()
        metrics.ended(f"METHOD{number}", "unmatched", 405, 0.001)
    shown = _scrape(metrics)
    assert [name for name in shown if "METHOD" in name] == []
    assert shown['http_requests_total{method="other",route="unmatched",status="405"}'] == 1000
    assert len(metrics._requests_of) == 1


def test_there_are_no_created_series() -> None:
    metrics = _metrics()
    metrics.call(EVENT)
    assert not [name for name in _scrape(metrics) if "_created" in name]


@given(values=st.lists(st.floats(0, 200, allow_nan=False), max_size=50))
def test_a_distribution_is_the_librarys_histogram(values: list[float]) -> None:
    bounds = (0.001, 0.5, 1.0, 30.0, 120.0)
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Distribution(Histogram("x", "x", buckets=bounds, registry=ours), bounds)
    plain = Histogram("x", "x", buckets=bounds, registry=theirs)
    for position, value in enumerate(values):
        tally.observe(value)
        plain.observe(value)
        if position % 3 == 0:
            tally.settle()
        if position % 7 == 0:
            tally.flush()
    tally.flush()

    def shown(registry: CollectorRegistry) -> list[str]:
        return [line for line in generate_latest(registry).decode().splitlines() if "_sum" not in line]

    assert shown(ours) == shown(theirs)


def test_the_hot_path_costs_next_to_nothing() -> None:
    metrics = _metrics()

    def one() -> None:
        metrics.began()
        metrics.ended("POST", "/v1/chat/completions", 200, 0.01)
        metrics.call(EVENT)

    # Of the processor's time: how busy the machine is does not count.
    seconds = min(timeit.repeat(one, timer=time.thread_time, number=2000, repeat=7)) / 2000
    # It takes about 1.5 us; the library's own calls took 15.
    assert seconds < 6e-6
