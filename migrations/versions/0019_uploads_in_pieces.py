"""Uploads that arrive in pieces."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    owner = sa.String(length=128).with_variant(sa.String(length=128, collation="C"), "postgresql")
    op.create_table(
        "file_uploads",
        sa.Column("file_id", sa.String(length=36), nullable=False, comment="of the file to be"),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("owner", owner, nullable=False),
        sa.Column("element_id", sa.String(length=63), nullable=False),
        sa.Column("length_bytes", sa.BigInteger(), nullable=True, comment="unknown until the sender says it"),
        sa.Column("hold_id", sa.String(length=40), nullable=True),
        sa.Column("said", sa.Text(), nullable=False, comment="of the file, as the sender wrote it"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_file_uploads")),
    )
    op.create_index(op.f("ix_file_uploads_element_id_expires_at"), "file_uploads", ["element_id", "expires_at"])
