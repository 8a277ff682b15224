"""Transactions written as scripts: generators that yield statements and are sent what those found.

Each statement of a transaction that is written as ``await tx.execute(...)`` goes to SQLite's thread and back, and each way back
waits for a round of the event loop: beside a busy loop the way costs several times what the statement does. A script does not
know where it runs, so a database may run all of it in one go: see :meth:`samovar.ports.database.Database.run`. That may be in
another thread, so it touches nothing but what it was given and its own.
"""

import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
from sqlalchemy import BigInteger, Boolean, Dialect, Float, Integer, Table
from sqlalchemy.types import TypeEngine

from samovar.kernel.errors import Unavailable
from samovar.ports.database import Instant, Json, Tx, microseconds

T = TypeVar("T")


class Found(NamedTuple):
    """``rows`` are what the statement returns, as the driver gives them (an instant is its microseconds); ``changed`` says how
    many it wrote."""

    rows: list[Any]
    changed: int


class Ask(NamedTuple):
    """One statement. ``made`` gives it for the name of a dialect; it is called once for each, and what it gave is kept for good:
    to put a statement together costs more than to run it. ``values`` are of its parameters. A list has no place in it but as
    JSON: see :func:`~samovar.ports.database.among_json`."""

    made: Callable[[str], Any]
    values: Mapping[str, Any]


class Add(NamedTuple):
    """Many rows, each a value for each of the ``columns`` (of all, where none are named), as the driver takes them: see
    :func:`plain`. A row that stands there by ``keys`` (by whatever is unique, where none are named) is left as it is, or grows by
    the new one's ``grown`` columns: give those in the order of their keys, so that two who do it never wait for each other
    crosswise. What is ``returning`` is of the rows that were written, in no order.

    Where they ``are_new`` none may stand there: one that does raises SQLAlchemy's ``IntegrityError``. PostgreSQL writes those
    with a quarter less of its processor: it does not look for each of them first."""

    table: Table
    rows: Sequence[Sequence[object]]
    keys: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    grown: tuple[str, ...] = ()
    returning: tuple[str, ...] = ()
    are_new: bool = False


Script: TypeAlias = Generator[Ask | Add, Found, T]


class Piece(NamedTuple):
    """What a driver is given."""

    text: str
    values: tuple[object, ...]


class Course(Generic[T]):
    """A script under way. While there is a ``piece``: run it and :meth:`answer`. Then there is a ``result``."""

    result: T

    def __init__(self, script: Script[T], dialect: Dialect) -> None:
        self._script = script
        self._dialect = dialect
        self._pieces: Iterator[Piece] = iter(())
        self._rows: list[Any] = []
        self._changed = 0
        self.piece: Piece | None = None
        self._step(None)

    def answer(self, rows: list[Any], changed: int) -> None:
        """What the piece found."""
        self._rows += rows
        self._changed += changed
        self.piece = next(self._pieces, None)
        if self.piece is None:
            self._step(Found(self._rows, self._changed))

    def _step(self, found: Found | None) -> None:
        while self.piece is None:
            try:
                step = next(self._script) if found is None else self._script.send(found)
            except StopIteration as over:
                self.result = over.value
                return
            # Many rows may be none.
            found, self._rows, self._changed = Found([], 0), [], 0
            self._pieces = _pieces(step, self._dialect)
            self.piece = next(self._pieces, None)


def run_here(course: Course[Any], connection: sqlite3.Connection) -> None:
    """Run it to its end. Raises ``sqlite3.Error`` at the piece that failed."""
    while (piece := course.piece) is not None:
        cursor = connection.execute(piece.text, piece.values)
        try:
            # How many rows a statement changed that also returns them is known only behind the last.
            rows = [] if cursor.description is None else cursor.fetchall()
            course.answer(rows, cursor.rowcount)
        finally:
            cursor.close()


async def perform(tx: Tx, script: Script[T]) -> T:
    """Run it within a transaction that others write, too; on SQLite in one turn of the driver's thread."""
    course = Course(script, tx.dialect)
    if tx.dialect.name == "sqlite":
        driver: Any = (await tx.get_raw_connection()).driver_connection
        try:
            await driver._execute(lambda: run_here(course, driver._conn))
        except sqlite3.Error as error:
            # A full disk ends the whole transaction (SQLite, "Response to Errors Within a Transaction"): what came next would be
            # committed by itself.
            if not driver.in_transaction:
                raise Unavailable(f"The database cannot be used now: {error}.", headers={"Retry-After": "1"}) from error
            # SQLAlchemy knows the words for what is wrong: what failed, and left nothing behind, is run once more below.
    while (piece := course.piece) is not None:
        cursor = await tx.exec_driver_sql(piece.text, piece.values)
        course.answer([*cursor.all()] if cursor.returns_rows else [], cursor.rowcount)
    return course.result


async def insert_rows(tx: Tx, table: Table, rows: Sequence[Sequence[object]], *, keys: tuple[str, ...]) -> int:
    """Insert many rows fast, as :class:`Add` does: those whose ``keys`` are there are skipped. Returns how many were new."""
    return await perform(tx, _adding(Add(table, rows, keys)))


