"""The database port, over SQLite and PostgreSQL."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError, IntegrityError

from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database, Instant, Json, insert_new, upsert
from tests.support.servers import on_postgres
from tests.support.sockets import closed_port, silent_server
from tests.support.tables import standing

TABLES = sa.MetaData()
POTS = sa.Table(
    "contract_pots",
    TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("cups", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("at", Instant),
    sa.Column("more", Json),
)
LIDS = sa.Table(
    "contract_lids", TABLES, sa.Column("pot_id", sa.Text, sa.ForeignKey("contract_pots.id"), primary_key=True)
)

# Counts for about a second.
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*) FROM n"


@pytest.fixture
async def db(database: Database) -> AsyncIterator[Database]:
    """The database with the two tables of this suite."""
    async with standing(database, TABLES) as found:
        yield found


async def put(database: Database, **row: object) -> None:
    async with database.transaction() as tx:
        await tx.execute(POTS.insert().values(**row))


async def cups(database: Database, pot: str = "a") -> int | None:
    async with database.reading() as tx:
        found: int | None = await tx.scalar(sa.select(POTS.c.cups).where(POTS.c.id == pot))
        return found


async def test_what_is_committed_can_be_read(db: Database) -> None:
    await put(db, id="a", cups=3)
    assert await cups(db) == 3


@pytest.mark.parametrize("begin", ["transaction", "visible"])
async def test_what_raises_is_rolled_back(db: Database, begin: str) -> None:
    async def spill() -> None:
        async with getattr(db, begin)() as tx:
            await tx.execute(POTS.insert().values(id="a", cups=1))
            raise LookupError("spilt")

    with pytest.raises(LookupError, match="spilt"):
        await spill()
    assert await cups(db) is None
    assert db.connections_active == 0


async def test_what_is_visible_is_read_by_all_and_alone_not_synced_by_itself(db: Database) -> None:
    asked = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}[db.engine]
    async with db.visible() as tx:
        await tx.execute(POTS.insert().values(id="a", cups=3))
        assert (await tx.exec_driver_sql(asked)).scalar_one() in (1, "off")
    assert await cups(db) == 3
    async with db.transaction() as tx:
        assert (await tx.exec_driver_sql(asked)).scalar_one() in (2, "on")


async def test_a_cancelled_transaction_is_rolled_back_and_frees_its_lock(db: Database) -> None:
    entered = asyncio.Event()

    async def hang() -> None:
        async with db.transaction() as tx:
            await tx.execute(POTS.insert().values(id="a", cups=1))
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(hang())
    await entered.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await put(db, id="a", cups=2)
    assert await cups(db) == 2
    assert db.connections_active == 0


async def test_a_call_cancelled_in_mid_statement_lets_the_next_write_at_once(db: Database) -> None:
    await put(db, id="a", cups=0)

    async def pour() -> None:
        async with db.transaction() as tx:
            for _ in range(2):
                await tx.execute(POTS.update().values(cups=POTS.c.cups + 1))
                await tx.execute(POTS.insert(), [{"id": f"{asyncio.current_task()}{n}"} for n in range(500)])
                await tx.execute(POTS.delete().where(POTS.c.cups == 0))

    kept = []
    for turn in range(20):
        task = asyncio.create_task(pour())
        # Somewhere in it, each time elsewhere: the statement under way ends in its thread or at its server.
        await asyncio.sleep(0.0007 * turn)
        task.cancel()
        await asyncio.wait([task])
        kept.append(task)  # as whoever logs an error keeps it, and with it all that was under way
        async with asyncio.timeout(5):
            await put(db, id=f"after {turn}", cups=turn)
    assert (await cups(db) or 0) % 2 == 0
    assert db.connections_active == 0


async def test_nobody_sees_what_is_not_committed(db: Database) -> None:
    await put(db, id="a", cups=1)
    async with db.transaction() as tx:
        await tx.execute(POTS.update().values(cups=2))
        assert await cups(db) == 1
    assert await cups(db) == 2


async def test_a_hundred_racing_writers_lose_no_count(db: Database) -> None:
    await put(db, id="a", cups=0)

    async def pour() -> None:
        async with db.transaction() as tx:
            await tx.execute(POTS.update().where(POTS.c.id == "a").values(cups=POTS.c.cups + 1))

    await asyncio.gather(*(pour() for _ in range(100)))
    assert await cups(db) == 100


async def test_reading_refuses_to_write(db: Database) -> None:
    async def sneak() -> None:
        async with db.reading() as tx:
            await tx.execute(POTS.insert().values(id="a"))

    with pytest.raises(DBAPIError, match=r"read-?only"):
        await sneak()
    # The connection goes back to the pool as it was.
    await put(db, id="a", cups=1)


async def test_foreign_keys_are_kept(db: Database) -> None:
    async def orphan() -> None:
        async with db.transaction() as tx:
            await tx.execute(LIDS.insert().values(pot_id="nowhere"))

    with pytest.raises(IntegrityError):
        await orphan()


async def test_upsert_inserts_then_replaces(db: Database) -> None:
    async with db.transaction() as tx:
        await upsert(tx, POTS, {"id": "a", "cups": 1, "more": [1]}, keys=("id",))
        await upsert(tx, POTS, {"id": "a", "cups": 2}, keys=("id",))
        await upsert(tx, POTS, {"id": "a"}, keys=("id",))
        assert (await tx.execute(sa.select(POTS.c.cups, POTS.c.more))).all() == [(2, [1])]


async def test_a_batch_sent_twice_counts_once(db: Database) -> None:
    async with db.transaction() as tx:
        await insert_new(tx, POTS, [{"id": "a", "cups": 1}], keys=("id",))
        await insert_new(tx, POTS, [{"id": "a", "cups": 9}, {"id": "b", "cups": 2}], keys=("id",))
        await insert_new(tx, POTS, [], keys=("id",))
        assert (await tx.execute(sa.select(POTS.c.cups).order_by(POTS.c.id))).scalars().all() == [1, 2]


@pytest.mark.parametrize("value", [{"ключ": [1, 2.5, None, True, "\U0001f375"]}, [], "text", 0, False, 2**53])
async def test_json_comes_back_as_it_was(db: Database, value: object) -> None:
    await put(db, id="a", more=value)
    async with db.reading() as tx:
        assert await tx.scalar(sa.select(POTS.c.more)) == value


async def test_no_json_is_null_on_both_engines(db: Database) -> None:
    await put(db, id="a", more=None)
    async with db.reading() as tx:
        assert await tx.scalar(sa.select(sa.func.count()).where(POTS.c.more.is_(None))) == 1


async def test_instants_keep_their_microsecond_and_sort(db: Database) -> None:
    at = datetime(2026, 11, 21, 4, 5, 6, 789_123, tzinfo=timezone(timedelta(hours=3)))
    instants = [at + timedelta(microseconds=1), at, datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]
    for n, each in enumerate(instants):
        await put(db, id=str(n), at=each)
    async with db.reading() as tx:
        found = (await tx.execute(sa.select(POTS.c.at).order_by(POTS.c.at))).scalars().all()
        assert found == sorted(instants)
        assert {each.tzinfo for each in found} == {UTC}
        assert await tx.scalar(sa.select(POTS.c.id).where(POTS.c.at == at)) == "1"


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_exact(at: datetime) -> None:
    kind, dialect = Instant(), sa.create_mock_engine("sqlite://", lambda *_: None).dialect
    assert kind.process_result_value(kind.process_bind_param(at, dialect), dialect) == at


async def test_a_naive_instant_is_refused(db: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="without a time zone"):
        await put(db, id="a", at=datetime(2026, 1, 1))  # noqa: DTZ001 - the fault under test


async def test_ping_answers_and_connections_are_counted(db: Database) -> None:
    await db.ping()
    assert db.connections_active == 0
    async with db.transaction():
        assert db.connections_active == 1


# --- bounds and losses ----------------------------------------------------------------------------------------------


async def exhausted(database: Database) -> None:
    async with database.reading() as first:
        await first.execute(sa.text("SELECT 1"))
        with pytest.raises(Unavailable, match="stayed in use"):
            async with database.reading():
                pass


async def test_an_exhausted_sqlite_pool_is_unavailable(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "x.db", pool_size=1, max_overflow=0, wait_s=0.1)
    await exhausted(database)
    await database.ping()
    await database.close()


async def test_an_exhausted_postgres_pool_is_unavailable(empty_postgres_url: str) -> None:
    database = PostgresDatabase(empty_postgres_url, pool_size=1, max_overflow=0, wait_s=0.1)
    await exhausted(database)
    await database.ping()
    await database.close()


async def test_a_write_lock_held_too_long_is_unavailable(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "x.db", wait_s=0.1)
    async with database.transaction():
        with pytest.raises(Unavailable, match="write lock"):
            async with database.transaction():
                pass
    async with database.transaction():
        pass
    await database.close()


async def test_a_write_lock_of_another_process_is_waited_for_then_unavailable(tmp_path: Path) -> None:
    # A second adapter shares nothing with the first but the file, as another process would.
    here, there = (SqliteDatabase(tmp_path / "x.db", wait_s=0.3) for _ in range(2))
    async with here.transaction() as tx:
        await tx.execute(sa.text("CREATE TABLE x (n INTEGER)"))
        with pytest.raises(Unavailable, match="locked"):
            async with there.transaction():
                pass
    async with there.transaction() as tx:
        await tx.execute(sa.text("INSERT INTO x VALUES (1)"))
    await here.close()
    await there.close()


async def test_sqlite_writers_are_served_in_the_order_they_came(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "x.db")
    served: list[int] = []

    async def write(n: int) -> None:
        async with database.transaction():
            served.append(n)

    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(write(n))
    assert served == list(range(20))
    await database.close()


async def test_sqlite_is_set_up_to_lose_nothing(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "x.db")
    async with database.transaction() as tx:
        pragmas = [
            await tx.scalar(sa.text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]
    await database.close()


async def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "nowhere" / "x.db")
    with pytest.raises(Unavailable, match="unable to open"):
        await database.ping()
    await database.close()


async def test_no_thread_of_sqlite_outlives_its_database(tmp_path: Path) -> None:
    # One that did would call a closed loop and die with a traceback.
    before = {*threading.enumerate()}

    def left() -> list[str]:
        return [t.name for t in {*threading.enumerate()} - before if "_connection_worker_thread" in t.name]

    for folder in (tmp_path / "nowhere", tmp_path):
        database = SqliteDatabase(folder / "x.db")
        with suppress(Unavailable):
            async with database.reading() as one, database.reading() as other:
                long = asyncio.create_task(one.exec_driver_sql(ENDLESS), name="long")
                await other.exec_driver_sql("SELECT 1")
                await asyncio.sleep(0.05)
                long.cancel()
                await asyncio.wait({long})
        await database.close()
        assert left() == []


async def test_after_killed_connections_the_next_transactions_work(postgres_database: PostgresDatabase) -> None:
    async with postgres_database.reading() as one, postgres_database.reading() as other:
        killed = {await tx.scalar(sa.text("SELECT pg_backend_pid()")) for tx in (one, other)}
    await asyncio.to_thread(on_postgres, *(f"SELECT pg_terminate_backend({process})" for process in killed))
    async with postgres_database.transaction() as one, postgres_database.transaction() as other:
        assert killed.isdisjoint({await tx.scalar(sa.text("SELECT pg_backend_pid()")) for tx in (one, other)})


async def test_a_connection_killed_in_a_transaction_is_unavailable(postgres_database: PostgresDatabase) -> None:
    async def interrupted() -> None:
        async with postgres_database.transaction() as tx:
            process = await tx.scalar(sa.text("SELECT pg_backend_pid()"))
            await asyncio.to_thread(on_postgres, f"SELECT pg_terminate_backend({process})")
            await tx.execute(sa.text("SELECT 1"))

    with pytest.raises(Unavailable) as caught:
        await interrupted()
    assert caught.value.headers["Retry-After"] == "1"
    await postgres_database.ping()
    assert postgres_database.connections_active == 0


async def test_a_statement_that_takes_too_long_is_unavailable(empty_postgres_url: str) -> None:
    database = PostgresDatabase(empty_postgres_url, statement_s=0.2)

    async def slow() -> None:
        async with database.reading() as tx:
            await tx.execute(sa.text("SELECT pg_sleep(30)"))

    with pytest.raises(Unavailable):
        await slow()
    await database.ping()
    await database.close()


async def test_a_dead_server_is_unavailable_and_its_password_stays_secret() -> None:
    database = PostgresDatabase(f"postgresql://samovar:secret@127.0.0.1:{closed_port()}/samovar")
    with pytest.raises(Unavailable) as caught:
        await database.ping()
    assert "secret" not in caught.value.detail
    await database.close()


async def test_an_unknown_database_is_unavailable(empty_postgres_url: str) -> None:
    database = PostgresDatabase(empty_postgres_url + "_nowhere")
    with pytest.raises(Unavailable, match="does not exist"):
        await database.ping()
    await database.close()


@pytest.mark.parametrize("cached", [True, False])
async def test_statements_work_with_and_without_their_cache(empty_postgres_url: str, cached: bool) -> None:
    database = PostgresDatabase(empty_postgres_url, statement_cache=cached)
    for n in range(3):
        async with database.transaction() as tx:
            assert await tx.scalar(sa.text("SELECT :n + 0"), {"n": n}) == n
    await database.close()


async def test_a_silent_server_is_given_up_by_ping() -> None:
    async with silent_server() as port:
        database = PostgresDatabase(f"postgresql://127.0.0.1:{port}/samovar", connect_s=0.2)
        with pytest.raises(Unavailable):
            await database.ping()
        await database.close()
