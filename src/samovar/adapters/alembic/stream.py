"""Running the stream from Python."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from sqlalchemy import Connection, MetaData, NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

import samovar
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.ports.database import Tx, schema_version

if TYPE_CHECKING:
    from alembic.config import Config

_REVISION: Final = re.compile(r"(?P<id>[0-9]{4})_[a-z0-9_]+\.py")
# Any number will do, as long as all of us take the same one and nobody else does: "samovar" in ASCII.
_LOCK: Final = int.from_bytes(b"samovar", "big")
_CONNECT_S: Final = 10.0


class SchemaTooNew(SamovarError):
    """The database was migrated by a newer Samovar than this one."""

    code = "schema_too_new"
    title = "The database belongs to a newer version"


class MigrationFailed(SamovarError):
    """A revision could not be applied; the database is as it was before."""

    code = "migration_failed"
    title = "The database could not be migrated"


def scripts_folder() -> Path:
    """Where the revisions are: in the package where it was installed, at the root of a checkout."""
    package = Path(samovar.__file__).parent
    for folder in (package / "migrations", package.parents[1] / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise MigrationFailed(f"No migrations stand beside {package}. Install Samovar again.")


def head(scripts: Path | None = None) -> str | None:
    """The newest revision there is, ``None`` where there is none. Reads only file names."""
    folder = (scripts or scripts_folder()) / "versions"
    found = [match["id"] for path in folder.glob("*.py") if (match := _REVISION.fullmatch(path.name))]
    return max(found, default=None)


async def current(database_url: str) -> str | None:
    """The revision the database stands at, ``None`` for an empty one. Raises ``Unavailable``."""
    async with _connected(database_url) as tx:
        return await schema_version(tx)


async def migrate(database_url: str, *, wait_s: float = 60.0, scripts: Path | None = None) -> list[str]:
    """Bring the database to the newest revision; the ids of those that were applied now, oldest first.

    ``wait_s`` bounds the wait for another process that migrates. Raises :class:`SchemaTooNew`, :class:`MigrationFailed`,
    ``Unavailable``.
    """
    folder = scripts or scripts_folder()
    newest = head(folder)
    async with _connected(database_url) as tx:
        if _reached(await schema_version(tx), newest):
            return []
        await tx.rollback()
        try:
            await _lock(tx, wait_s)
        except (DBAPIError, OSError) as error:
            raise Unavailable(f"Another process has held the database's migration lock for {wait_s:g} s.") from error
        # Asked again: whoever held the lock before us may have done the work.
        before = await schema_version(tx)
        if _reached(before, newest):
            return []
        try:
            await tx.run_sync(_upgrade, folder)
            await _check_foreign_keys(tx)
            await tx.commit()
        except DBAPIError as error:
            raise MigrationFailed(f"The database stays at revision {before or 'none'}: {error}") from error
    return sorted(
        match["id"]
        for path in (folder / "versions").glob("*.py")
        if (match := _REVISION.fullmatch(path.name)) and match["id"] > (before or "")
    )


class Rebuilding:
    """A :class:`samovar.ports.schema.Rebuild` in an open transaction."""

    def __init__(self, tx: Tx, *, folder: Path, newest: str) -> None:
        self.tx = tx
        self.newest = newest
        self._folder = folder

    async def upgrade(self, revision: str) -> None:
        """See the port."""
        try:
            await self.tx.run_sync(_upgrade, self._folder, revision)
        except DBAPIError as error:
            raise MigrationFailed(f"The revisions up to {revision} could not be applied: {error}") from error


@asynccontextmanager
async def rebuilding(
    database_url: str, *, wait_s: float = 60.0, scripts: Path | None = None
) -> AsyncIterator[Rebuilding]:
    """A :class:`samovar.ports.schema.Rebuilder` of the database. Raises ``Unavailable``."""
    folder = scripts or scripts_folder()
    newest = head(folder)
    assert newest is not None
    async with _connected(database_url) as tx:
        try:
            await _lock(tx, wait_s)
        except (DBAPIError, OSError) as error:
            raise Unavailable(f"Another process has held the database's migration lock for {wait_s:g} s.") from error
        yield Rebuilding(tx, folder=folder, newest=newest)
        await _check_foreign_keys(tx)
        await tx.commit()


async def draft(database_url: str, *, message: str, metadata: MetaData, scripts: Path | None = None) -> Path:
    """Write the next revision's file from the difference between a migrated database and ``metadata``, for a person to
    read and mend. For those who work on Samovar."""
    from alembic import command

    folder = scripts or scripts_folder()
    number = f"{int(head(folder) or 0) + 1:04d}"

    def write(connection: Connection) -> Path:
        made: Any = command.revision(_config(folder, connection, metadata), message, autogenerate=True, rev_id=number)
        return Path(made.path)

    (folder / "versions").mkdir(exist_ok=True)
    async with _connected(database_url) as tx:
        return await tx.run_sync(write)


def _reached(version: str | None, newest: str | None) -> bool:
    if version is not None and (newest is None or version > newest):
        raise SchemaTooNew(
            f"The database stands at revision {version}, this Samovar knows revisions up to {newest or 'none'}. "
            "Run the newer version, or restore a backup from before its upgrade."
        )
    return version == newest


def _upgrade(connection: Connection, folder: Path, revision: str = "head") -> None:
    # Only where there is something to do: the import takes 0.4 s.
    from alembic import command

    command.upgrade(_config(folder, connection, MetaData()), revision)


def _config(folder: Path, connection: Connection, metadata: MetaData) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, metadata=metadata)
    return config


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[Tx]:
    """One connection, closed afterwards. On SQLite without foreign keys: rebuilding a table drops the old one, which
    with them would delete the rows that point to it."""
    scheme, _, rest = database_url.partition("://")
    if scheme.startswith("sqlite"):
        # isolation_level None: SQLite's driver would else commit before some statements of its own accord.
        engine = create_async_engine(
            f"sqlite+aiosqlite://{rest}",
            poolclass=NullPool,
            connect_args={"isolation_level": None, "timeout": _CONNECT_S},
        )
    else:

        async def connect(**_from_url: object) -> Any:
            return await asyncpg.connect(f"postgresql://{rest}", timeout=_CONNECT_S, statement_cache_size=0)

        engine = create_async_engine(
            "postgresql+asyncpg://",
            poolclass=NullPool,
            connect_args={"async_creator_fn": connect, "prepared_statement_cache_size": 0},
        )
    try:
        try:
            tx = await engine.connect()
        except (DBAPIError, OSError) as error:
            raise Unavailable(f"The database cannot be reached: {getattr(error, 'orig', error)}.") from error
        try:
            yield tx
        finally:
            await tx.close()
    finally:
        await engine.dispose()


async def _lock(tx: Tx, wait_s: float) -> None:
    """Begin the transaction that holds the lock; its end frees it, however it ends."""
    wait_ms = int(wait_s * 1000)
    if tx.dialect.name == "sqlite":
        await tx.exec_driver_sql(f"PRAGMA busy_timeout = {wait_ms}")
        await tx.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        await tx.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": f"{wait_ms}ms"})
        await tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def _check_foreign_keys(tx: Tx) -> None:
    if tx.dialect.name == "sqlite":
        astray = (await tx.exec_driver_sql("PRAGMA foreign_key_check")).all()
        if astray:
            raise MigrationFailed(f"{len(astray)} rows would point to nothing, the first in table {astray[0][0]}.")
