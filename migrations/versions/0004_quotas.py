"""Quotas."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=320), nullable=False),
        sa.Column("limits", sa.String(length=400), nullable=False),
        sa.Column("tokens", sa.String(length=400), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_quotas_team_id_teams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quotas")),
        sa.UniqueConstraint("team_id", "subject", "subject_id", name=op.f("uq_quotas_team_id_subject_subject_id")),
    )
