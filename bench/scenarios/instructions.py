"""What a call costs in machine instructions: the same on every machine, so that builds can be compared where clocks cannot."""

from pathlib import Path

from bench.figures import Figure
from bench.load.window import Span
from bench.scenarios.bench import Bench
from bench.wire import OPENAI_NATIVE, WHOLE

COUNTED = "instructions"
LONGER = 7
"""Than other windows: the warm-up has to outlast what is written at intervals, as slow as the clock goes."""


def instructions(bench: Bench) -> list[Figure]:
    """Whole answers in a closed loop, unpaid and paid, and unpaid by an older build if one was named."""
    unpaid, paid = _counted(bench, is_paid=False), _counted(bench, is_paid=True)
    note = "in user space, all threads"
    figures = [
        Figure("instructions of an unpaid call", unpaid / 1000, "thousand", note=note),
        Figure("instructions of a paid call", paid / 1000, "thousand", note=note),
    ]
    if bench.before is not None:
        older = _counted(bench, is_paid=False, program=bench.before)
        said = f"{older / 1000:,.0f} thousand in that build"
        figures.append(Figure("the older build's unpaid call over a paid one", older / paid, "", note=said))
    return figures


def _counted(bench: Bench, *, is_paid: bool, program: Path | None = None) -> float:
    """Instructions a call."""
    lane, callgrind = bench.stage.counted(program)
    if is_paid:
        lane = bench.stage.paid(lane)
    seconds = bench.measure.seconds * LONGER
    span = Span(seconds=seconds, warmup_s=seconds)
    seen = bench.watched(lane, OPENAI_NATIVE, WHOLE, span=span, by={COUNTED: callgrind})
    lane.processes["samovar"].stop()
    return seen.cpu_s[COUNTED] / max(1, seen.record.completed)
