"""Streams as fast as they go, closed loop."""

from bench.figures import Figure
from bench.scenarios.bench import Bench
from bench.scenarios.throughput import throughput
from bench.wire import OPENAI_NATIVE, STREAM

TARGET_PER_S = 1000.0


def streams(bench: Bench) -> list[Figure]:
    """Streams of 50 chunks a second on one core."""
    return throughput(bench, "streams of 50 chunks", "streams", OPENAI_NATIVE, STREAM, target=TARGET_PER_S)