async def add_to_rows(tx: Tx, table: Table, rows: Sequence[Sequence[object]], *, keys: tuple[str, ...]) -> None:
    """As :func:`insert_rows`, where all columns but ``keys`` are numbers: a row that is there grows by the new one's."""
    grown = tuple([column.name for column in table.columns if column.name not in keys])
    await perform(tx, _adding(Add(table, rows, keys, grown=grown)))


def plain(table: Table, rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...] = ()) -> list[Sequence[object]]:
    """Rows by name as :class:`Add` takes them: an instant is its microseconds, JSON its text."""
    found = map(itemgetter(*columns or table.columns.keys()), rows)
    made = _bare(table, columns)
    # Most columns are taken as they are, and a batch has thousands of rows.
    return [_bared(values, made) for values in found] if made else [*found]


def _adding(step: Add) -> Script[int]:
    return (yield step).changed


def _pieces(step: Ask | Add, dialect: Dialect) -> Iterator[Piece]:
    if isinstance(step, Ask):
        text, parameters = _compiled(step.made, dialect)
        yield Piece(text, tuple([one.value(step.values) for one in parameters]))
        return
    done = 0
    while done < len(step.rows):
        # SQLite gets a few statements of fixed sizes, which it keeps compiled: taking JSON apart costs it four times as much.
        # asyncpg encodes each value on the loop: PostgreSQL gets the rows as one JSON text and takes them apart itself.
        left, is_json = len(step.rows) - done, dialect.name == "postgresql"
        bound = _JSON_VALUES // len(step.rows[0]) if is_json else next(size for size in _BOUND_ROWS if size <= left)
        some = step.rows[done : done + bound]
        text = _added(step._replace(rows=()), None if is_json else bound)
        yield Piece(text, (msgspec.json.encode(some).decode(),) if is_json else tuple(chain.from_iterable(some)))
        done += bound


# A way to the server and back costs as much as dozens of small rows.
_JSON_VALUES = 10_000
# None of them holds the interpreter for more than a fraction of a millisecond.
_BOUND_ROWS = (100, 10, 1)


@cache
def _added(step: Add, bound: int | None) -> str:
    """For so many rows by parameters, or (``None``) for any number as one JSON text."""
    # Names come from our own tables: nothing of a caller's stands in this text.
    table, names = step.table, step.columns or tuple(step.table.columns.keys())
    if bound is None:
        values = ", ".join(f"(value ->> {at}){_pg_cast(table.columns[name].type)}" for at, name in enumerate(names))
        source = f"SELECT {values} FROM jsonb_array_elements($1::jsonb)"  # noqa: S608
    else:
        source = "VALUES " + ", ".join([f"({', '.join('?' * len(names))})"] * bound)
    returned = f" RETURNING {', '.join(step.returning)}" if step.returning else ""
    return f"INSERT INTO {table.name} ({', '.join(names)}) {source}{_met(step)}{returned}"


def _met(step: Add) -> str:
    """What is done where a row stands already."""
    if step.are_new:
        return ""
    sums = ", ".join(f"{name} = {step.table.name}.{name} + excluded.{name}" for name in step.grown)
    which = f" ({', '.join(step.keys)})" if step.keys else ""
    return f" ON CONFLICT{which} DO {f'UPDATE SET {sums}' if step.grown else 'NOTHING'}"


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


class _Parameter(NamedTuple):
    name: str
    is_asked_for: bool
    usual: object
    process: Callable[[Any], object] | None

    def value(self, given: Mapping[str, Any]) -> object:
        value = given[self.name] if self.is_asked_for else self.usual
        return value if self.process is None else self.process(value)


@lru_cache(1_024)
def _compiled(made: Callable[[str], Any], dialect: Dialect) -> tuple[str, list[_Parameter]]:
    """Its text, and its parameters in their order."""
    compiled = made(dialect.name).compile(dialect=dialect)
    processors, binds = compiled._bind_processors, compiled.binds
    return str(compiled), [
        _Parameter(name, binds[name].required, binds[name].value, processors.get(name)) for name in compiled.positiontup
    ]


def _bared(values: Sequence[Any], made: Sequence[tuple[int, Callable[[Any], object]]]) -> list[object]:
    row = [*values]
    for at, make in made:
        if row[at] is not None:
            row[at] = make(row[at])
    return row


@cache
def _bare(table: Table, columns: tuple[str, ...]) -> list[tuple[int, Callable[[Any], object]]]:
    """The places of columns that a driver does not take as they are, and what makes them."""
    kinds = [_bare_of(table.columns[name].type) for name in columns or table.columns.keys()]
    return [(at, make) for at, make in enumerate(kinds) if make is not None]


def _bare_of(kind: TypeEngine[Any]) -> Callable[[Any], object] | None:
    if isinstance(kind, Instant):
        return microseconds
    return _json_text if isinstance(kind, Json) else None


def _json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()
