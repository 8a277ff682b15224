"""The table of usage events: append only, one row a call, keyed by the call so that a batch sent twice counts once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    case,
    delete,
    false,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from samovar.domains.usage.errors import EventsKnown, EventsRefused
from samovar.domains.usage.model import Filters, Place, Record, UsageRow, Window
from samovar.domains.usage.model.records import cost_text
from samovar.domains.usage.model.users import OTHER_USERS
from samovar.ports.database import Instant, Tx, among, metadata
from samovar.ports.scripts import insert_rows

_EMPTY: Final = text("''")

usage_events = Table(
    "usage_events",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team_id", String(64), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("principal_id", String(64), nullable=False),
    Column("principal_kind", String(16), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("surface", String(32), nullable=False),
    Column("requested_model", String(255), nullable=False),
    Column("model", String(320), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("vendor", String(64), nullable=False),
    Column("native", Boolean, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("http_status", Integer, nullable=False),
    Column("error_code", String(64)),
    Column("stop", String(32)),
    Column("duration_ms", Float, nullable=False),
    Column("first_content_ms", Float),
    Column("overhead_ms", Float, nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_input_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("usage", Text, comment="the whole usage as JSON, all token kinds"),
    Column("usage_estimated", Boolean, nullable=False),
    Column("cost_nano_usd", BigInteger),
    Column("price_source", String(64)),
    Column("attempts", Text, nullable=False, comment="JSON list of attempts"),
    Column("trace_id", String(32), nullable=False),
    Column("project_id", String(128), nullable=False, server_default=_EMPTY),
    Column("user_id", String(128), nullable=False, server_default=_EMPTY),
    Column("user_overflows", Boolean, nullable=False, server_default=false()),
    Column("strategy", String(16), nullable=False, server_default=_EMPTY),
    Column("answered_model", String(255), nullable=False, server_default=_EMPTY),
    Column("prompt_id", BigInteger, comment="the version of a prompt of the registry that was asked"),
    Column("prompt_version", Integer),
    Column("prompt_revision", Integer, comment="of that version's text"),
    Index("ix_usage_events_team_id_started_at", "team_id", "started_at"),
)


async def add_rows(tx: Tx, rows: Sequence[UsageRow]) -> None:
    """Append a batch; its sums are the caller's to add. Raises ``EventsRefused`` where the database is well and does not take a
    row; ``EventsKnown`` where one is there already (see :func:`unknown`): the caller must not commit then.

    Not by way of SQLAlchemy's parameters: its processing of so many columns costs more than the whole rest of a call.
    """
    try:
        if await insert_rows(tx, usage_events, rows, keys=("id",)) != len(rows):
            raise EventsKnown("Some events of the batch stand in the log already. Write the others alone.")
    except DBAPIError as error:
        # Without the statement, which holds what callers wrote.
        raise EventsRefused(f"{type(error.orig).__name__}: {error.orig}"[:500]) from error


async def unknown(tx: Tx, rows: Sequence[UsageRow]) -> list[UsageRow]:
    """Those of ``rows`` that are not in the log, each once."""
    by_id = {row.id: row for row in rows}
    found = await tx.scalars(select(usage_events.c.id).where(among(tx, usage_events.c.id, by_id)).limit(len(by_id)))
    for known in found:
        del by_id[known]
    return list(by_id.values())


async def next_team(tx: Tx, after: str) -> str | None:
    """The first team behind ``after`` that has events."""
    found: str | None = await tx.scalar(select(func.min(usage_events.c.team_id)).where(usage_events.c.team_id > after))
    return found


async def prune(tx: Tx, team_id: str, *, before: datetime, limit: int) -> int:
    """Delete at most ``limit`` of a team's events that began before ``before``; how many."""
    old = (
        select(usage_events.c.id)
        .where(usage_events.c.team_id == team_id, usage_events.c.started_at < before)
        .order_by(usage_events.c.started_at)
        .limit(limit)
    )
    return (await tx.execute(delete(usage_events).where(usage_events.c.id.in_(old)))).rowcount


async def page(
    tx: Tx,
    team_id: str,
    *,
    window: Window,
    filters: Filters,
    after: Place | None,
    limit: int,
    newest_first: bool,
) -> list[Record]:
    """At most ``limit`` calls of a team behind ``after``."""
    at, key = usage_events.c.started_at, usage_events.c.id
    query = select(*_SHOWN).where(*conditions(team_id, window, filters))
    if after is not None:
        beyond, further = (at < after.at, key < after.id) if newest_first else (at > after.at, key > after.id)
        # The first comparison alone says where the index is entered.
        edge = at <= after.at if newest_first else at >= after.at
        query = query.where(edge, or_(beyond, and_(at == after.at, further)))
    order = (at.desc(), key.desc()) if newest_first else (at, key)
    return [_record(row) for row in await tx.execute(query.order_by(*order).limit(limit))]


def conditions(team_id: str, window: Window, filters: Filters) -> list[ColumnElement[bool]]:
    """Which events count, the team first."""
    at = usage_events.c.started_at
    return [usage_events.c.team_id == team_id, at >= window.start, at < window.end, *filtered(usage_events, filters)]


def filtered(table: Table, filters: Filters) -> list[ColumnElement[bool]]:
    """The filters on a table of events or of sums."""
    wanted = {
        "model": filters.model,
        "provider": filters.provider,
        "principal_id": filters.key,
        "surface": filters.surface,
        "status": None if filters.status is None else filters.status.value,
        "project_id": filters.project,
        "user_id": filters.user,
        "route": filters.route,
        "prompt_id": filters.prompt,
    }
    return [summed_by(table, name) == value for name, value in wanted.items() if value is not None]


def summed_by(table: Table, name: str) -> ColumnElement[Any]:
    """A column by which calls are summed, of a table of sums or of the events themselves, where three are made of others."""
    if table is usage_events and name == "route":
        return case((usage_events.c.model == "", ""), else_=usage_events.c.requested_model)
    if table is usage_events and name == "user_id":
        return case((usage_events.c.user_overflows, OTHER_USERS), else_=usage_events.c.user_id)
    if table is usage_events and name == "prompt_id":
        # The sums have it in their key, where there is no NULL.
        return func.coalesce(usage_events.c.prompt_id, 0)
    return table.c[name]


_SAME = tuple(name for name in Record.__dataclass_fields__ if name in usage_events.c)
_SHOWN = (
    *(usage_events.c[name] for name in _SAME),
    usage_events.c.principal_id,
    usage_events.c.principal_kind,
    usage_events.c.cost_nano_usd,
    usage_events.c.project_id,
    usage_events.c.user_id,
)


def _record(row: Any) -> Record:
    return Record(
        **{name: getattr(row, name) for name in _SAME},
        key=row.principal_id,
        key_kind=row.principal_kind,
        project=row.project_id,
        user=row.user_id,
        cost_credits=cost_text(row.cost_nano_usd),
    )


assert UsageRow._fields == tuple(usage_events.columns.keys())
