"""The command line, every number in it bounded."""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.scenarios import SCENARIOS
from bench.scenarios.bench import Measure
from bench.stage import program_beside_python

_FULL = Measure(
    seconds=6.0, warmup_s=2.0, repeats=3, connections=64, paced_streams=512, memory_calls=200_000, starts=5, seed=1
)
_QUICK = Measure(
    seconds=1.0, warmup_s=0.3, repeats=1, connections=16, paced_streams=64, memory_calls=2_000, starts=1, seed=1
)
SELFCHECK = "selfcheck"
_ASKED_FOR = ("instructions",)
"""Not among those that run where none is named: it needs what few machines have."""
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    scenarios: tuple[str, ...]
    measure: Measure
    with_nginx: bool
    quick: bool
    strict: bool
    write_readme: bool
    program: Path
    before: Path | None


def read(arguments: Sequence[str]) -> Options:
    """Parse; a wrong argument ends the program with a message, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Benchmarks of Samovar; bench/README.md says what each figure means."
    )
    names = [*SCENARIOS, SELFCHECK]
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="scenario",
        help=f"any of: {', '.join(names)}; none: all but {SELFCHECK} and {_ASKED_FOR[0]}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="seconds, not minutes: shows that it works, measures nothing"
    )
    parser.add_argument(
        "--with-nginx", action="store_true", help="nginx as a reverse proxy beside Samovar, for comparison"
    )
    parser.add_argument("--strict", action="store_true", help="a missed target fails the run, as an error does")
    parser.add_argument("--write-readme", action="store_true", help="put the figures into bench/README.md")
    parser.add_argument("--samovar", type=Path, default=program_beside_python(), help="the samovar program to measure")
    parser.add_argument(
        "--before", type=Path, help="the samovar program of an older build, for `paid` in turn with this one"
    )
    parser.add_argument("--seconds", type=_bounded(float, 0.2, 120), help="length of a window (full: 6)")
    parser.add_argument(
        "--repeats", type=_bounded(int, 1, 50), help="windows of each kind, of which the median counts (full: 3)"
    )
    parser.add_argument("--connections", type=_bounded(int, 1, 1024), help="connections of a closed loop (full: 64)")
    parser.add_argument("--paced-streams", type=_bounded(int, 1, 4096), help="open streams of `paced` (full: 512)")
    parser.add_argument("--memory-calls", type=_bounded(int, 100, 2_000_000), help="calls of `memory` (full: 200,000)")
    parser.add_argument("--starts", type=_bounded(int, 1, 50), help="starts of each kind of `startup` (full: 5)")
    parser.add_argument("--seed", type=_bounded(int, 0, 2**31), help="of arrivals and of the spread of streams (1)")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.scenarios) - set(names))
    if unknown:
        parser.error(f"there is no scenario {', '.join(unknown)}; there are: {', '.join(names)}")
    if given.quick and given.write_readme:
        parser.error("--quick measures nothing that belongs in the README")
    return Options(
        scenarios=tuple(dict.fromkeys(given.scenarios)) or tuple(name for name in SCENARIOS if name not in _ASKED_FOR),
        measure=_measure(given),
        with_nginx=given.with_nginx,
        quick=given.quick,
        strict=given.strict,
        write_readme=given.write_readme,
        program=given.samovar.absolute(),
        before=given.before and given.before.absolute(),
    )


def _measure(given: argparse.Namespace) -> Measure:
    base = _QUICK if given.quick else _FULL
    named = {field.name: getattr(given, field.name, None) for field in dataclasses.fields(Measure)}
    return dataclasses.replace(base, **{name: value for name, value in named.items() if value is not None})


def _bounded(kind: Callable[[str], Number], low: Number, high: Number) -> Callable[[str], Number]:
    def read_number(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:,} and {high:,}")
        return value

    return read_number
