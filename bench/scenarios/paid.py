"""What money and limits cost a call: a key that a wallet pays for, under limits, beside one without either."""

from bench.figures import Figure
from bench.load.window import Seen
from bench.scenarios.bench import Bench, busy, typical
from bench.scenarios.latency import TARGET_P50_MS, overhead
from bench.wire import OPENAI_NATIVE, WHOLE

FIRST_RUN_RATIO = 6130 / 17301
"""Calls a second of the first run's bench, through less straight: before there was any money or limit. Machines differ, so
what the two are together is compared against straight."""
TARGET_OF_FIRST_RUN = 0.85


def paid(bench: Bench) -> list[Figure]:
    """Whole answers, closed loop, the two keys in turn; then the overhead at half of that. With an older build at hand (the first
    run's), its calls are the measure: taken in turn, on the same machine, beside the same sandbox."""
    keys = {"straight": bench.straight, "free": bench.samovar, "paid": bench.paid}
    if (older := bench.older) is not None:
        keys["older"] = older
    seen: dict[str, list[Seen]] = {name: [] for name in keys}
    for _ in range(bench.measure.repeats):
        for name, lane in keys.items():
            seen[name].append(bench.closed(lane, OPENAI_NATIVE, WHOLE))
    per_s = {name: typical(windows, lambda each: each.per_s) for name, windows in seen.items()}
    free_us, paid_us = (typical(seen[name], lambda each: each.cpu_us_per_call("samovar")) for name in ("free", "paid"))
    paid_per_s = per_s["paid"]
    first_per_s = per_s.get("older", per_s["straight"] * FIRST_RUN_RATIO)
    figures = [
        Figure(
            "paid calls per second",
            paid_per_s,
            "calls/s",
            target=4000.0,
            ceiling=per_s["straight"],
            note=busy(seen["paid"]),
        ),
        Figure(
            "paid calls against the first run's",
            paid_per_s / first_per_s,
            "",
            TARGET_OF_FIRST_RUN,
            note=f"{first_per_s:,.0f}/s, "
            + (
                "that build in turn with this one"
                if "older" in per_s
                else f"{FIRST_RUN_RATIO:.3f} of straight, as then"
            ),
        ),
        Figure("paid against unpaid calls", paid_per_s / per_s["free"], "", note=f"{per_s['free']:,.0f}/s unpaid"),
        Figure("paid calls, Samovar's CPU each", paid_us, "us", note=f"{free_us:,.0f} unpaid"),
    ]
    rate_per_s = max(1.0, paid_per_s / 2)
    return figures + overhead(
        bench,
        "paid calls",
        OPENAI_NATIVE,
        WHOLE,
        rate_per_s=rate_per_s,
        p50_ms=TARGET_P50_MS,
        lane=bench.paid,
        older=older,
    )
