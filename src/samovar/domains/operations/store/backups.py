"""Reading every table of every domain. They are known by the one registry they are declared in."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    select,
    text,
)
from sqlalchemy.types import TypeEngine

from samovar.domains.operations.model.backups import ColumnKind, ColumnShape, TableShape
from samovar.ports.database import OF_THIS_PLACE, Instant, Json, Tx, as_of_now, metadata, schema_version

_ROWS_AT_ONCE: Final = 200
# A row with bytes may be a kept answer of some megabytes.
_ROWS_WITH_BYTES_AT_ONCE: Final = 8
VERSIONS: Final = "alembic_version"
"""Alembic's own table."""

# In the order in which they are asked: Instant and Json are made of other types.
_KINDS: Final[tuple[tuple[type[TypeEngine[Any]], ColumnKind], ...]] = (
    (Instant, ColumnKind.INSTANT),
    (Json, ColumnKind.JSON),
    (Boolean, ColumnKind.BOOLEAN),
    (LargeBinary, ColumnKind.BYTES),
    (Integer, ColumnKind.INTEGER),
    (Float, ColumnKind.NUMBER),
    (Numeric, ColumnKind.DECIMAL),
    (String, ColumnKind.TEXT),
)


async def begin_snapshot(tx: Tx) -> str | None:
    """From here on ``tx`` reads the database as it is now; the revision of its tables."""
    await as_of_now(tx)
    return await schema_version(tx)


async def tables_there(tx: Tx) -> set[str]:
    """The names of the database's own tables. An index of SQLite's that looks like a table is none."""
    if tx.dialect.name == "postgresql":
        found = await tx.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = ANY(current_schemas(false))"))
    else:
        found = await tx.execute(
            text(
                "SELECT name FROM pragma_table_list WHERE type = 'table' AND schema = 'main' AND substr(name, 1, 7) <> 'sqlite_'"
            )
        )
    return {row[0] for row in found} - {VERSIONS}


async def kept_by_triggers(tx: Tx) -> set[str]:
    """Tables that triggers fill from others: indexes of SQLite's, which nobody declares and nobody needs to back up."""
    if tx.dialect.name == "postgresql":
        return set()
    found = await tx.execute(
        text(
            "SELECT there.name FROM pragma_table_list AS there WHERE there.type = 'table' AND there.schema = 'main' AND EXISTS"
            " (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND instr(sql, 'INSERT INTO ' || there.name || ' '))"
        )
    )
    return {row[0] for row in found}


def shapes() -> list[TableShape]:
    """All tables of all domains, none before one that it points to."""
    return [
        TableShape(str(table.name), tuple(ColumnShape(str(column.name), _kind(column)) for column in _kept(table)))
        for table in metadata.sorted_tables
    ]


async def read_rows(tx: Tx, shape: TableShape) -> AsyncIterator[Sequence[Sequence[Any]]]:
    """All rows of a table in the order of its key, some at a time: what is in memory does not grow with the table."""
    table = metadata.tables[shape.name]
    with_bytes = any(column.kind is ColumnKind.BYTES for column in shape.columns)
    query = select(*_kept(table)).order_by(*table.primary_key.columns)
    at_once = _ROWS_WITH_BYTES_AT_ONCE if with_bytes else _ROWS_AT_ONCE
    async with tx.stream(query.execution_options(yield_per=at_once)) as result:
        async for some in result.partitions():
            yield some


def _kind(column: Column[Any]) -> ColumnKind:
    for known, kind in _KINDS:
        if isinstance(column.type, known):
            return kind
    raise TypeError(f"{column} is of a type that backups do not know: {column.type!r}")


def _kept(table: Table) -> list[Column[Any]]:
    """What a database computes by itself is not written down, nor what holds only where the database stands."""
    return [column for column in table.columns if column.computed is None and column.info != OF_THIS_PLACE]
