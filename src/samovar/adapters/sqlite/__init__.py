"""SQLite as the database port: one file, no server.

Write-ahead log, so that readers and the one writer do not wait for each other; foreign keys on; every commit synced to
disk unless the caller asks for less. Writers of one process queue in order of arrival, with a bound on the wait; those
of other processes are waited for with SQLite's busy timeout.
"""

from samovar.adapters.sqlite.database import SqliteDatabase, Synchronous

__all__ = ["SqliteDatabase", "Synchronous"]
