"""Prompts, their history, labels and search."""

import sqlalchemy as sa
from alembic import op

from samovar.ports.database import Instant, Json

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# A table that is made anew (Alembic's batch mode on SQLite) loses its triggers: who changes `prompts` makes them again.
_SEARCH_ON_SQLITE = (
    """CREATE VIRTUAL TABLE prompt_search USING fts5(
        stems, content='prompts', content_rowid='id', tokenize='ascii', prefix='2 3',
        detail=none, columnsize=0)""",
    """CREATE TRIGGER prompts_search_insert AFTER INSERT ON prompts BEGIN
        INSERT INTO prompt_search (rowid, stems) VALUES (new.id, new.stems);
    END""",
    """CREATE TRIGGER prompts_search_delete AFTER DELETE ON prompts BEGIN
        INSERT INTO prompt_search (prompt_search, rowid, stems) VALUES ('delete', old.id, old.stems);
    END""",
    """CREATE TRIGGER prompts_search_update AFTER UPDATE OF stems ON prompts WHEN old.stems <> new.stems BEGIN
        INSERT INTO prompt_search (prompt_search, rowid, stems) VALUES ('delete', old.id, old.stems);
        INSERT INTO prompt_search (rowid, stems) VALUES (new.id, new.stems);
    END""",
    """CREATE TABLE prompt_search_tags (
        team_id VARCHAR(64) NOT NULL, namespace VARCHAR(64) NOT NULL, tag VARCHAR(64) NOT NULL, prompt_id INTEGER NOT NULL,
        PRIMARY KEY (team_id, namespace, tag, prompt_id)
    ) WITHOUT ROWID""",
    """CREATE TRIGGER prompts_tags_insert AFTER INSERT ON prompts BEGIN
        INSERT INTO prompt_search_tags SELECT DISTINCT new.team_id, new.namespace, value, new.id FROM json_each(new.tags);
    END""",
    """CREATE TRIGGER prompts_tags_delete AFTER DELETE ON prompts BEGIN
        DELETE FROM prompt_search_tags WHERE team_id = old.team_id AND namespace = old.namespace AND prompt_id = old.id
            AND tag IN (SELECT value FROM json_each(old.tags));
    END""",
    """CREATE TRIGGER prompts_tags_update AFTER UPDATE OF tags ON prompts WHEN old.tags <> new.tags BEGIN
        DELETE FROM prompt_search_tags WHERE team_id = old.team_id AND namespace = old.namespace AND prompt_id = old.id
            AND tag IN (SELECT value FROM json_each(old.tags));
        INSERT INTO prompt_search_tags SELECT DISTINCT new.team_id, new.namespace, value, new.id FROM json_each(new.tags);
    END""",
)
_SEARCH_ON_POSTGRESQL = (
    """ALTER TABLE prompts ADD COLUMN prompt_search tsvector
        GENERATED ALWAYS AS (array_to_tsvector(string_to_array(stems, ' '))) STORED""",
    "CREATE INDEX ix_prompts_search ON prompts USING gin (prompt_search)",
    "CREATE INDEX ix_prompts_search_tags ON prompts USING gin (tags jsonb_path_ops)",
)


def upgrade() -> None:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

    def named(length: int) -> sa.types.TypeEngine[str]:
        return sa.String(length=length).with_variant(sa.String(length=length, collation="C"), "postgresql")

    op.create_table(
        "prompts",
        sa.Column("id", number, autoincrement=False, nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("namespace", named(64), nullable=False),
        sa.Column("name", named(128), nullable=False),
        sa.Column("lang", named(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("updated_by", sa.String(length=64), nullable=False),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("variables", Json(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("stems", sa.Text(), nullable=False, comment="of name, tags and text, for search"),
        sa.CheckConstraint("is_active OR NOT is_default", name=op.f("ck_prompts_default_is_active")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_prompts_team_id_teams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompts")),
        sa.UniqueConstraint(
            "team_id", "namespace", "name", "lang", "id", name=op.f("uq_prompts_team_id_namespace_name_lang_id")
        ),
        sa.UniqueConstraint(
            "team_id",
            "namespace",
            "name",
            "lang",
            "version",
            name=op.f("uq_prompts_team_id_namespace_name_lang_version"),
        ),
    )
    op.create_index(
        "uq_prompts_default",
        "prompts",
        ["team_id", "namespace", "lang"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_index("ix_prompts_order", "prompts", ["team_id", "namespace", "priority", "name", "lang", "is_active"])
    op.create_index(op.f("ix_prompts_team_id_namespace_id"), "prompts", ["team_id", "namespace", "id"])
    op.create_table(
        "prompt_labels",
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("namespace", named(64), nullable=False),
        sa.Column("name", named(128), nullable=False),
        sa.Column("lang", named(40), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("prompt_id", number, nullable=False),
        sa.Column("moved_at", Instant(), nullable=False),
        sa.Column("moved_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "namespace", "name", "lang", "prompt_id"],
            ["prompts.team_id", "prompts.namespace", "prompts.name", "prompts.lang", "prompts.id"],
            name=op.f("fk_prompt_labels_prompts"),
        ),
        sa.PrimaryKeyConstraint("team_id", "namespace", "name", "lang", "label", name=op.f("pk_prompt_labels")),
    )
    op.create_index(op.f("ix_prompt_labels_prompt_id"), "prompt_labels", ["prompt_id"])
    op.create_table(
        "prompt_history",
        sa.Column("prompt_id", number, autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, comment="which the row had with this text"),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("replaced_at", Instant(), nullable=False),
        sa.Column("replaced_by", sa.String(length=64), nullable=False),
        sa.Column("variables", Json(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prompt_id"], ["prompts.id"], name=op.f("fk_prompt_history_prompt_id_prompts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("prompt_id", "revision", name=op.f("pk_prompt_history")),
    )
    op.create_table(
        "prompt_registries",
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False, comment="writers of a team take turns at this row"),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_prompt_registries_team_id_teams")),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_prompt_registries")),
    )
    op.create_table(
        "prompt_counters",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False, comment="id given out; none is given out twice"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_prompt_counters")),
    )
    for statement in _SEARCH_ON_POSTGRESQL if on_postgresql else _SEARCH_ON_SQLITE:
        op.execute(statement)
