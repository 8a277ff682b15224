"""The audit chain: its head, records, checkpoints and signing keys."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant, Json

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="of the last record"),
        sa.Column("hash", sa.String(64), nullable=False, comment="of the last record"),
        sa.Column("sealed_sequence", sa.BigInteger(), nullable=False, comment="of the last checkpoint"),
        sa.Column("sealed_at", Instant(), nullable=False),
        sa.Column(
            "copied_sequence",
            sa.BigInteger(),
            nullable=False,
            comment="of the last checkpoint that was copied elsewhere",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "audit_records",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(160), nullable=False),
        sa.Column("resource", sa.String(320), nullable=False),
        sa.Column("result", sa.String(16), nullable=False),
        sa.Column("facts", Json(), nullable=False),
        sa.Column("team_id", sa.String(64), nullable=True),
        sa.Column("request_id", sa.String(128), nullable=True),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_records")),
        sa.UniqueConstraint("id", name=op.f("uq_audit_records_id")),
    )
    op.create_index("ix_audit_records_at", "audit_records", ["at"])
    for column in ("team_id", "action", "user_id", "resource", "result"):
        op.create_index(f"ix_audit_records_{column}_sequence", "audit_records", [column, "sequence"])
    op.create_table(
        "audit_checkpoints",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False, comment="records since the one before"),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("signature", sa.String(88), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_checkpoints")),
    )
    op.create_table(
        "audit_keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("public_key", sa.String(44), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="the secret half, under the master key"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_keys")),
    )
