"""The sums of events by hour and by day, kept for ever: small enough to add up months, and there when events are pruned.

Each event is added to both in the transaction that writes it, so it counts exactly once.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    String,
    Table,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.exc import DBAPIError

from samovar.domains.gateway.model import CallStatus
from samovar.domains.usage.errors import EventsRefused
from samovar.domains.usage.model import Buckets, Dimension, Figures, Filters, Group, Latency, Point
from samovar.domains.usage.model.figures import DURATION_BOUNDS_MS, OVERHEAD_BOUNDS_MS, Part, quantile
from samovar.domains.usage.model.sums import KEYS, SUMMED, Sums
from samovar.domains.usage.store.events import conditions, filtered, summed_by, usage_events
from samovar.ports.database import Instant, Tx, metadata
from samovar.ports.scripts import add_to_rows

_DURATIONS: Final = tuple(f"duration_{place}" for place in range(len(DURATION_BOUNDS_MS) + 1))
_OVERHEADS: Final = tuple(f"overhead_{place}" for place in range(len(OVERHEAD_BOUNDS_MS) + 1))


def _sums_table(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("team_id", String(64), primary_key=True),
        Column("at", Instant, primary_key=True, comment="the beginning of the hour or day, UTC"),
        Column("model", String(320), primary_key=True),
        Column("provider", String(64), primary_key=True),
        Column("principal_id", String(64), primary_key=True),
        Column("surface", String(32), primary_key=True),
        Column("status", String(16), primary_key=True),
        Column("project_id", String(128), primary_key=True),
        Column("user_id", String(128), primary_key=True),
        Column("route", String(255), primary_key=True),
        Column("prompt_id", BigInteger, primary_key=True, autoincrement=False, comment="0 for none"),
        *(Column(one, Float if one.endswith("_ms") else BigInteger, nullable=False) for one in SUMMED),
        # Last, because SQLite reads a row no further than the last column asked for.
        *(Column(one, BigInteger, nullable=False) for one in (*_DURATIONS, *_OVERHEADS)),
        sqlite_with_rowid=False,
    )


usage_hourly = _sums_table("usage_hourly")
usage_daily = _sums_table("usage_daily")

_TABLES: Final[Mapping[Buckets, Table]] = {Buckets.HOUR: usage_hourly, Buckets.DAY: usage_daily}
_DIMENSIONS: Final[Mapping[Dimension, str]] = {
    Dimension.MODEL: "model",
    Dimension.PROVIDER: "provider",
    Dimension.KEY: "principal_id",
    Dimension.SURFACE: "surface",
    Dimension.PROJECT: "project_id",
    Dimension.USER: "user_id",
    Dimension.ROUTE: "route",
    Dimension.PROMPT: "prompt_id",
}


def _whole(total: ColumnElement[Any]) -> ColumnElement[int]:
    # PostgreSQL adds bigints up to a numeric, which does not fit the column without a word.
    return cast(func.coalesce(total, 0), BigInteger)


def _counted(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return _whole(func.sum(case((condition, 1), else_=0)))


def _histogram(
    column: ColumnElement[float], names: Sequence[str], bounds: Sequence[float]
) -> dict[str, ColumnElement[int]]:
    within = [column <= bounds[0], *(and_(column > low, column <= high) for low, high in pairwise(bounds))]
    return {name: _counted(condition) for name, condition in zip(names, [*within, column > bounds[-1]], strict=True)}


def _of_events() -> dict[str, ColumnElement[Any]]:
    """What each column of sums is, said of events."""
    seen = usage_events.c
    same = [name for name in usage_hourly.c.keys() if name.endswith("_tokens")]  # noqa: SIM118  # not a dict
    return {
        "calls": func.count(),
        "unpriced_calls": _counted(and_(seen.cost_nano_usd.is_(None), seen.usage.is_not(None))),
        "estimated_calls": _counted(seen.usage_estimated),
        "cost_nano_usd": _whole(func.sum(seen.cost_nano_usd)),
        **{name: _whole(func.sum(seen[name])) for name in same},
        "duration_ms": func.sum(seen.duration_ms),
        "overhead_ms": func.sum(seen.overhead_ms),
        **_histogram(seen.duration_ms, _DURATIONS, DURATION_BOUNDS_MS),
        **_histogram(seen.overhead_ms, _OVERHEADS, OVERHEAD_BOUNDS_MS),
    }


def _beginning(at: ColumnElement[Any], length: timedelta) -> ColumnElement[Any]:
    number = type_coerce(at, BigInteger)
    return type_coerce(number - number % int(length.total_seconds() * 1_000_000), Instant)


async def add(tx: Tx, sums: Sums) -> None:
    """Add a batch to the sums of its hours and days, in the transaction that writes its events. Raises ``EventsRefused`` where
    the database is well and does not take it."""
    try:
        await add_to_rows(tx, usage_hourly, sums.hours(), keys=KEYS)
        await add_to_rows(tx, usage_daily, sums.days(), keys=KEYS)
    except DBAPIError as error:
        # Without the statement, which holds what callers wrote.
        raise EventsRefused(f"{type(error.orig).__name__}: {error.orig}"[:500]) from error


async def groups(
    tx: Tx, team_id: str, parts: Sequence[Part], filters: Filters, *, by: Dimension, latency: bool, limit: int
) -> list[Group]:
    """The ``limit`` names that cost most (of those that cost the same, with most calls)."""
    found = _summed(team_id, parts, filters, by=by, buckets=None, latency=latency)
    order = (found.c.cost_nano_usd.desc(), found.c.calls.desc(), found.c.name)
    return [
        Group(row.name, _figures(row, latency)) for row in await tx.execute(select(found).order_by(*order).limit(limit))
    ]


async def total(tx: Tx, team_id: str, parts: Sequence[Part], filters: Filters, *, latency: bool) -> Figures:
    """All of it."""
    found = _summed(team_id, parts, filters, by=None, buckets=None, latency=latency)
    row = (await tx.execute(select(found).limit(1))).first()
    return Figures() if row is None else _figures(row, latency)


async def series(
    tx: Tx, team_id: str, parts: Sequence[Part], filters: Filters, *, buckets: Buckets, limit: int
) -> list[Point]:
    """The buckets in which there were calls, the earliest first."""
    found = _summed(team_id, parts, filters, by=None, buckets=buckets, latency=False)
    rows = await tx.execute(select(found).order_by(found.c.at).limit(limit))
    return [Point(row.at, _figures(row, False)) for row in rows]


def _summed(
    team_id: str,
    parts: Sequence[Part],
    filters: Filters,
    *,
    by: Dimension | None,
    buckets: Buckets | None,
    latency: bool,
) -> Any:
    """One row a name or bucket, over all parts: each is added up alone first, to few rows."""
    each = [_part(team_id, part, filters, by=by, buckets=buckets, latency=latency) for part in parts]
    rows = union_all(*each).subquery()
    keys = [rows.c.name, rows.c.at]
    sums = [_sum_of(rows.c[column.key]).label(column.key) for column in rows.c if column.key not in ("name", "at")]
    return select(*keys, *sums).group_by(*keys).subquery()


def _part(
    team_id: str, part: Part, filters: Filters, *, by: Dimension | None, buckets: Buckets | None, latency: bool
) -> Any:
    table = _TABLES.get(part.buckets, usage_events)
    at = usage_events.c.started_at if table is usage_events else table.c.at
    if table is usage_events:
        where = conditions(team_id, part.window, filters)
        sums = _of_events()
    else:
        where = [table.c.team_id == team_id, at >= part.window.start, at < part.window.end, *filtered(table, filters)]
        sums = {column.key: _sum_of(column) for column in table.c if column.key not in KEYS}
    calls = literal(1) if table is usage_events else table.c.calls
    failed = table.c.status.in_([CallStatus.ERROR.value, CallStatus.BROKEN.value])
    sums["errors"] = _whole(func.sum(case((failed, calls), else_=0)))
    sums["cancelled"] = _whole(func.sum(case((table.c.status == CallStatus.CANCELLED.value, calls), else_=0)))
    chosen = {name: one for name, one in sums.items() if latency or name not in (*_DURATIONS, *_OVERHEADS)}
    name: Any = cast(null(), String) if by is None else _named(table, by)
    begin: Any = cast(null(), BigInteger) if buckets is None else _beginning(at, buckets.length)
    keys = (name.label("name"), type_coerce(begin, Instant).label("at"))
    grouped = [key for key, wanted in ((name, by), (begin, buckets)) if wanted is not None]
    query = select(*keys, *(one.label(key) for key, one in chosen.items())).where(*where)
    return query.group_by(*grouped) if grouped else query.having(func.count() > 0)


def _named(table: Table, by: Dimension) -> ColumnElement[Any]:
    column = summed_by(table, _DIMENSIONS[by])
    # Numbers as the other names are: a text, empty for none.
    return case((column == 0, ""), else_=cast(column, String)) if by is Dimension.PROMPT else column


def _sum_of(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.sum(column) if isinstance(column.type, Float) else _whole(func.sum(column))


def _figures(row: Any, latency: bool) -> Figures:
    values = {name: getattr(row, name) for name in Figures.__dataclass_fields__ if name != "latency"}
    return Figures(**values, latency=_latency(row) if latency else None)


def _latency(row: Any) -> Latency:
    durations = [getattr(row, name) for name in _DURATIONS]
    overheads = [getattr(row, name) for name in _OVERHEADS]
    return Latency(
        p50_ms=quantile(durations, DURATION_BOUNDS_MS, 0.5),
        p95_ms=quantile(durations, DURATION_BOUNDS_MS, 0.95),
        overhead_p50_ms=quantile(overheads, OVERHEAD_BOUNDS_MS, 0.5),
        overhead_p95_ms=quantile(overheads, OVERHEAD_BOUNDS_MS, 0.95),
    )
