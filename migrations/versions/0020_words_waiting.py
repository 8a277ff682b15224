"""Words of files wait for their index in a short list only.

PostgreSQL gathers new words beside a GIN index and reads all that wait for each search, up to four megabytes of it, until
somebody vacuums the table: 5 to 17 ms of its processor after 100,000 files came in, and it then took the index for so dear that
it read the table instead. A list of 128 kB still takes some hundreds of files at once. SQLite has no such list.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("ALTER INDEX ix_files_file_search SET (gin_pending_list_limit = 128)")
    op.execute("SELECT gin_clean_pending_list('ix_files_file_search')")
