"""Pools on one file: two writers of one connection each, who write one at a time, and readers whose connections refuse to."""

import asyncio
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

import aiosqlite
from sqlalchemy import URL, QueuePool, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util.concurrency import await_

from samovar.adapters.sqlite.compiled import compiled_once
from samovar.adapters.sqlite.scripts import ScriptRunner
from samovar.adapters.sqlite.turns import OneTurn
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Engine, T, Tx
from samovar.ports.scripts import Script

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]
"""``FULL`` syncs the log at every commit: nothing that was committed is lost when the power goes. ``NORMAL`` syncs it at
checkpoints: the file stays whole, but the last commits may be lost."""

_PING_S: Final = 5.0
_THREAD_END_S: Final = 2.0
# What SQLite says when the fault lies in its surroundings (another process, the disk), not in the statement.
_OUTSIDE: Final = (
    "database is locked",
    "unable to open database file",
    "disk i/o error",
    "database or disk is full",
    "connection closed",
    "no active connection",
)


class _Connection(sqlite3.Connection):
    """Ends what it was doing when it is closed.

    SQLite keeps a closed connection, and its lock, as long as one of its statements lives; and the cursor of a call that was
    cancelled lives, in the traceback of its error, until the collector comes by. Nobody else could write until then.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *given: Any, **named: Any) -> Any:
        """As the driver's."""
        made = super().cursor(*given, **named)
        self._cursors.add(made)
        return made

    def close(self) -> None:
        """As the driver's, with nothing left behind."""
        try:
            for cursor in [*self._cursors]:
                cursor.close()
            if self.in_transaction:
                self.rollback()
        except sqlite3.Error:
            # Closed already, or the file is gone.
            pass
        super().close()


