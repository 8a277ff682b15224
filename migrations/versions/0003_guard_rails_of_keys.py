"""Guard rails of keys, what a key says of parameters to drop, and the revision of a key."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Json

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("gateway_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("guard", Json(), nullable=True))
        batch_op.add_column(sa.Column("drop_params", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
