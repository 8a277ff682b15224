"""The driver's connection as SQLAlchemy has it, with one turn of the driver's thread for a statement.

SQLAlchemy asks the driver for a cursor, then runs the statement, then fetches, then closes: each goes to the thread and back, and
each way back waits for a whole round of a busy event loop. Nothing here is read piece by piece, so all of it is one turn.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from sqlite3 import Connection
from typing import Any, Final, NamedTuple, cast

from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor
from sqlalchemy.util.concurrency import await_


class _Seen(NamedTuple):
    description: Any
    rowcount: int
    lastrowid: int
    rows: list[Any]


_NOTHING: Final = _Seen(None, -1, 0, [])


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """What a statement brought; there is nothing behind it."""

    __slots__ = ("_seen", "arraysize")

    _awaitable_cursor_close = False

    def __init__(self, adapt_connection: Any) -> None:
        self._adapt_connection = adapt_connection
        self._rows = deque()
        self._seen = _NOTHING
        self.arraysize = 1

    @property
    def description(self) -> Any:
        """As the driver's."""
        return self._seen.description

    @property
    def rowcount(self) -> int:
        """As the driver's."""
        return self._seen.rowcount

    @property
    def lastrowid(self) -> int:
        """As the driver's."""
        return self._seen.lastrowid

    def execute(self, operation: Any, parameters: Any = None) -> None:
        """As the driver's, and fetches."""
        self._turn(partial(_executed, operation, () if parameters is None else parameters))

    def executemany(self, operation: Any, seq_of_parameters: Any) -> None:
        """As the driver's."""
        self._turn(partial(_executed_many, operation, seq_of_parameters))

    def close(self) -> None:
        """As the driver's."""
        self._rows.clear()

    def _turn(self, run: Callable[[Connection], _Seen]) -> None:
        self._seen = cast(OneTurn, self._adapt_connection).turn(run)
        self._rows = deque(self._seen.rows)


class OneTurn(AsyncAdapt_aiosqlite_connection):
    """A connection of the driver's."""

    __slots__ = ("_is_idle",)

    _cursor_cls = _Cursor

    def __init__(self, dbapi: Any, connection: Any) -> None:
        super().__init__(dbapi, connection)
        self._is_idle = True

    def turn(self, run: Callable[[Connection], _Seen]) -> _Seen:
        """Run this in the driver's thread."""
        self._is_idle = False
        try:
            seen: _Seen = await_(self._connection._execute(lambda: run(self._connection._conn)))
        except Exception as error:  # noqa: BLE001 - edge: SQLAlchemy has its own words for each
            self._is_idle = True
            self._handle_exception(error)
        # A call that was cancelled is still running in the thread.
        self._is_idle = True
        return seen

    def rollback(self) -> None:
        """As the driver's. The pool asks for one each time it gets a connection back: mostly there is nothing to do."""
        if self._is_idle and self._connection._connection and not self._connection._connection.in_transaction:
            return
        super().rollback()


def _executed(operation: str, parameters: Any, connection: Connection) -> _Seen:
    cursor = connection.cursor()
    try:
        cursor.execute(operation, parameters)
        rows = [] if cursor.description is None else cursor.fetchall()
        # How many rows a statement changed that also returns them is known only behind the last.
        return _Seen(cursor.description, cursor.rowcount, cursor.lastrowid or 0, rows)
    finally:
        cursor.close()


def _executed_many(operation: str, parameters: Any, connection: Connection) -> _Seen:
    cursor = connection.cursor()
    try:
        cursor.executemany(operation, parameters)
        return _Seen(None, cursor.rowcount, cursor.lastrowid or 0, [])
    finally:
        cursor.close()
