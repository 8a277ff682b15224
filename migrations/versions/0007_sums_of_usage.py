"""Sums of usage by hour and by day, and the batches that wait to be summed."""

from itertools import pairwise

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
COUNTED = ("calls", "unpriced_calls", "estimated_calls", "cost_nano_usd", *TOKENS)
KEYS = ("team_id", "at", "model", "provider", "principal_id", "surface", "status")
DURATIONS_MS = [5.0 * 2**power for power in range(16)]
OVERHEADS_MS = [0.25 * 2**power for power in range(9)]


def upgrade() -> None:
    op.create_table(
        "usage_unsummed",
        sa.Column("id", sa.String(length=64), nullable=False, comment="the batch's first event"),
        sa.Column("oldest_at", Instant(), nullable=False, comment="the earliest start in the batch"),
        sa.Column("event_ids", sa.Text(), nullable=False, comment="JSON list of the batch's events"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_unsummed")),
    )
    for name, length_s in (("usage_hourly", 3_600), ("usage_daily", 86_400)):
        histograms = [f"duration_{place}" for place in range(len(DURATIONS_MS) + 1)]
        histograms += [f"overhead_{place}" for place in range(len(OVERHEADS_MS) + 1)]
        op.create_table(
            name,
            sa.Column("team_id", sa.String(length=64), nullable=False),
            sa.Column("at", Instant(), nullable=False, comment="the beginning of the hour or day, UTC"),
            sa.Column("model", sa.String(length=320), nullable=False),
            sa.Column("provider", sa.String(length=64), nullable=False),
            sa.Column("principal_id", sa.String(length=64), nullable=False),
            sa.Column("surface", sa.String(length=32), nullable=False),
            sa.Column("status", sa.String(length=16), nullable=False),
            *(sa.Column(one, sa.BigInteger(), nullable=False) for one in COUNTED),
            sa.Column("duration_ms", sa.Float(), nullable=False),
            sa.Column("overhead_ms", sa.Float(), nullable=False),
            *(sa.Column(one, sa.BigInteger(), nullable=False) for one in histograms),
            sa.PrimaryKeyConstraint(*KEYS, name=op.f(f"pk_{name}")),
            sqlite_with_rowid=False,
        )
        op.execute(_of_events(name, length_s * 1_000_000))


def _of_events(table: str, length_us: int) -> str:
    """The sums of the events that are there already."""
    begin = f"started_at - started_at % {length_us}"
    keys = ", ".join(begin if name == "at" else name for name in KEYS)
    sums = [
        "count(*)",
        _count("cost_nano_usd IS NULL AND usage IS NOT NULL"),
        _count("usage_estimated"),
        *(f"CAST(sum({_bounded(name)}) AS BIGINT)" for name in ("cost_nano_usd", *TOKENS)),
        "sum(duration_ms)",
        "sum(overhead_ms)",
        *_histogram("duration_ms", DURATIONS_MS),
        *_histogram("overhead_ms", OVERHEADS_MS),
    ]
    return f"INSERT INTO {table} SELECT {keys}, {', '.join(sums)} FROM usage_events GROUP BY {keys}"  # noqa: S608  # our own names


def _bounded(name: str) -> str:
    # An absurd figure of a provider must not overflow the sum; what is written today is bounded alike.
    most = 10**14 if name == "cost_nano_usd" else 10**12
    return f"CASE WHEN {name} > {most} THEN {most} WHEN {name} > 0 THEN {name} ELSE 0 END"


def _histogram(name: str, bounds: list[float]) -> list[str]:
    between = [f"{name} > {low} AND {name} <= {high}" for low, high in pairwise(bounds)]
    return [_count(one) for one in (f"{name} <= {bounds[0]}", *between, f"{name} > {bounds[-1]}")]


def _count(condition: str) -> str:
    return f"sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"
