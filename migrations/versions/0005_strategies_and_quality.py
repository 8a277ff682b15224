"""Strategies and weights of groups; scores of models."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Json

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("model_groups") as groups:
        groups.add_column(sa.Column("strategy", sa.String(length=16), nullable=True, comment="null: the order given"))
        groups.add_column(
            sa.Column("weights", Json(), nullable=True, comment="member to weight, for the strategy weighted")
        )
    with op.batch_alter_table("model_overrides") as overrides:
        overrides.add_column(sa.Column("quality", sa.Integer(), nullable=True))
