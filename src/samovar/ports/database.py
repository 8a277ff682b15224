"""The database port is SQLAlchemy Core itself; this adds only what both engines need alike.

``metadata`` is the one registry of tables; every ``store.py`` declares its own on it, and a test compares it with what
the migrations make. All differences between the engines (upsert, JSON, instants) live here and in the two adapters.
"""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Dialect,
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

if TYPE_CHECKING:
    from samovar.ports.scripts import Script

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

OF_THIS_PLACE: Final = {"of_this_place": True}
"""The ``info`` of a column that tells of the machine, not of the installation: backups leave it out."""

Tx: TypeAlias = AsyncConnection
"""An open transaction. Store functions take it first and never commit."""

Engine: TypeAlias = Literal["sqlite", "postgresql"]

T = TypeVar("T")


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

    async def run(self, script: "Script[T]", *, is_synced: bool = True) -> T:
        """A whole transaction (:meth:`visible` where it is not ``is_synced``), written as a script: on SQLite in one turn of a
        thread."""
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
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return (
            None
            if value is None
            else datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000)
        )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(instant: datetime) -> int:
    """Since 1970, of an aware instant. Raises ``ValueError`` for one without a time zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    span = instant - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


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


def among(tx: Tx, column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """``column`` is one of ``values``, however many: they go as one JSON parameter, for binding thousands holds the loop."""
    return among_json(tx.dialect.name, column, msgspec.json.encode(list(values)).decode())


def among_json(dialect: str, column: ColumnElement[Any], values: str | None = None) -> ColumnElement[bool]:
    """``column`` is one of a JSON list, of texts or of whole numbers as the column is: these ``values``, or, for a statement that
    is made once and run often, what is given it each time as ``among``."""
    given: BindParameter[str] = bindparam("among", type_=Text())
    if values is not None:
        given = bindparam("among", values, unique=True)
    rows, value = "json_each(:among)", "value"
    if dialect == "postgresql":
        rows = "jsonb_array_elements_text(CAST(:among AS jsonb))"
        value = "CAST(value AS bigint)" if isinstance(column.type, Integer) else value
    return column.in_(select(text(value)).select_from(text(rows).bindparams(given)))


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
