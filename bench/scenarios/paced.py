"""Many open streams at the pace of a model that thinks."""

from bench.figures import Figure, quantiles
from bench.load.window import Seen
from bench.scenarios.bench import Bench, busy, typical
from bench.wire import OPENAI_NATIVE, PACED

TARGET_CHUNKS_PER_S = 15_000.0
FULL_STREAMS = 512


def paced(bench: Bench) -> list[Figure]:
    """Chunks delivered a second over 512 open streams, and how late each chunk comes against the sandbox's timetable."""
    streams = bench.measure.paced_streams
    straight, through = bench.take_turns(
        [bench.straight, bench.samovar], lambda lane: bench.paced(lane, OPENAI_NATIVE, PACED)
    )
    target = TARGET_CHUNKS_PER_S if streams >= FULL_STREAMS else None
    late_p50, late_p99 = typical(through, _late_p50_ms), typical(through, _late_p99_ms)
    straight_p50, straight_p99 = typical(straight, _late_p50_ms), typical(straight, _late_p99_ms)
    offered = streams * 1000 / PACED.pace_ms
    return [
        Figure(
            f"paced chunks per second, {streams} streams",
            typical(through, lambda each: each.chunks_per_s),
            "chunks/s",
            target=target,
            ceiling=typical(straight, lambda each: each.chunks_per_s),
            note=f"timetable {offered:,.0f}; {busy(through)}",
        ),
        Figure("paced chunk lateness, p50", late_p50, "ms", ceiling=straight_p50, note="against the timetable"),
        Figure("paced chunk lateness, p99", late_p99, "ms", ceiling=straight_p99, note="against the timetable"),
        Figure("paced chunk delay added, p50", late_p50 - straight_p50, "ms", note="through less straight"),
        Figure("paced chunk delay added, p99", late_p99 - straight_p99, "ms", note="through less straight"),
    ]


def _late_p50_ms(seen: Seen) -> float:
    found = quantiles(seen.record.chunk_late_s)
    return found.p50 * 1000 if found else 0.0


def _late_p99_ms(seen: Seen) -> float:
    found = quantiles(seen.record.chunk_late_s)
    return found.p99 * 1000 if found else 0.0
