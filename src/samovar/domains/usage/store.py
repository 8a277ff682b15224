"""The table of usage events: append only, one row a call, keyed by the call so that a batch sent twice counts once."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text
from sqlalchemy.exc import DBAPIError

from samovar.domains.usage.errors import EventsRefused
from samovar.domains.usage.model import UsageRow
from samovar.ports.database import Instant, Tx, insert_rows, metadata

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
    Index("ix_usage_events_team_id_started_at", "team_id", "started_at"),
)


async def add_rows(tx: Tx, rows: Sequence[UsageRow]) -> None:
    """Append; those that are there already are left alone.
    Raises ``EventsRefused`` where the database is well and does not take a row.

    Not by way of SQLAlchemy's parameters: its processing of 31 columns costs more than the whole rest of a call.
    """
    try:
        await insert_rows(tx, usage_events, rows, keys=("id",))
    except DBAPIError as error:
        # Without the statement, which holds what callers wrote.
        raise EventsRefused(f"{type(error.orig).__name__}: {error.orig}"[:500]) from error


assert UsageRow._fields == tuple(usage_events.columns.keys())
