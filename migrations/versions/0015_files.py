"""Files, their elements, copies, links and search."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant, Json

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# A table that is made anew (Alembic's batch mode on SQLite) loses its triggers: who changes `files` makes them again.
_SEARCH_ON_SQLITE = (
    """CREATE VIRTUAL TABLE file_search USING fts5(
        stems, content='files', content_rowid='number', tokenize='ascii', prefix='2 3 4 5 6 7 8',
        detail=none, columnsize=0)""",
    """CREATE TRIGGER files_search_insert AFTER INSERT ON files BEGIN
        INSERT INTO file_search (rowid, stems) VALUES (new.number, new.stems);
    END""",
    """CREATE TRIGGER files_search_delete AFTER DELETE ON files BEGIN
        INSERT INTO file_search (file_search, rowid, stems) VALUES ('delete', old.number, old.stems);
    END""",
    """CREATE TRIGGER files_search_update AFTER UPDATE OF stems ON files WHEN old.stems <> new.stems BEGIN
        INSERT INTO file_search (file_search, rowid, stems) VALUES ('delete', old.number, old.stems);
        INSERT INTO file_search (rowid, stems) VALUES (new.number, new.stems);
    END""",
)
_SEARCH_ON_POSTGRESQL = (
    """ALTER TABLE files ADD COLUMN file_search tsvector
        GENERATED ALWAYS AS (array_to_tsvector(string_to_array(stems, ' '))) STORED""",
    "CREATE INDEX ix_files_file_search ON files USING gin (file_search)",
)


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

    def named(length: int) -> sa.types.TypeEngine[str]:
        return sa.String(length=length).with_variant(sa.String(length=length, collation="C"), "postgresql")

    op.create_table(
        "file_copies",
        sa.Column("file_id", sa.String(length=36), nullable=False),
        sa.Column("element_id", sa.String(length=63), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("file_id", "element_id", name=op.f("pk_file_copies")),
    )
    op.create_index(op.f("ix_file_copies_element_id_file_id"), "file_copies", ["element_id", "file_id"])
    op.create_table(
        "file_holds",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("owner", named(128), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False, comment="of an upload that nobody ended"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_holds")),
    )
    op.create_index(op.f("ix_file_holds_expires_at"), "file_holds", ["expires_at"])
    op.create_table(
        "file_links",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("file_id", sa.String(length=36), nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_links")),
    )
    op.create_index(op.f("ix_file_links_expires_at"), "file_links", ["expires_at"])
    op.create_index(op.f("ix_file_links_team_id_file_id_id"), "file_links", ["team_id", "file_id", "id"])
    op.create_table(
        "file_outbox",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("file_id", sa.String(length=36), nullable=False),
        sa.Column("event", Json(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=True, comment="while somebody tells it"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_outbox")),
    )
    op.create_table(
        "file_owners",
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("owner", named(128), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("held_files", sa.BigInteger(), nullable=False, comment="by uploads under way"),
        sa.Column("held_bytes", sa.BigInteger(), nullable=False),
        sa.Column("max_files", sa.BigInteger(), nullable=True, comment="instead of the installation's"),
        sa.Column("max_bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("team_id", "owner", name=op.f("pk_file_owners")),
    )
    op.create_table(
        "storage_elements",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False, comment="it was configured with"),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("capacity_bytes", sa.BigInteger(), nullable=True),
        sa.Column("watermarks", Json(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("configured", sa.Boolean(), nullable=False, comment="by the settings"),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_elements")),
    )
    op.create_table(
        "storage_spaces",
        sa.Column("element_id", sa.String(length=63), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("element_id", name=op.f("pk_storage_spaces")),
    )
    op.create_table(
        "files",
        sa.Column("number", number, autoincrement=False, nullable=False),
        sa.Column(
            "team_id", sa.String(length=64), nullable=False, comment="not bound to teams: a rebuild meets what it meets"
        ),
        sa.Column("file_id", sa.String(length=36), nullable=False),
        sa.Column("owner", named(128), nullable=False),
        sa.Column("content_type", named(127), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("checksum", sa.String(length=64), nullable=False),
        sa.Column("element_id", sa.String(length=63), nullable=False),
        sa.Column("retention", sa.String(length=16), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("custom", Json(), nullable=False),
        sa.Column("provenance", Json(), nullable=True),
        sa.Column("stems", sa.Text(), nullable=False, comment="of file name, tags and custom values, for search"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_files")),
        sa.UniqueConstraint("file_id", name=op.f("uq_files_file_id")),
    )
    op.create_index(op.f("ix_files_element_id_number"), "files", ["element_id", "number"])
    op.create_index(op.f("ix_files_expires_at_number"), "files", ["expires_at", "number"])
    op.create_index(op.f("ix_files_team_id_checksum"), "files", ["team_id", "checksum"])
    op.create_index(op.f("ix_files_team_id_content_type_number"), "files", ["team_id", "content_type", "number"])
    op.create_index(op.f("ix_files_team_id_number"), "files", ["team_id", "number"])
    op.create_index(op.f("ix_files_team_id_owner_number"), "files", ["team_id", "owner", "number"])
    op.create_index(op.f("ix_files_team_id_size_bytes_number"), "files", ["team_id", "size_bytes", "number"])
    op.create_table(
        "file_marks",
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("mark", named(400), nullable=False, comment="a tag, or a custom attribute with its value"),
        sa.Column("number", number, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["number"], ["files.number"], name=op.f("fk_file_marks_number_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("team_id", "mark", "number", name=op.f("pk_file_marks")),
    )
    op.create_index(op.f("ix_file_marks_number"), "file_marks", ["number"])
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in _SEARCH_ON_POSTGRESQL if on_postgresql else _SEARCH_ON_SQLITE:
        op.execute(statement)
