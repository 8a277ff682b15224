"""Uploads as transactions."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def _plain(length: int) -> sa.String:
    return sa.String(length=length).with_variant(sa.String(length=length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "file_transactions",
        sa.Column("file_id", _plain(36), nullable=False, comment="of the file to be; sorts by birth"),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("owner", _plain(128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("element_id", sa.String(length=63), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True, comment="that were announced"),
        sa.Column("hold_id", sa.String(length=40), nullable=True),
        sa.Column("coordinator", sa.String(length=40), nullable=False, comment="the process that leads it"),
        sa.Column("due_at", Instant(), nullable=True, comment="then another takes it over"),
        sa.Column("resumes", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_file_transactions")),
    )
    op.create_index(op.f("ix_file_transactions_team_id_file_id"), "file_transactions", ["team_id", "file_id"])
    unfinished = sa.text("state IN ('open', 'cancelling')")
    op.create_index(
        "ix_file_transactions_due_at",
        "file_transactions",
        ["due_at"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
