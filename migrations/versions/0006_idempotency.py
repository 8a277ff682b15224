"""Answers kept for idempotency keys."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False, comment="the claim that works for it, or did"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True, comment="sealed"),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_idempotency_team_id_teams")),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_until"), "idempotency", ["until"])
