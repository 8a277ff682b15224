"""Whole answers, closed loop."""

from bench.figures import Figure
from bench.scenarios.bench import Bench
from bench.scenarios.throughput import throughput
from bench.wire import OPENAI_NATIVE, WHOLE

TARGET_PER_S = 4000.0


def calls(bench: Bench) -> list[Figure]:
    """Non-streaming chat calls a second on one core, with sign-in, accounting and metrics on."""
    figures = throughput(bench, "calls", "calls", OPENAI_NATIVE, WHOLE, target=TARGET_PER_S)
    bench.calls_per_s = figures[0].value
    return figures
