"""`python -m bench [scenario ...]`: exit 0 when every answer was right, 1 when any was not, 2 for wrong arguments."""

import dataclasses
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from bench import machine, options, report
from bench.figures import Figure
from bench.lanes import LaneBroken
from bench.processes import ChildFailed
from bench.scenarios import SCENARIOS, Bench
from bench.selfcheck import selfcheck
from bench.stage import Stage
from bench.wire import WrongAnswer

HERE = Path(__file__).resolve().parent


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for and print it."""
    asked = options.read(arguments)
    signal.signal(signal.SIGTERM, _end)
    facts, cores, warning = machine.facts(), machine.share_out(), machine.busy()
    print("{cpu}, {cores} cores, {memory}, Linux {kernel}, Python {python}, commit {commit}".format(**facts))
    print(cores.describe())
    if warning:
        print(f"warning: {warning}")
    if asked.quick:
        print("quick: shows that the bench works; its figures are no measurement")
    scenarios: dict[str, list[Figure]] = {}
    with Stage(cores=cores, program=asked.program, source=HERE.parent) as stage:
        bench = Bench(stage=stage, measure=asked.measure, with_nginx=asked.with_nginx, before=asked.before)
        try:
            for name in asked.scenarios:
                print(f"\n== {name}", flush=True)
                scenarios[name] = _scenario(name, bench)
                print(report.table(scenarios[name]), flush=True)
        except (ChildFailed, LaneBroken, WrongAnswer, LookupError) as error:
            print(f"\nfailed: {error}", file=sys.stderr)
            return 1
    return _conclude(asked, facts, scenarios, bench)


def _scenario(name: str, bench: Bench) -> list[Figure]:
    if name != options.SELFCHECK:
        return SCENARIOS[name](bench)
    measure = bench.measure
    figures, flaws = selfcheck(bench.stage.trivial, seconds=measure.seconds, connections=measure.connections)
    bench.errors.update(flaws)
    return figures


def _conclude(
    asked: options.Options, facts: Mapping[str, str | int], scenarios: Mapping[str, Sequence[Figure]], bench: Bench
) -> int:
    chosen = dataclasses.asdict(asked) | {"program": asked.program.name, "before": asked.before is not None}
    path = report.write_json(
        HERE / "results", machine=facts, options=chosen, scenarios=scenarios, errors=dict(bench.errors)
    )
    print(f"\nwritten to {path.relative_to(HERE.parent)}")
    for kind, count in bench.errors.items():
        print(f"error: {kind}: {count:,}  {bench.examples.get(kind, '')}", file=sys.stderr)
    if bench.errors:
        return 1
    if asked.write_readme:
        report.write_readme(HERE / "README.md", machine=facts, scenarios=scenarios)
    missed = [figure.name for figures in scenarios.values() for figure in figures if figure.met is False]
    if missed and not asked.quick:
        print(f"targets missed: {'; '.join(missed)}")
    return 1 if missed and asked.strict else 0


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)  # through every `with` on the way, so that nothing stays behind


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
