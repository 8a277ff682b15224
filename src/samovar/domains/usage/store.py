"""The table of usage events: append only, one row a call, keyed by the call so that a batch sent twice counts once."""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text
from sqlalchemy.exc import DBAPIError

from samovar.domains.gateway.model import CallFinished
from samovar.domains.usage.errors import EventsRefused
from samovar.domains.usage.model import UsageRow, row_of
from samovar.ports.database import Instant, Tx, metadata

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

_NAMES: Final = tuple(column.name for column in usage_events.columns)

SQLITE_ROWS: Final = (1000, 100, 10, 1)
"""Rows a statement, a few sizes only: SQLite keeps each text compiled, and a compiled insert of many rows is large. Times
the columns the first stays under SQLite's 32,766 parameters."""


async def add_events(tx: Tx, events: Sequence[CallFinished]) -> None:
    """Append; events that are there already are left alone. Raises ``EventsRefused`` where the database is well and does
    not take a row.

    Bound straight to the driver: SQLAlchemy's processing of 31 columns costs more than the whole rest of a call. On SQLite
    many rows go in one statement, because the driver lets the interpreter's lock go and takes it back at each: next to a
    busy event loop that is the slowest part by far.
    """
    try:
        if tx.dialect.name == "postgresql":
            await tx.exec_driver_sql(_insert(1, "${}"), [row_of(event) for event in events])
            return
        done = 0
        while done < len(events):
            size = next(size for size in SQLITE_ROWS if size <= len(events) - done)
            rows = [row_of(event) for event in events[done : done + size]]
            await tx.exec_driver_sql(_insert(size, "?"), tuple(chain.from_iterable(rows)))
            done += size
    except DBAPIError as error:
        # Without the statement, which holds what callers wrote.
        raise EventsRefused(f"{type(error.orig).__name__}: {error.orig}"[:500]) from error


@cache
def _insert(rows: int, mark: str) -> str:
    one = ", ".join(mark.format(position) for position in range(1, len(_NAMES) + 1))
    marks = ", ".join([f"({one})"] * rows)
    # Names come from the table above, values go as parameters: nothing of a caller's stands in this text.
    return f"INSERT INTO usage_events ({', '.join(_NAMES)}) VALUES {marks} ON CONFLICT (id) DO NOTHING"  # noqa: S608


assert UsageRow._fields == _NAMES
