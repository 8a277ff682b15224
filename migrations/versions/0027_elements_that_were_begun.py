"""Since when the folder of a storage element is known to have its mark."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The next start finds out: what is brought up to date here may be a backup of another machine.
    op.add_column(
        "storage_elements", sa.Column("begun_at", Instant(), nullable=True, comment="its folder has its mark since")
    )
