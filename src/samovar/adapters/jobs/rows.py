"""The tables, and how a row becomes a job."""

from typing import Any, Final

from sqlalchemy import Boolean, Column, ColumnElement, Index, Integer, String, Table, Text, literal_column, text
from sqlalchemy.engine import Row

from samovar.ports.database import Instant, Json, metadata
from samovar.ports.jobs import MAX_KEY_CHARS, MAX_KIND_CHARS, Job, JobState, Priority

LIVE_KEY: Final = ("team_id", "kind", "key")
LIVE: Final = text("key IS NOT NULL AND state IN ('queued', 'running')")
_QUEUED: Final = text("state = 'queued'")
_RUNNING: Final = text("state = 'running'")
# Written out, not bound: an engine takes a partial index only where it can see that the condition holds.
IN_QUEUE: Final[ColumnElement[str]] = literal_column("'queued'")
UNDER_WAY: Final[ColumnElement[str]] = literal_column("'running'")
_CRON: Final = text("cron IS NOT NULL")
_FINISHED: Final = text("finished_at IS NOT NULL")

jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team_id", String(64), nullable=False),
    Column("kind", String(MAX_KIND_CHARS), nullable=False),
    Column("payload", Json, nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("run_at", Instant, nullable=False),
    Column("key", String(MAX_KEY_CHARS), nullable=True),
    Column("cron", String(MAX_KIND_CHARS), nullable=True),
    Column("scheduled_at", Instant, nullable=True),
    Column("started_at", Instant, nullable=True),
    Column("finished_at", Instant, nullable=True),
    Column("lease_until", Instant, nullable=True),
    Column("worker", String(64), nullable=True),
    Column("error", Text, nullable=True),
    Column("cancel_asked", Boolean, nullable=False),
    Index("uq_jobs_live_key", *LIVE_KEY, unique=True, postgresql_where=LIVE, sqlite_where=LIVE),
    Index("uq_jobs_cron", "cron", "scheduled_at", unique=True, postgresql_where=_CRON, sqlite_where=_CRON),
    Index("ix_jobs_due", "priority", "run_at", "id", postgresql_where=_QUEUED, sqlite_where=_QUEUED),
    Index("ix_jobs_leases", "lease_until", postgresql_where=_RUNNING, sqlite_where=_RUNNING),
    Index("ix_jobs_finished", "finished_at", postgresql_where=_FINISHED, sqlite_where=_FINISHED),
    Index("ix_jobs_team", "team_id", "id"),
    Index("ix_jobs_team_state", "team_id", "state", "id"),
    Index("ix_jobs_team_kind", "team_id", "kind", "id"),
)

cron_jobs: Final = Table(
    "cron_jobs",
    metadata,
    Column("name", String(MAX_KIND_CHARS), primary_key=True),
    # The schedule and its time zone, by which `next_at` was planned.
    Column("plan", String(200), nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=True),
    Column("last_job_id", String(64), nullable=True),
)


def job_of(row: Row[Any]) -> Job:
    """A row of all columns."""
    fields = row._asdict()
    return Job(**fields | {"state": JobState(row.state), "priority": Priority(row.priority)})
