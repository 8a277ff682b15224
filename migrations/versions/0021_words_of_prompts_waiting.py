"""Words and tags of prompts wait for their indexes in short lists only.

As those of files (0020): after an import PostgreSQL would read up to four megabytes of waiting words for each search, until
somebody vacuums the table. SQLite has no such list.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for index in ("ix_prompts_search", "ix_prompts_search_tags"):
        op.execute(f"ALTER INDEX {index} SET (gin_pending_list_limit = 128)")
        op.execute(f"SELECT gin_clean_pending_list('{index}')")
