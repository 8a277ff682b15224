"""The other ways through the gateway: Anthropic's own language, and from each language into the other."""

from bench.figures import Figure
from bench.scenarios.bench import Bench
from bench.scenarios.latency import overhead
from bench.scenarios.throughput import throughput
from bench.wire import ANTHROPIC_NATIVE, ANTHROPIC_TO_OPENAI, OPENAI_TO_ANTHROPIC, STREAM, WHOLE, Route

NATIVE_CALLS_PER_S, NATIVE_STREAMS_PER_S = 4000.0, 1000.0
TRANSLATED_CALLS_PER_S, TRANSLATED_STREAMS_PER_S = 2000.0, 500.0


def passthrough(bench: Bench) -> list[Figure]:
    """Anthropic to Anthropic; `calls` and `streams` are OpenAI to OpenAI."""
    return _route(bench, ANTHROPIC_NATIVE, calls_per_s=NATIVE_CALLS_PER_S, streams_per_s=NATIVE_STREAMS_PER_S)


def translated(bench: Bench) -> list[Figure]:
    """Each surface to the other vendor."""
    return [
        figure
        for route in (OPENAI_TO_ANTHROPIC, ANTHROPIC_TO_OPENAI)
        for figure in _route(bench, route, calls_per_s=TRANSLATED_CALLS_PER_S, streams_per_s=TRANSLATED_STREAMS_PER_S)
    ]


def _route(bench: Bench, route: Route, *, calls_per_s: float, streams_per_s: float) -> list[Figure]:
    whole = throughput(bench, f"{route.name}, calls", "calls", route, WHOLE, target=calls_per_s)
    streamed = throughput(bench, f"{route.name}, streams of 50", "streams", route, STREAM, target=streams_per_s)
    half = max(1.0, whole[0].value / 2)
    return [*whole, *streamed, *overhead(bench, f"{route.name}, calls", route, WHOLE, rate_per_s=half, p50_ms=None)]
