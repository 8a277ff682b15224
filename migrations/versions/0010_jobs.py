"""Jobs, and the cron that makes them."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant, Json

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_LIVE = sa.text("key IS NOT NULL AND state IN ('queued', 'running')")
_PARTIAL = {
    "uq_jobs_live_key": (["team_id", "kind", "key"], _LIVE),
    "uq_jobs_cron": (["cron", "scheduled_at"], sa.text("cron IS NOT NULL")),
    "ix_jobs_due": (["priority", "run_at", "id"], sa.text("state = 'queued'")),
    "ix_jobs_leases": (["lease_until"], sa.text("state = 'running'")),
    "ix_jobs_finished": (["finished_at"], sa.text("finished_at IS NOT NULL")),
}


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("payload", Json(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("run_at", Instant(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("cron", sa.String(length=64), nullable=True),
        sa.Column("scheduled_at", Instant(), nullable=True),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("worker", sa.String(length=64), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    for name, (columns, where) in _PARTIAL.items():
        op.create_index(
            name, "jobs", columns, unique=name.startswith("uq_"), postgresql_where=where, sqlite_where=where
        )
    op.create_index("ix_jobs_team", "jobs", ["team_id", "id"])
    op.create_index("ix_jobs_team_state", "jobs", ["team_id", "state", "id"])
    op.create_index("ix_jobs_team_kind", "jobs", ["team_id", "kind", "id"])
    op.create_table(
        "cron_jobs",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("plan", sa.String(length=200), nullable=False),
        sa.Column("next_at", Instant(), nullable=False),
        sa.Column("last_at", Instant(), nullable=True),
        sa.Column("last_job_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cron_jobs")),
    )