class SqliteDatabase:
    """A :class:`samovar.ports.database.Database` in the file ``path``, whose folder must be there.

    ``pool_size`` and ``max_overflow`` bound the readers; each of their connections is a thread. ``wait_s`` bounds the
    wait for the write lock and for a reader's connection.
    """

    engine: Engine = "sqlite"

    def __init__(
        self,
        path: Path,
        *,
        pool_size: int = 20,
        max_overflow: int = 10,
        recycle_s: int = 3600,
        wait_s: float = 10.0,
        synchronous: Synchronous = "FULL",
    ) -> None:
        _spare_adapting()
        self._path = path
        self._wait_s = wait_s
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        # A lock and not only the pool of one: it wakes its waiters in order of arrival, so no writer starves.
        self._write_lock = asyncio.Lock()
        self._writers_waiting = 0
        pragmas = (
            f"PRAGMA busy_timeout = {int(wait_s * 1000)}",
            "PRAGMA journal_mode = WAL",
            f"PRAGMA synchronous = {synchronous}",
            "PRAGMA foreign_keys = ON",
        )
        self._writer = self._pool(pragmas, size=1, overflow=0, recycle_s=recycle_s)
        self._scripts = ScriptRunner(path, pragmas, self._writer.dialect, is_synced=synchronous == "FULL")
        self._unsynced = self._pool((*pragmas, "PRAGMA synchronous = NORMAL"), size=1, overflow=0, recycle_s=recycle_s)
        self._readers = self._pool(
            (*pragmas, "PRAGMA query_only = ON"), size=pool_size, overflow=max_overflow, recycle_s=recycle_s
        )

    @property
    def connections_active(self) -> int:
        """Connections in use now, by readers and the writer."""
        pools = [cast(QueuePool, engine.pool) for engine in (self._writer, self._unsynced, self._readers)]
        return sum(pool.checkedout() for pool in pools) + self._scripts.is_busy

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """See the port. Raises ``Unavailable`` when the write lock is not had in time."""
        async with self._writing(self._writer) as tx:
            yield tx

    @asynccontextmanager
    async def visible(self) -> AsyncIterator[Tx]:
        """See the port. The log is synced by the next commit of :meth:`transaction`, or at a checkpoint."""
        async with self._writing(self._unsynced) as tx:
            yield tx

    async def run(self, script: Script[T], *, is_synced: bool = True) -> T:
        """See the port. Raises ``Unavailable`` when the write lock is not had in time."""
        # A lock that nobody has or waits for is had at once: the plain way costs a timer.
        if not self._write_lock.locked() and not self._writers_waiting:
            await self._write_lock.acquire()
            try:
                return await self._run(script, is_synced=is_synced)
            finally:
                self._write_lock.release()
        async with self._locked():
            return await self._run(script, is_synced=is_synced)

    async def _run(self, script: Script[T], *, is_synced: bool) -> T:
        try:
            return await self._scripts.run(script, is_synced=is_synced)
        except sqlite3.Error as error:
            if _is_outside(error):
                raise self._unavailable(error) from error
            raise DBAPIError.instance("a script", (), error, sqlite3.Error, dialect=self._writer.dialect) from error

    @asynccontextmanager
    async def _writing(self, engine: AsyncEngine) -> AsyncIterator[Tx]:
        async with self._locked(), self._connected(engine) as tx:
            await tx.exec_driver_sql("BEGIN IMMEDIATE")
            yield tx
            await tx.commit()

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        self._writers_waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._write_lock.acquire()
        except TimeoutError as error:
            raise Unavailable(
                f"The database's write lock was not free within {self._wait_s:g} s. Try again.",
                headers={"Retry-After": "1"},
            ) from error
        finally:
            self._writers_waiting -= 1
        try:
            yield
        finally:
            self._write_lock.release()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        """See the port. What is read in one block is one snapshot, from its first statement on."""
        async with self._connected(self._readers) as tx:
            await tx.exec_driver_sql("BEGIN")
            yield tx

    async def ping(self) -> None:
        """See the port."""
        try:
            async with asyncio.timeout(_PING_S), self.reading() as tx:
                # Not SELECT 1: that would not look at the file.
                await tx.exec_driver_sql("PRAGMA schema_version")
        except TimeoutError as error:
            raise Unavailable(f"The database {self._path} did not answer within {_PING_S:g} s.") from error

    async def close(self) -> None:
        """See the port."""
        await self._readers.dispose()
        await self._unsynced.dispose()
        await self._scripts.close()
        # The writer last: SQLite folds the log into the file when its last connection closes, which a reader may not.
        await self._writer.dispose()
        # Who still holds a connection has its thread, too: there is nothing to wait for.
        if self.connections_active == 0:
            await asyncio.to_thread(_ended, [*self._threads])

    async def _opened(self, *where: Any, **how: Any) -> aiosqlite.Connection:
        """A connection of the driver's, its thread noted.

        The driver tells the loop from that thread when it has closed a connection, and in two cases nobody waits for
        it: a file that does not open, and a connection dropped by a cancelled call. Were the loop closed by then, the
        thread would die with a traceback.
        """
        connection = aiosqlite.connect(*where, **how)
        thread = connection._thread
        thread.daemon = True
        self._threads.add(thread)
        try:
            return await connection
        except BaseException:
            await asyncio.to_thread(_ended, [thread])
            raise

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[Tx]:
        try:
            tx = await engine.connect()
        except PoolTimeout as error:
            raise Unavailable(
                f"All database connections stayed in use for {self._wait_s:g} s. Try again, or raise the pool's size.",
                headers={"Retry-After": "1"},
            ) from error
        try:
            yield tx
        finally:
            # Rolls back whatever was not committed.
            await tx.close()

    def _pool(self, pragmas: tuple[str, ...], *, size: int, overflow: int, recycle_s: int) -> AsyncEngine:
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(self._path)),
            # The driver's own habit is to begin a transaction at the first write; ours begin where we say.
            connect_args={"isolation_level": None, "factory": _Connection},
            execution_options={"compiled_cache": compiled_once()},
            pool_size=size,
            max_overflow=overflow,
            pool_timeout=self._wait_s,
            pool_pre_ping=True,
            pool_recycle=recycle_s,
        )

        def prepare(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            for pragma in pragmas:
                cursor.execute(pragma)
            cursor.close()

        def connect(dialect: Any, _record: object, where: Any, how: Any) -> OneTurn:
            return OneTurn(dialect.loaded_dbapi, await_(self._opened(*where, **how)))

        event.listen(engine.sync_engine, "do_connect", connect)
        event.listen(engine.sync_engine, "connect", prepare)
        event.listen(engine.sync_engine, "handle_error", self._translated, retval=True)
        return engine

    def _translated(self, context: ExceptionContext) -> BaseException | None:
        """``Unavailable`` for what is no fault of the statement; ``None`` lets SQLAlchemy's own error pass."""
        if context.is_pre_ping:
            # Whatever went wrong: SQLAlchemy makes a new connection instead of this one.
            context.is_disconnect = True
            return None
        error = context.sqlalchemy_exception
        if isinstance(error, OperationalError) and _is_outside(error.orig):
            return self._unavailable(error.orig)
        return None

    def _unavailable(self, error: BaseException | None) -> Unavailable:
        return Unavailable(f"The database {self._path} cannot be used now: {error}.", headers={"Retry-After": "1"})


def _spare_adapting() -> None:
    """What is no int, float or str in the exact sense, the driver looks for an adapter of; where there is none it raises an error
    inside and drops it. For ``None`` and truth values that took a third of the time of writing a row."""
    null: Callable[[None], None] = dict[None, None]().get
    sqlite3.register_adapter(type(None), null)
    sqlite3.register_adapter(bool, int)


def _is_outside(error: BaseException | None) -> bool:
    return any(words in str(error).lower() for words in _OUTSIDE)


def _ended(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(_THREAD_END_S)
