"""Replicas of files, what they leave behind when they move, and how far each round over an element has come."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant, Json

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Columns at the end, without a table made anew: that would lose the triggers of search on SQLite.
    op.add_column(
        "files", sa.Column("replicas", sa.Integer(), nullable=True, comment="on so many elements, instead of the usual")
    )
    op.add_column(
        "file_copies",
        sa.Column("expires_at", Instant(), nullable=True, comment="of an original whose file has moved"),
    )
    op.create_index(op.f("ix_file_copies_expires_at_file_id"), "file_copies", ["expires_at", "file_id"])
    op.create_table(
        "storage_rounds",
        sa.Column("element_id", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False, comment="the path that was looked at last"),
        sa.Column("report", Json(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("element_id", "kind", name=op.f("pk_storage_rounds")),
    )
