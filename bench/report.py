"""Figures for people (a plain table), for programs (JSON) and for the README (the rows between two marks)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Figure

START, END = "<!-- figures:start -->", "<!-- figures:end -->"
_COLUMNS = ("figure", "measured", "target", "", "straight", "ratio", "note")
_README_COLUMNS = ("figure", "target", "measured", "straight at the sandbox", "ratio")


class ReadmeUnmarked(ValueError):
    """The README lacks the marks between which the table goes."""


def table(figures: Sequence[Figure]) -> str:
    """Columns padded with spaces, so that it reads the same in a terminal and in a log."""
    rows = [_COLUMNS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(len(line) for line in lines), *lines[1:]])


def write_json(
    directory: Path,
    *,
    machine: Mapping[str, str | int],
    options: Mapping[str, object],
    scenarios: Mapping[str, Sequence[Figure]],
    errors: Mapping[str, int],
) -> Path:
    """One file a run, named after the time."""
    now = datetime.now(UTC)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    content = {
        "time": now.isoformat(timespec="seconds"),
        "machine": machine,
        "options": options,
        "errors": errors,
        "scenarios": {
            name: [asdict(figure) | {"met": figure.met, "ratio": figure.ratio} for figure in figures]
            for name, figures in scenarios.items()
        },
    }
    path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    return path


def write_readme(path: Path, *, machine: Mapping[str, str | int], scenarios: Mapping[str, Sequence[Figure]]) -> None:
    """Put the rows of these scenarios in; rows of scenarios that did not run stay as they are. Raises ReadmeUnmarked."""
    text = path.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    old, end, after = rest.partition(END)
    if not (start and end):
        raise ReadmeUnmarked(f"{path.name} has no {START} ... {END}")
    rows = _sections(old)
    when = f"{datetime.now(UTC):%Y-%m-%d}, commit {machine['commit']}"
    for name, figures in scenarios.items():
        rows[name] = [f"#### `{name}` ({when})", "", *_markdown(figures)]
    origin = "{cpu}, {cores} cores, {memory}, Linux {kernel}, Python {python}".format(**machine)
    body = "\n\n".join("\n".join(lines) for lines in rows.values())
    path.write_text(f"{before}{START}\n\n{origin}\n\n{body}\n\n{END}{after}", encoding="utf-8")


def _sections(old: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = None
    for line in old.strip().splitlines():
        if line.startswith("#### `"):
            name = line.split("`")[1]
            found[name] = []
        if name is not None:
            found[name].append(line)
    return {name: "\n".join(lines).strip().splitlines() for name, lines in found.items()}


def _markdown(figures: Sequence[Figure]) -> list[str]:
    rows = [_README_COLUMNS, tuple("---" for _ in _README_COLUMNS)]
    for figure in figures:
        name, measured, target, verdict, straight, ratio, _ = _cells(figure)
        rows.append((name, target, f"**{measured}**{' (missed)' if verdict == 'MISSED' else ''}", straight, ratio))
    return ["| " + " | ".join(row) + " |" for row in rows]


def _cells(figure: Figure) -> tuple[str, ...]:
    verdict = {None: "", True: "ok", False: "MISSED"}[figure.met]
    target = (
        "" if figure.target is None else f"{'>=' if figure.at_least else '<'} {_number(figure.target)} {figure.unit}"
    )
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}",
        target,
        verdict,
        "" if figure.ceiling is None else f"{_number(figure.ceiling)} {figure.unit}",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        figure.note,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
