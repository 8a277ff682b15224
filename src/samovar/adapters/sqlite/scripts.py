"""Whole transactions in one turn of a thread, past SQLAlchemy and its pool: for those that run with every upload.

One connection for all of them, whether their commits are synced or not: SQLite forgets the pages that it has read whenever
another connection has written, so those who take turns at two read everything again and again.
"""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from sqlalchemy import Dialect

from samovar.kernel.errors import Unavailable
from samovar.kernel.tasks import ended
from samovar.ports.database import T
from samovar.ports.scripts import Course, Script, run_here

_CACHE_KIB: Final = 8_192


class ScriptRunner:
    """Runs one script at a time; whoever calls has the write lock. The connection is opened with the first."""

    def __init__(self, path: Path, pragmas: tuple[str, ...], dialect: Dialect, *, is_synced: bool) -> None:
        """``pragmas`` say whether commits are synced where nobody asks for less."""
        self._path = path
        self._pragmas = (*pragmas, f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._dialect = dialect
        self._connection: sqlite3.Connection | None = None
        self._usually_synced = self._is_synced = is_synced
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-scripts")
        self._is_closed = False
        self.is_busy = False

    async def run(self, script: Script[T], *, is_synced: bool) -> T:
        """Its result, once it is committed. A caller that is cancelled waits for its end. Raises ``sqlite3.Error``, and then
        nothing of it stays; ``Unavailable`` once it is closed."""
        if self._is_closed:
            raise Unavailable(f"The database {self._path} is closed here.")
        self.is_busy = True
        try:
            # The caller's lock is for as long as the thread writes.
            return await ended(
                asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, script, is_synced)
            )
        finally:
            self.is_busy = False

    async def close(self) -> None:
        """Close the connection, and end the thread, once what runs has ended."""
        if not self._is_closed:
            self._is_closed = True
            # Always, for one that is being opened is not seen yet.
            await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
            self._thread.shutdown()

    def _transaction(self, script: Script[T], is_synced: bool) -> T:
        connection = self._connection or self._opened()
        try:
            wanted = is_synced and self._usually_synced
            if wanted is not self._is_synced:
                connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
                self._is_synced = wanted
            connection.execute("BEGIN IMMEDIATE")
            course = Course(script, self._dialect)
            run_here(course, connection)
            connection.execute("COMMIT")
        except BaseException:
            # Which rolls back, whatever had failed; the next one opens another.
            self._drop()
            raise
        return course.result

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            for pragma in self._pragmas:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        # Only now: half prepared it would have no foreign keys, or sync less.
        self._connection, self._is_synced = connection, self._usually_synced
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
