"""``samovar usage``: what was used, by model or otherwise."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from samovar.cli.api import Credential, ask, reach
from samovar.cli.keys import seconds_of
from samovar.cli.output import CannotDo, note, say, say_json, say_table
from samovar.cli.targets import By
from samovar.domains.usage.model.records import csv_line

_FIGURES: Final = (
    "calls",
    "errors",
    "cancelled",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_credits",
    "unpriced_calls",
    "estimated_calls",
    "mean_duration_ms",
    "mean_overhead_ms",
)
_SHOWN: Final = (
    "calls",
    "errors",
    "input_tokens",
    "output_tokens",
    "cost_credits",
    "unpriced_calls",
    "mean_duration_ms",
)
_HEADS: Final = ("calls", "errors", "in", "out", "credits", "no price", "ms")
_MOST: Final = 100


def show_usage(
    *, by: By, start: str, as_csv: bool, as_json: bool, url: str | None, credential: Credential | None
) -> None:
    """Print the sums since ``start``: a date, an instant, or a span of time such as ``7d``. Raises :class:`CannotDo`."""
    if as_csv and as_json:
        raise CannotDo("--csv and --json are two ways to print: choose one")
    query = f"from={quote(_start_of(start), safe='')}" if start else ""
    of_time = by in (By.DAY, By.HOUR)
    path = f"/api/usage?bucket={by}&{query}" if of_time else f"/api/usage/breakdown?by={by}&limit={_MOST}&{query}"
    found = reach(lambda api: ask(api, "GET", path), url=url, credential=credential)
    if as_json:
        return say_json(found)
    lines = found["points"] if of_time else found["items"]
    name: Callable[[Any], str] = (lambda line: line["at"]) if of_time else (lambda line: line["name"])
    if as_csv:
        rows = [(by.value, *_FIGURES), *((name(line), *(line[figure] for figure in _FIGURES)) for line in lines)]
        return say("".join(csv_line(row) for row in rows).rstrip("\r\n"))
    rows = [(name(line) or "(none)", *_cells(line)) for line in lines if line["calls"] or not of_time]
    if not of_time:
        rows.append(("all", *_cells(found["total"])))
    say_table((by.value, *_HEADS), rows, right=_HEADS)
    return note(
        f"From {found['start']} to {found['end']}. 100 credits are a dollar; calls without a price are not in them."
    )


def _cells(line: Any) -> tuple[str, ...]:
    return tuple(_cell(line[figure]) for figure in _SHOWN)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


def _start_of(text: str) -> str:
    """The instant that ``text`` names, in RFC 3339."""
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC).isoformat()
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return (_now() - timedelta(seconds=seconds_of(text))).isoformat()
    return at.replace(tzinfo=at.tzinfo or UTC).isoformat()


def _now() -> datetime:
    from samovar.adapters.system import SystemClock

    return SystemClock().now()
