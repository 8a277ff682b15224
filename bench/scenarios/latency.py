"""Our own overhead at half load, arrivals open-loop."""

from collections.abc import Callable, Sequence

from bench.figures import Figure, Quantiles, median, quantiles
from bench.lanes import Lane
from bench.load.window import Seen
from bench.scenarios.bench import Bench, busy, typical
from bench.wire import OPENAI_NATIVE, WHOLE, Route, Shape

TARGET_P50_MS = 1.0
TARGET_P99_MS = 10.0
ASKED_PER_S = 2000.0


def latency(bench: Bench) -> list[Figure]:
    """At half of the calls a second that are asked for, and at half of those that the same machine just made."""
    if bench.calls_per_s is None:
        bench.calls_per_s = bench.closed(bench.samovar, OPENAI_NATIVE, WHOLE).per_s
    rates = {f"{ASKED_PER_S:,.0f}/s": ASKED_PER_S, "half of the measured": max(1.0, bench.calls_per_s / 2)}
    return [
        figure
        for name, rate_per_s in rates.items()
        for figure in overhead(
            bench, f"calls at {name}", OPENAI_NATIVE, WHOLE, rate_per_s=rate_per_s, p50_ms=TARGET_P50_MS
        )
    ]


def overhead(
    bench: Bench,
    label: str,
    route: Route,
    shape: Shape,
    *,
    rate_per_s: float,
    p50_ms: float | None,
    lane: Lane | None = None,
    older: Lane | None = None,
) -> list[Figure]:
    """Two measures of the same thing: from outside (through less straight), and what Samovar says of itself in its header.

    The outer one subtracts quantiles of two windows, so its tail holds what both processors were doing at the time; the header
    one counts only from the first byte that Samovar read to the last that it wrote. The truth lies between. With ``older`` the
    same calls go through an older build as well, in turn: on a slow machine that tells what is ours and what is the machine's.
    """
    lanes = [bench.straight, lane or bench.samovar, *([older] if older else [])]
    straight, through, *others = bench.take_turns(
        lanes, lambda lane: bench.open(lane, route, shape, rate_per_s=rate_per_s)
    )
    added = {
        name: typical(through, _latency_ms(of)) - typical(straight, _latency_ms(of)) for name, of in _QUANTILES.items()
    }
    lag_us = _typical_quantile([each.record.send_lag_s for each in through], lambda found: found.p99) * 1e6
    figures = [
        Figure(
            f"{label}, latency {name}",
            typical(through, _latency_ms(of)),
            "ms",
            ceiling=typical(straight, _latency_ms(of)),
            note=f"{rate_per_s:,.0f}/s; {busy(through)}"
            if name == "p50"
            else f"generator late by {lag_us:,.0f} us at p99",
        )
        for name, of in _QUANTILES.items()
    ]
    targets = {"p50": p50_ms, "p99": TARGET_P99_MS}
    figures += [
        Figure(
            f"{label}, overhead {name}", added[name], "ms", targets[name], at_least=False, note="through less straight"
        )
        for name in _QUANTILES
    ]
    for theirs in others:
        p50_ms_of = _latency_ms(_QUANTILES["p50"])
        its_own = typical(theirs, p50_ms_of) - typical(straight, p50_ms_of)
        more, note = added["p50"] - its_own, f"its own: {its_own:.3g} ms, through less straight"
        figures.append(Figure(f"{label}, overhead p50 more than the older build's", more, "ms", note=note))
    said = [each.record.overhead_ms for each in through]
    figures += [
        Figure(f"{label}, overhead {name} by header", _typical_quantile(said, of), "ms", targets[name], at_least=False)
        for name, of in _QUANTILES.items()
    ]
    if any(not each.record.overhead_ms for each in through):
        bench.errors["samovar: answers without x-samovar-overhead-ms"] += 1
    return figures


_QUANTILES: dict[str, Callable[[Quantiles], float]] = {"p50": lambda found: found.p50, "p99": lambda found: found.p99}


def _latency_ms(of: Callable[[Quantiles], float]) -> Callable[[Seen], float]:
    def milliseconds(seen: Seen) -> float:
        found = quantiles(seen.record.latency_s)
        return of(found) * 1000 if found else 0.0

    return milliseconds


def _typical_quantile(repeats: Sequence[Sequence[float]], of: Callable[[Quantiles], float]) -> float:
    found = [quantiles(samples) for samples in repeats]
    return median([of(each) if each else 0.0 for each in found])
