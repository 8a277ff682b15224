"""The tables of files.

A row is a projection of an ``*.attr.json``. Words have an index of their own beside them, which the migration makes and the
engine keeps by itself (see ``search.py``). ``number`` sorts by birth and carries every list: see ``model/names.py``.
"""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, text

from samovar.ports.database import OF_THIS_PLACE, Instant, Json, metadata

# SQLite's full text search knows rows by their rowid, which an INTEGER primary key is.
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")


def _plain(length: int) -> String:
    """Sorted by code point on both engines, whatever the server's locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


elements: Final = Table(
    "storage_elements",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("url", Text, nullable=False),
    Column("mode", String(8), nullable=False, comment="it was configured with"),
    Column("priority", Integer, nullable=False),
    Column("capacity_bytes", BigInteger, nullable=True),
    Column("watermarks", Json, nullable=False),
    Column("state", String(16), nullable=False),
    Column("configured", Boolean, nullable=False, comment="by the settings"),
    Column("revision", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("begun_at", Instant, nullable=True, comment="its folder has its mark since", info=OF_THIS_PLACE),
)

files: Final = Table(
    "files",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("team_id", String(64), nullable=False, comment="not bound to teams: a rebuild meets what it meets"),
    Column("file_id", String(36), nullable=False, unique=True),
    Column("owner", _plain(128), nullable=False),
    Column("content_type", _plain(127), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("checksum", String(64), nullable=False),
    Column("element_id", String(63), nullable=False),
    Column("retention", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=True),
    Column("revision", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("tags", Json, nullable=False),
    Column("custom", Json, nullable=False),
    Column("provenance", Json, nullable=True),
    Column("stems", Text, nullable=False, comment="of file name, tags and custom values, for search"),
    Column("replicas", Integer, nullable=True, comment="on so many elements, instead of the usual"),
    Index(None, "team_id", "number"),
    Index(None, "team_id", "owner", "number"),
    Index(None, "team_id", "content_type", "number"),
    Index(None, "team_id", "size_bytes", "number"),
    Index(None, "team_id", "checksum"),
    # For those who collect what is over, and who look after one element.
    Index(None, "expires_at", "number"),
    Index(None, "element_id", "number"),
)

marks: Final = Table(
    "file_marks",
    metadata,
    Column("team_id", String(64), primary_key=True),
    Column("mark", _plain(400), primary_key=True, comment="a tag, or a custom attribute with its value"),
    Column("number", _NUMBER, ForeignKey("files.number", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Index(None, "number"),
)

copies: Final = Table(
    "file_copies",
    metadata,
    Column("file_id", String(36), primary_key=True),
    Column("element_id", String(63), primary_key=True),
    Column("team_id", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("checked_at", Instant, nullable=True),
    Column("expires_at", Instant, nullable=True, comment="of an original whose file has moved"),
    Index(None, "element_id", "file_id"),
    Index(None, "expires_at", "file_id"),
)

rounds: Final = Table(
    "storage_rounds",
    metadata,
    Column("element_id", String(63), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("cursor", Text, nullable=False, comment="the path that was looked at last"),
    Column("report", Json, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("finished_at", Instant, nullable=True),
)

spaces: Final = Table(
    "storage_spaces",
    metadata,
    Column("element_id", String(63), primary_key=True),
    Column("files", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)

owners: Final = Table(
    "file_owners",
    metadata,
    Column("team_id", String(64), primary_key=True),
    Column("owner", _plain(128), primary_key=True),
    Column("files", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("held_files", BigInteger, nullable=False, comment="by uploads under way"),
    Column("held_bytes", BigInteger, nullable=False),
    Column("max_files", BigInteger, nullable=True, comment="instead of the installation's"),
    Column("max_bytes", BigInteger, nullable=True),
)

holds: Final = Table(
    "file_holds",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("team_id", String(64), nullable=False),
    Column("owner", _plain(128), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("expires_at", Instant, nullable=False, comment="of an upload that nobody ended"),
    Index(None, "expires_at"),
)

uploads: Final = Table(
    "file_uploads",
    metadata,
    Column("file_id", String(36), primary_key=True, comment="of the file to be"),
    Column("team_id", String(64), nullable=False),
    Column("owner", _plain(128), nullable=False),
    Column("element_id", String(63), nullable=False),
    Column("length_bytes", BigInteger, nullable=True, comment="unknown until the sender says it"),
    Column("hold_id", String(40), nullable=True),
    Column("said", Text, nullable=False, comment="of the file, as the sender wrote it"),
    Column("state", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index(None, "element_id", "expires_at"),
)

UNFINISHED_ROWS: Final = text("state IN ('open', 'cancelling')")
"""In these words an engine knows that its index serves."""

transactions: Final = Table(
    "file_transactions",
    metadata,
    Column("file_id", _plain(36), primary_key=True, comment="of the file to be; sorts by birth"),
    Column("team_id", String(64), nullable=False),
    Column("owner", _plain(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("element_id", String(63), nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=True, comment="that were announced"),
    Column("hold_id", String(40), nullable=True),
    Column("coordinator", String(40), nullable=False, comment="the process that leads it"),
    Column("due_at", Instant, nullable=True, comment="then another takes it over"),
    Column("resumes", Integer, nullable=False),
    Column("error_code", String(64), nullable=True),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant, nullable=True),
    Index(None, "team_id", "file_id"),
    # Only what is not over is ever looked for by its time: an index of those alone costs an upload next to nothing.
    Index("ix_file_transactions_due_at", "due_at", sqlite_where=UNFINISHED_ROWS, postgresql_where=UNFINISHED_ROWS),
)

links: Final = Table(
    "file_links",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("team_id", String(64), nullable=False),
    Column("file_id", String(36), nullable=False),
    Column("disposition", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant, nullable=True),
    Index(None, "team_id", "file_id", "id"),
    Index(None, "expires_at"),
)

outbox: Final = Table(
    "file_outbox",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("team_id", String(64), nullable=False),
    Column("file_id", String(36), nullable=False),
    Column("event", Json, nullable=False),
    Column("leased_until", Instant, nullable=True, comment="while somebody tells it"),
)
