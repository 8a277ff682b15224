"""Resident memory before, during and after many calls."""

from time import perf_counter

from bench.figures import Figure, slope
from bench.load.record import Record
from bench.scenarios.bench import Bench
from bench.wire import OPENAI_NATIVE, WHOLE

TARGET_MB = 180.0
MB = 1_000_000
FULL_CALLS = 200_000
FLAT_MB_PER_100K = 2.0  # what a leak of 20 bytes a call would add; an allocator's own breathing stays below
SAMPLE_S = 0.25
SLOWEST_CALLS_PER_S = 500.0


def memory(bench: Bench) -> list[Figure]:
    """Memory of a fresh Samovar, its peak, and how it grows over the second half of the calls (the first half warms it)."""
    lane = bench.stage.samovar()
    process = lane.processes["samovar"]
    at_start = process.rss_bytes()
    points: list[tuple[float, float]] = []
    next_sample = 0.0

    def look(record: Record) -> None:
        nonlocal next_sample
        if perf_counter() >= next_sample:
            next_sample = perf_counter() + SAMPLE_S
            points.append((record.completed, process.rss_bytes()))

    calls = bench.measure.memory_calls
    seen = bench.counted(lane, OPENAI_NATIVE, WHOLE, calls=calls, limit_s=calls / SLOWEST_CALLS_PER_S, look=look)
    after = process.rss_bytes()
    process.stop()
    done = seen.record.completed
    if done < calls:
        bench.errors[f"samovar: only {done:,} of {calls:,} calls in the time of the memory scenario"] += 1
    half = [point for point in points if point[0] >= done / 2]
    growth = slope(half) * 100_000 / MB
    # Over fewer calls the line is drawn through noise: it is shown, but not judged.
    flat = FLAT_MB_PER_100K if done >= FULL_CALLS else None
    peak = max([at_start, after, *(rss for _, rss in points)])
    return [
        Figure("memory at start", at_start / MB, "MB", TARGET_MB, at_least=False),
        Figure(f"memory after {done:,} calls", after / MB, "MB", TARGET_MB, at_least=False),
        Figure("memory, peak", peak / MB, "MB", TARGET_MB, at_least=False, note=f"{len(points)} samples"),
        Figure(
            "memory growth per 100,000 calls", growth, "MB", flat, at_least=False, note="line through the second half"
        ),
    ]
