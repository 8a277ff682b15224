"""The tables of prompts.

Search has its own index beside them, which the migration makes and the engine keeps by itself (see ``search.py``). The long
columns come last: SQLite then reads a row's short ones without the pages of its text.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from samovar.ports.database import Instant, Json, metadata

# SQLite's full text search knows rows by their rowid, which an INTEGER primary key is.
_ID: Final = BigInteger().with_variant(Integer, "sqlite")


def _named(length: int) -> String:
    """Sorted by code point on both engines, whatever the server's locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


prompts: Final = Table(
    "prompts",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=False),
    Column("team_id", String(64), ForeignKey("teams.id"), nullable=False),
    Column("namespace", _named(64), nullable=False),
    Column("name", _named(128), nullable=False),
    Column("lang", _named(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", String(64), nullable=False),
    Column("tags", Json, nullable=False),
    Column("variables", Json, nullable=False),
    Column("text", Text, nullable=False),
    Column("stems", Text, nullable=False, comment="of name, tags and text, for search"),
    UniqueConstraint("team_id", "namespace", "name", "lang", "version"),
    # What a label points at: a version of its own prompt.
    UniqueConstraint("team_id", "namespace", "name", "lang", "id"),
    CheckConstraint("is_active OR NOT is_default", name="default_is_active"),
    Index(
        "uq_prompts_default",
        "team_id",
        "namespace",
        "lang",
        unique=True,
        sqlite_where=text("is_default"),
        postgresql_where=text("is_default"),
    ),
    Index("ix_prompts_order", "team_id", "namespace", "priority", "name", "lang", "is_active"),
    Index(None, "team_id", "namespace", "id"),
)

labels: Final = Table(
    "prompt_labels",
    metadata,
    Column("team_id", String(64), primary_key=True),
    Column("namespace", _named(64), primary_key=True),
    Column("name", _named(128), primary_key=True),
    Column("lang", _named(40), primary_key=True),
    Column("label", String(64), primary_key=True),
    Column("prompt_id", _ID, nullable=False),
    Column("moved_at", Instant, nullable=False),
    Column("moved_by", String(64), nullable=False),
    ForeignKeyConstraint(
        ["team_id", "namespace", "name", "lang", "prompt_id"],
        ["prompts.team_id", "prompts.namespace", "prompts.name", "prompts.lang", "prompts.id"],
        name="fk_prompt_labels_prompts",
    ),
    Index(None, "prompt_id"),
)

history: Final = Table(
    "prompt_history",
    metadata,
    Column("prompt_id", _ID, ForeignKey("prompts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("revision", Integer, primary_key=True, comment="which the row had with this text"),
    Column("team_id", String(64), nullable=False),
    Column("replaced_at", Instant, nullable=False),
    Column("replaced_by", String(64), nullable=False),
    Column("variables", Json, nullable=False),
    Column("text", Text, nullable=False),
)

registries: Final = Table(
    "prompt_registries",
    metadata,
    Column("team_id", String(64), ForeignKey("teams.id"), primary_key=True),
    Column("changes", BigInteger, nullable=False, comment="writers of a team take turns at this row"),
)

counters: Final = Table(
    "prompt_counters",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("last", BigInteger, nullable=False, comment="id given out; none is given out twice"),
)
