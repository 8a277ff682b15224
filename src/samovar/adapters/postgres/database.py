"""One pool of connections. Errors that say "not now" become ``Unavailable`` at the statement that met them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import msgspec
from sqlalchemy import QueuePool, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from samovar.kernel.errors import Unavailable
from samovar.ports.database import Engine, T, Tx
from samovar.ports.scripts import Script, perform

_PING_S: Final = 5.0
# SQLSTATE classes (PostgreSQL manual, appendix A) whose cure is to try again: connection lost, out of resources, stopped
# by an operator or a timeout, lost to another transaction (serialization failure, deadlock).
_TRY_AGAIN: Final = ("08", "53", "57", "40")


class PostgresDatabase:
    """A :class:`samovar.ports.database.Database` on the server that ``url`` names, in libpq's form
    (``postgresql://user:password@host:port/name?sslmode=require``).

    ``statement_cache=False`` is for a PgBouncer in transaction mode, where a statement may meet another connection than
    the one that prepared it. ``wait_s`` bounds the wait for a connection of the pool, ``connect_s`` making one, ``statement_s``
    one statement. ``unique`` gives statement names that no other process gives.
    """

    engine: Engine = "postgresql"

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 20,
        max_overflow: int = 10,
        recycle_s: int = 3600,
        wait_s: float = 10.0,
        connect_s: float = 10.0,
        statement_s: float = 60.0,
        statement_cache: bool = True,
        unique: Callable[[], object] = uuid4,
    ) -> None:
        self._dsn = "postgresql://" + url.split("://", 1)[-1]
        parts = urlsplit(self._dsn)
        # For messages: never the password.
        self._where = f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
        self._wait_s = wait_s
        self._connect_s = connect_s
        self._statement_s = statement_s
        self._statement_cache = statement_cache
        self._unique = unique
        self._pool = self._make_pool(pool_size, max_overflow, recycle_s)

    @property
    def connections_active(self) -> int:
        """Connections in use now."""
        return cast(QueuePool, self._pool.pool).checkedout()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """See the port."""
        async with self._connected() as tx:
            yield tx
            await tx.commit()

    @asynccontextmanager
    async def visible(self) -> AsyncIterator[Tx]:
        """See the port."""
        async with self._connected() as tx:
            await tx.exec_driver_sql("SET LOCAL synchronous_commit TO off")
            yield tx
            await tx.commit()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        """See the port. Each statement sees what was committed when it began; a write is refused by the server."""
        async with self._connected() as tx:
            await tx.execution_options(postgresql_readonly=True)
            yield tx

    async def run(self, script: Script[T], *, is_synced: bool = True) -> T:
        """See the port."""
        async with self.transaction() if is_synced else self.visible() as tx:
            return await perform(tx, script)

    async def ping(self) -> None:
        """See the port."""
        try:
            async with asyncio.timeout(_PING_S), self.reading() as tx:
                await tx.exec_driver_sql("SELECT 1")
        except TimeoutError as error:
            raise Unavailable(f"The database {self._where} did not answer within {_PING_S:g} s.") from error

    async def close(self) -> None:
        """See the port."""
        await self._pool.dispose()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Tx]:
        try:
            tx = await self._pool.connect()
        except PoolTimeout as error:
            raise Unavailable(
                f"All database connections stayed in use for {self._wait_s:g} s. Try again, or raise the pool's size.",
                headers={"Retry-After": "1"},
            ) from error
        except OSError as error:
            # Refused, unreachable, or (TimeoutError is an OSError) no answer in time.
            raise self._unavailable(error) from error
        try:
            yield tx
        finally:
            # Rolls back whatever was not committed.
            await tx.close()

    def _make_pool(self, size: int, overflow: int, recycle_s: int) -> AsyncEngine:
        arguments: dict[str, Any] = {"async_creator_fn": self._connect}
        if not self._statement_cache:
            arguments["prepared_statement_cache_size"] = 0
            # Behind PgBouncer two of our connections may share one of the server's: their statements need other names.
            arguments["prepared_statement_name_func"] = lambda: f"samovar_{self._unique()}"
        pool = create_async_engine(
            "postgresql+asyncpg://",
            connect_args=arguments,
            pool_size=size,
            max_overflow=overflow,
            pool_timeout=self._wait_s,
            pool_pre_ping=True,
            pool_recycle=recycle_s,
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
            json_deserializer=msgspec.json.decode,
        )
        event.listen(pool.sync_engine, "handle_error", self._translated, retval=True)
        return pool

    async def _connect(self, **_from_url: object) -> Any:
        # PgBouncer refuses start-up parameters that it does not know, so it gets none.
        cached = self._statement_cache
        return await asyncpg.connect(
            self._dsn,
            timeout=self._connect_s,
            command_timeout=self._statement_s,
            server_settings={"application_name": "samovar", "jit": "off"} if cached else None,
            **({} if cached else {"statement_cache_size": 0}),
        )

    def _translated(self, context: ExceptionContext) -> BaseException | None:
        """``Unavailable`` for what is no fault of the statement; ``None`` lets SQLAlchemy's own error pass."""
        if context.is_pre_ping:
            # Whatever went wrong: SQLAlchemy makes a new connection instead of this one.
            context.is_disconnect = True
            return None
        if isinstance(context.original_exception, OSError):
            return self._unavailable(context.original_exception)
        error = context.sqlalchemy_exception
        if isinstance(error, DBAPIError):
            state = getattr(error.orig, "sqlstate", None) or ""
            # No connection in the context: it failed while connecting (wrong password, no such database).
            if context.connection is None or context.is_disconnect or state[:2] in _TRY_AGAIN:
                return self._unavailable(error.orig)
        return None

    def _unavailable(self, error: BaseException | None) -> Unavailable:
        what = str(error) or "no answer in time"
        return Unavailable(f"The database {self._where} cannot be used now: {what}.", headers={"Retry-After": "1"})
