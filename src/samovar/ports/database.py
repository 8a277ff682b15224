"""The database port is SQLAlchemy Core itself; this adds only what both engines need alike.

``metadata`` is the one registry of tables; every ``store.py`` declares its own on it, and a test compares it with what
the migrations make. All differences between the engines (upsert, JSON, instants) live here and in the two adapters.
"""

import sqlite3
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Dialect,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeDecorator, TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Tx: TypeAlias = AsyncConnection
"""An open transaction. Store functions take it first and never commit."""

Engine: TypeAlias = Literal["sqlite", "postgresql"]


class Database(Protocol):
    """Where everything that must not be lost lives."""

    @property
    def engine(self) -> Engine:
        """Which of the two this is."""
        ...

    @property
    def connections_active(self) -> int:
        """Connections of the pool in use now."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Tx]:
        """Read and write. Commits when the block ends, rolls back when it raises. On SQLite it holds the one write lock
        from its start (``BEGIN IMMEDIATE``), so a read followed by a write cannot fail half-way."""
        ...

    def visible(self) -> AbstractAsyncContextManager[Tx]:
        """As :meth:`transaction`, for what may be made again: once committed all see it, and a process that dies loses nothing of
        it; but it is not synced by itself, so a power cut may take the last second. What is committed behind it by
        :meth:`transaction` is never there without it."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Tx]:
        """Read only, without the write lock."""
        ...

    async def ping(self) -> None:
        """Raises ``Unavailable`` when the database does not answer."""
        ...

    async def close(self) -> None:
        """Close the pool."""
        ...


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant, as whole microseconds since 1970: exact, and sorts alike, on both engines."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone")
        span = value - _EPOCH
        return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return (
            None
            if value is None
            else datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000)
        )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Json(TypeDecorator[Any]):
    """Any JSON value: JSONB on PostgreSQL, text on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # none_as_null: None is SQL's NULL on both engines, where JSONB alone would store the JSON value null.
        column: TypeEngine[Any] = JSONB(none_as_null=True) if dialect.name == "postgresql" else Text()
        return dialect.type_descriptor(column)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return msgspec.json.decode(value)


async def upsert(tx: Tx, table: Table, row: dict[str, Any], *, keys: tuple[str, ...]) -> None:
    """Insert ``row``, or set its other columns where a row with these ``keys`` stands."""
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**row)
    changed = {name: statement.excluded[name] for name in row if name not in keys}
    if changed:
        await tx.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changed))
    else:
        await tx.execute(statement.on_conflict_do_nothing(index_elements=list(keys)))


async def insert_or_take(
    tx: Tx, table: Table, row: dict[str, Any], *, keys: tuple[str, ...], where: ColumnElement[bool]
) -> bool:
    """Insert ``row``, or write it over the one with these ``keys`` if ``where`` holds for that: in one statement, so that of
    racing callers one gets ``True``."""
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**row)
    changed = {name: statement.excluded[name] for name in row if name not in keys}
    taken = statement.on_conflict_do_update(index_elements=list(keys), set_=changed, where=where)
    return (await tx.execute(taken.returning(*[table.c[key] for key in keys]))).first() is not None


async def insert_new(tx: Tx, table: Table, rows: list[dict[str, Any]], *, keys: tuple[str, ...]) -> None:
    """Insert many rows, skipping those whose ``keys`` are there already: a batch may be sent twice and count once."""
    if rows:
        insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        await tx.execute(insert(table).on_conflict_do_nothing(index_elements=list(keys)), rows)


async def insert_rows(tx: Tx, table: Table, rows: Sequence[Sequence[object]], *, keys: tuple[str, ...]) -> int:
    """Insert many rows fast, each a value for every column in their order, as the driver takes them (an instant is its
    microseconds, JSON its text); those whose ``keys`` are there are skipped. Returns how many were new.

    Made for writing beside a busy event loop: no statement holds the interpreter for more than a fraction of a
    millisecond. Measured for a table of 31 columns: 6 us a row on SQLite, with a few statements of fixed sizes, which SQLite
    keeps compiled (taking JSON apart there costs 23). asyncpg encodes each value on the loop: PostgreSQL gets the rows as one
    JSON text and takes them apart itself.
    """
    return await _written(tx, rows, _InsertInto(table, keys, "NOTHING"))


async def add_to_rows(tx: Tx, table: Table, rows: Sequence[Sequence[object]], *, keys: tuple[str, ...]) -> None:
    """As :func:`insert_rows`, where all columns but ``keys`` are numbers: a row that is there grows by the new one's. Give them
    in the order of their keys: who changes the same rows elsewhere then waits, and does so never crosswise."""
    names = [column.name for column in table.columns if column.name not in keys]
    grown = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in names)
    await _written(tx, rows, _InsertInto(table, keys, f"UPDATE SET {grown}"))


class _InsertInto(NamedTuple):
    table: Table
    keys: tuple[str, ...]
    on_conflict: str

    def rows(self, bound: int | None) -> str:
        """The statement for so many rows by parameters, or (``None``) for any number as one JSON text."""
        return _insert_rows(self, bound)


async def _written(tx: Tx, rows: Sequence[Sequence[object]], into: _InsertInto) -> int:
    if tx.dialect.name == "sqlite":
        return await _bound(tx, rows, into)
    written = 0
    for start in range(0, len(rows), _JSON_ROWS):
        values = (msgspec.json.encode(rows[start : start + _JSON_ROWS]).decode(),)
        written += await _counted(tx, into.rows(None), values)
    return written


async def _bound(tx: Tx, rows: Sequence[Sequence[object]], into: _InsertInto) -> int:
    """All statements in one turn of the driver's thread, past SQLAlchemy, which would go there and back three times for each:
    beside a busy event loop every return waits for a whole round of it."""
    statements: deque[tuple[str, Sequence[Sequence[object]]]] = deque()
    done = 0
    while done < len(rows):
        some = rows[done : done + _bound_rows(len(rows) - done)]
        statements.append((into.rows(len(some)), some))
        done += len(some)
    driver: Any = (await tx.get_raw_connection()).driver_connection
    connection: sqlite3.Connection = driver._conn
    written = 0

    def run() -> None:
        nonlocal written
        while statements:
            text, some = statements[0]
            written += connection.execute(text, tuple(chain.from_iterable(some))).rowcount
            statements.popleft()

    try:
        await driver._execute(run)
    except sqlite3.Error:
        # SQLAlchemy knows the words for what is wrong. A statement that failed left nothing behind; those before it did.
        for text, some in statements:
            written += await _counted(tx, text, tuple(chain.from_iterable(some)))
    return written


async def _counted(tx: Tx, statement: str, values: tuple[object, ...]) -> int:
    return (await tx.exec_driver_sql(statement, values)).rowcount


_JSON_ROWS = 250


def _bound_rows(left: int) -> int:
    return next(size for size in (100, 10, 1) if size <= left)


@cache
def _insert_rows(into: _InsertInto, bound: int | None) -> str:
    columns = into.table.columns.values()
    # Names come from our own tables: nothing of a caller's stands in this text.
    names = ", ".join(column.name for column in columns)
    if bound is None:
        values = ", ".join(f"(value ->> {position}){_pg_cast(column.type)}" for position, column in enumerate(columns))
        source = f"SELECT {values} FROM jsonb_array_elements($1::jsonb)"  # noqa: S608
    else:
        source = "VALUES " + ", ".join([f"({', '.join('?' * len(columns))})"] * bound)
    return (
        f"INSERT INTO {into.table.name} ({names}) {source} ON CONFLICT ({', '.join(into.keys)}) DO {into.on_conflict}"
    )


def _pg_cast(kind: TypeEngine[Any]) -> str:
    for types, name in (
        ((Instant, BigInteger), "bigint"),
        ((Integer,), "integer"),
        ((Boolean,), "boolean"),
        ((Float,), "double precision"),
        ((Json,), "jsonb"),
    ):
        if isinstance(kind, types):
            return f"::{name}"
    return ""


def among(tx: Tx, column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """``column`` is one of ``values``, however many: they go as one JSON parameter, for binding thousands holds the loop."""
    return among_json(tx.dialect.name, column, msgspec.json.encode(list(values)).decode())


def among_json(dialect: str, column: ColumnElement[str], values: str | None = None) -> ColumnElement[bool]:
    """``column`` is one of a JSON list of texts: these ``values``, or, for a statement that is made once and run often, what is
    given it each time as ``among``."""
    given: BindParameter[str] = bindparam("among", type_=Text())
    if values is not None:
        given = bindparam("among", values, unique=True)
    rows = "jsonb_array_elements_text(CAST(:among AS jsonb))" if dialect == "postgresql" else "json_each(:among)"
    return column.in_(select(text("value")).select_from(text(rows).bindparams(given)))


async def as_of_now(tx: Tx) -> None:
    """The first statement in a block of :meth:`Database.reading` whose reads shall all see the database as it is now. SQLite
    does so by itself."""
    if tx.dialect.name == "postgresql":
        await tx.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


async def schema_version(tx: Tx) -> str | None:
    """The Alembic revision the database stands at, ``None`` for an empty one."""
    if tx.dialect.name == "postgresql":
        # Not to_regclass: within a transaction it may remember that the table was not there yet.
        known = "SELECT count(*) FROM pg_tables WHERE tablename = 'alembic_version' AND schemaname = ANY(current_schemas(false))"
        found = await tx.scalar(text(known))
    else:
        found = await tx.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"))
    if not found:
        return None
    version: str | None = await tx.scalar(text("SELECT version_num FROM alembic_version"))
    return version
