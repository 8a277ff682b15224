"""Service accounts, and the keys that sign their tokens."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant, Json

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "service_accounts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=200), nullable=False, comment="Argon2, in its PHC string format"),
        sa.Column("hint", sa.String(length=32), nullable=False),
        sa.Column("secret_version", sa.Integer(), nullable=False),
        sa.Column("secret_made_at", Instant(), nullable=False),
        sa.Column("secret_expires_at", Instant(), nullable=False),
        sa.Column("former_hash", sa.String(length=200), nullable=True),
        sa.Column("former_hint", sa.String(length=32), nullable=True),
        sa.Column("former_version", sa.Integer(), nullable=True),
        sa.Column("former_until", Instant(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("disabled_at", Instant(), nullable=True),
        sa.Column("last_used_at", Instant(), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_service_accounts_team_id_teams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_accounts")),
        sa.UniqueConstraint("client_id", name=op.f("uq_service_accounts_client_id")),
    )
    op.create_index(op.f("ix_service_accounts_team_id_id"), "service_accounts", ["team_id", "id"])
    op.create_table(
        "signing_keys",
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("public", Json(), nullable=False, comment="a JWK"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="the private JWK"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("active_from", Instant(), nullable=False),
        sa.Column("active_until", Instant(), nullable=False),
        sa.Column("retires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("generation", name=op.f("pk_signing_keys")),
        sa.UniqueConstraint("kid", name=op.f("uq_signing_keys_kid")),
    )
