"""Settings of a team that are kept in the database."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant, Json

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "config",
        sa.Column("team_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", Json(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_config_team_id_teams")),
        sa.PrimaryKeyConstraint("team_id", "name", name=op.f("pk_config")),
    )
