"""Emptying a database and filling it again, in the one transaction of a restore."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from samovar.domains.operations.errors import RowRefused
from samovar.domains.operations.model.backups import ColumnKind, TableShape
from samovar.domains.operations.store.backups import VERSIONS, tables_there
from samovar.ports.database import Instant, Json, Tx

_TYPES: Final[dict[ColumnKind, type[TypeEngine[Any]]]] = {
    ColumnKind.INSTANT: Instant,
    ColumnKind.JSON: Json,
    ColumnKind.BOOLEAN: Boolean,
    ColumnKind.BYTES: LargeBinary,
    ColumnKind.INTEGER: BigInteger,
    ColumnKind.NUMBER: Float,
    ColumnKind.DECIMAL: Numeric,
    ColumnKind.TEXT: Text,
}


async def is_empty(tx: Tx, tables: Iterable[str]) -> bool:
    """Whether none of these has a row."""
    for name in tables:
        if (await tx.execute(select(text("1")).select_from(_table(name)).limit(1))).first() is not None:
            return False
    return True


async def clear(tx: Tx, tables: Sequence[str]) -> None:
    """Delete what migrations put into these, a table before those it points to. Only where something stands: what guards
    the ledger refuses even to delete nothing."""
    for name in reversed(tables):
        if not await is_empty(tx, [name]):
            await tx.execute(_table(name).delete())


async def drop_all(tx: Tx) -> None:
    """Drop all tables of ours, with the functions that only they call."""
    names = [*sorted(await tables_there(tx)), VERSIONS]
    quoted = ", ".join(tx.dialect.identifier_preparer.quote(name) for name in names)
    if tx.dialect.name == "postgresql":
        called = await tx.execute(
            text(
                "SELECT DISTINCT tgfoid::regprocedure::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
                " WHERE NOT tgisinternal AND relname = ANY(:names) AND relnamespace = ANY(current_schemas(false)::regnamespace[])"
            ),
            {"names": names},
        )
        functions = [row[0] for row in called]
        await tx.exec_driver_sql(f"DROP TABLE IF EXISTS {quoted} CASCADE")
        for function in functions:
            await tx.exec_driver_sql(f"DROP FUNCTION IF EXISTS {function}")
        return
    indexes = await tx.execute(text("SELECT name FROM pragma_table_list WHERE type = 'virtual' AND schema = 'main'"))
    for name in [row[0] for row in indexes] + names:
        await tx.exec_driver_sql(f"DROP TABLE IF EXISTS {tx.dialect.identifier_preparer.quote(name)}")


async def columns_there(tx: Tx, table: str) -> set[str]:
    """The columns of a table, none where there is no such table."""

    def look(connection: Any) -> set[str]:
        found = inspect(connection)
        return {column["name"] for column in found.get_columns(table)} if found.has_table(table) else set()

    return await tx.run_sync(look)


async def defer_references(tx: Tx) -> list[tuple[str, str]]:
    """From here on a row may point to one that comes later. What :func:`check_references` wants to be given."""
    if tx.dialect.name == "sqlite":
        await tx.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        return []
    found = await tx.execute(
        text(
            "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid = confrelid AND NOT condeferrable"
            " AND connamespace = ANY(current_schemas(false)::regnamespace[])"
        )
    )
    # Others come in the order of the tables. That of a table on itself cannot be had by order alone.
    themselves = [(row[0], row[1]) for row in found]
    for table, name in themselves:
        await tx.exec_driver_sql(f"ALTER TABLE {table} ALTER CONSTRAINT {name} DEFERRABLE INITIALLY DEFERRED")
    return themselves


async def check_references(tx: Tx, deferred: list[tuple[str, str]]) -> None:
    """Every row points to one that is there. Raises :class:`RowRefused`."""
    if tx.dialect.name == "sqlite":
        astray = (await tx.exec_driver_sql("PRAGMA foreign_key_check")).first()
        if astray is not None:
            raise RowRefused(
                f"A row of the table {astray.table!r} points to one of {astray.parent!r} that is not there."
            )
        return
    try:
        await tx.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
    except DBAPIError as error:
        raise RowRefused(f"A row points to one that is not there: {error.orig}") from error
    for table, name in deferred:
        await tx.exec_driver_sql(f"ALTER TABLE {table} ALTER CONSTRAINT {name} NOT DEFERRABLE")


async def fill(tx: Tx, shape: TableShape, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows, each the values of the shape's columns. Raises :class:`RowRefused`."""
    names = [column.name for column in shape.columns]
    try:
        await tx.execute(insert(_table(shape.name, shape)), [dict(zip(names, row, strict=True)) for row in rows])
    except DBAPIError as error:
        raise RowRefused(f"The database does not take a row of the table {shape.name!r}: {error.orig}") from error


async def set_sequences(tx: Tx) -> None:
    """What PostgreSQL numbers by itself goes on after the highest number that stands. SQLite looks by itself."""
    if tx.dialect.name != "postgresql":
        return
    found: Any = await tx.execute(
        text(
            "SELECT attrelid::regclass::text, quote_ident(attname), pg_get_serial_sequence(attrelid::regclass::text, attname)"
            " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
            " WHERE relkind = 'r' AND relnamespace = ANY(current_schemas(false)::regnamespace[]) AND attnum > 0"
            " AND NOT attisdropped AND pg_get_serial_sequence(attrelid::regclass::text, attname) IS NOT NULL"
        )
    )
    for table, column, sequence in found.all():
        highest = await tx.scalar(text(f"SELECT max({column}) FROM {table}"))  # noqa: S608
        await tx.execute(
            text("SELECT setval(CAST(CAST(:sequence AS text) AS regclass), :last, :used)"),
            {"sequence": sequence, "last": highest or 1, "used": highest is not None},
        )


def _table(name: str, shape: TableShape | None = None) -> Table:
    """A table as an older revision may have had it, not as it is declared today."""
    columns = shape.columns if shape else ()
    return Table(name, MetaData(), *(Column(column.name, _TYPES[column.kind]) for column in columns))
