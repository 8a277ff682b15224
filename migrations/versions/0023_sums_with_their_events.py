"""Sums of usage are written together with their events: what waits to be summed is summed here for the last time."""

import json
from bisect import bisect_left
from collections.abc import Iterator
from itertools import count
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

SAME = ("model", "provider", "principal_id", "surface", "status", "project_id")
KEYS = ("team_id", "at", *SAME, "user_id", "route", "prompt_id")
TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
COUNTED = ("calls", "unpriced_calls", "estimated_calls", "cost_nano_usd", *TOKENS, "duration_ms", "overhead_ms")
DURATION_BOUNDS_MS = [5.0 * 2**power for power in range(16)]
OVERHEAD_BOUNDS_MS = [0.25 * 2**power for power in range(9)]
HISTOGRAMS = (*(f"duration_{place}" for place in range(17)), *(f"overhead_{place}" for place in range(10)))
SUMS = (*COUNTED, *HISTOGRAMS)
HOUR_US = 3_600_000_000
TABLES = {"usage_hourly": HOUR_US, "usage_daily": 24 * HOUR_US}
AT_ONCE = 500


def upgrade() -> None:
    connection = op.get_bind()
    for events in _waiting(connection):
        for table, length_us in TABLES.items():
            _add(connection, table, _sums(events, length_us))
    op.drop_table("usage_unsummed")


def _waiting(connection: sa.Connection) -> Iterator[list[Any]]:
    wanted = sa.text("SELECT * FROM usage_events WHERE id IN :ids").bindparams(sa.bindparam("ids", expanding=True))
    for (noted,) in connection.execute(sa.text("SELECT event_ids FROM usage_unsummed")).all():
        ids = json.loads(noted)
        for start in range(0, len(ids), AT_ONCE):
            yield list(connection.execute(wanted, {"ids": ids[start : start + AT_ONCE]}))


def _sums(events: list[Any], length_us: int) -> dict[tuple[Any, ...], list[Any]]:
    found: dict[tuple[Any, ...], list[Any]] = {}
    for event in events:
        key = (
            event.team_id,
            event.started_at - event.started_at % length_us,
            *(getattr(event, name) for name in SAME),
            "(other)" if event.user_overflows else event.user_id,
            event.requested_model if event.model else "",
            event.prompt_id or 0,
        )
        sums = found.setdefault(key, [0] * len(SUMS))
        is_used, cost = event.usage is not None, event.cost_nano_usd
        tokens = [getattr(event, name) or 0 for name in TOKENS]
        added = (1, is_used and cost is None, bool(event.usage_estimated), cost or 0, *tokens)
        for place, value in zip(count(), (*added, event.duration_ms, event.overhead_ms)):
            sums[place] += value
        sums[len(COUNTED) + bisect_left(DURATION_BOUNDS_MS, event.duration_ms)] += 1
        sums[len(COUNTED) + 17 + bisect_left(OVERHEAD_BOUNDS_MS, event.overhead_ms)] += 1
    return found


def _add(connection: sa.Connection, table: str, found: dict[tuple[Any, ...], list[Any]]) -> None:
    names = (*KEYS, *SUMS)
    places = ", ".join(f":{name}" for name in names)
    grown = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in SUMS)
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608  # our own names
    adding = sa.text(f"{statement} ON CONFLICT ({', '.join(KEYS)}) DO UPDATE SET {grown}")
    for key in sorted(found):
        connection.execute(adding, dict(zip(names, (*key, *found[key]), strict=True)))
