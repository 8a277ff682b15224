"""Whether a key's answers are remembered."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Json

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("gateway_keys") as keys:
        keys.add_column(sa.Column("cache", Json(), nullable=True))
