"""Copies of the master key, each sealed under a recovery phrase."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recovery_copies",
        sa.Column("master_key_check", sa.String(64), nullable=False, comment="of the key in it"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="an age file"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("master_key_check", name=op.f("pk_recovery_copies")),
    )
