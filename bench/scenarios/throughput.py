"""The figures that whole answers and streams have in common: how many a second, how long each, at what cost."""

from collections.abc import Sequence

from bench.figures import Figure, quantiles
from bench.load.window import Seen
from bench.scenarios.bench import Bench, busy, spread, typical
from bench.wire import Route, Shape


def throughput(
    bench: Bench, label: str, unit: str, route: Route, shape: Shape, *, target: float | None
) -> list[Figure]:
    """Closed loop over all lanes in turn. `label` begins each figure's name; `unit` is what is counted."""
    straight, through, *others = bench.take_turns(bench.lanes(), lambda lane: bench.closed(lane, route, shape))
    ceiling, value = typical(straight, _per_s), typical(through, _per_s)
    cpu_us = typical(through, lambda each: each.cpu_us_per_call("samovar"))
    figures = [
        Figure(f"{label} per second", value, f"{unit}/s", target=target, ceiling=ceiling, note=_note(through)),
        Figure(
            f"{label}, p50", typical(through, _p50_ms), "ms", ceiling=typical(straight, _p50_ms), note="closed loop"
        ),
        Figure(
            f"{label}, p99", typical(through, _p99_ms), "ms", ceiling=typical(straight, _p99_ms), note="closed loop"
        ),
        Figure(f"{label}, Samovar's CPU each", cpu_us, "us", note=_capacity(cpu_us, unit)),
    ]
    if shape.stream:
        figures.insert(
            1, Figure(f"{label}, chunks per second", value * shape.words, "chunks/s", ceiling=ceiling * shape.words)
        )
    for nginx in others:
        figures.append(
            Figure(
                f"{label} per second, nginx", typical(nginx, _per_s), f"{unit}/s", ceiling=ceiling, note=_note(nginx)
            )
        )
    return figures


def _note(seen: Sequence[Seen]) -> str:
    return "; ".join(part for part in (spread(seen, _per_s), busy(seen)) if part)


def _capacity(cpu_us: float, unit: str) -> str:
    """What one core could do if nothing else were on it: a figure that a busy machine hardly touches."""
    return f"{1e6 / cpu_us:,.0f} {unit} per CPU second" if cpu_us else ""


def _per_s(seen: Seen) -> float:
    return seen.per_s


def _p50_ms(seen: Seen) -> float:
    found = quantiles(seen.record.latency_s)
    return found.p50 * 1000 if found else 0.0


def _p99_ms(seen: Seen) -> float:
    found = quantiles(seen.record.latency_s)
    return found.p99 * 1000 if found else 0.0
