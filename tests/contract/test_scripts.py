"""Whole transactions as scripts, on both engines."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from samovar.adapters.sqlite import SqliteDatabase
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database, Instant, Json, among_json
from samovar.ports.scripts import Add, Ask, Script, perform, plain
from tests.support.tables import standing

TABLES = sa.MetaData()
POTS = sa.Table(
    "contract_pots",
    TABLES,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("cups", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("lids", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("at", Instant),
    sa.Column("more", Json),
)
AT = datetime(2026, 11, 21, 12, 30, 0, 5, tzinfo=UTC)


@pytest.fixture
async def db(database: Database) -> AsyncIterator[Database]:
    """The database with the table of this suite."""
    async with standing(database, TABLES) as found:
        yield found


@cache
def _poured(dialect: str) -> Any:
    named, more = among_json(dialect, POTS.c.id), sa.bindparam("more", type_=sa.BigInteger)
    # Two numbers are parameters of the statement's own.
    grown = POTS.c.cups + more + 1
    return sa.update(POTS).where(named, POTS.c.cups < 1_000).values(cups=grown, at=sa.bindparam("at", type_=Instant()))


@cache
def _total(_: str) -> Any:
    return sa.select(sa.func.coalesce(sa.func.sum(POTS.c.cups), 0))


@cache
def _synchronous(_: str) -> Any:
    return sa.text("PRAGMA synchronous")


def pots(ids: list[str]) -> Add:
    """New ones."""
    rows = [{"id": one, "cups": 1, "at": AT, "more": {"чай": [one]}} for one in ids]
    columns = ("id", "cups", "at", "more")
    return Add(POTS, plain(POTS, rows, columns), ("id",), columns, returning=("id",))


def made(ids: list[str]) -> Script[list[str]]:
    """Which of these were not there."""
    return sorted(name for (name,) in (yield pots(ids)).rows)


async def total(db: Database) -> int:
    async with db.reading() as tx:
        return int(await tx.scalar(sa.select(sa.func.coalesce(sa.func.sum(POTS.c.cups), 0))) or 0)


async def test_a_script_sees_what_it_wrote_and_all_see_it_afterwards(db: Database) -> None:
    # More than go to PostgreSQL at once, and no round number of SQLite's statements.
    ids = [f"pot {number:04}" for number in range(2_523)]

    def script() -> Script[tuple[list[str], int, int, int]]:
        new = yield from made(ids)
        none = yield Add(POTS, [], ("id",))
        changed = yield Ask(_poured, {"among": '["pot 0000", "pot 2522", "none"]', "more": 40, "at": AT})
        ((cups,),) = (yield Ask(_total, {})).rows
        return new, len(none.rows), changed.changed, int(cups)

    assert await db.run(script()) == (ids, 0, 2, 2_523 + 82)
    assert await db.run(made(["pot 0000", "another"]), is_synced=False) == ["another"]
    async with db.reading() as tx:
        found = (await tx.execute(sa.select(POTS).where(POTS.c.id.in_(["pot 0000", "another"])).order_by("cups"))).all()
    assert [(row.id, row.cups, row.at, row.more) for row in found] == [
        ("another", 1, AT, {"чай": ["another"]}),
        ("pot 0000", 42, AT, {"чай": ["pot 0000"]}),
    ]
    assert db.connections_active == 0


async def test_rows_grow_by_the_columns_that_are_named_and_no_others(db: Database) -> None:
    def grown(cups: int, lids: int) -> Script[None]:
        yield Add(POTS, [("a", cups, lids)], ("id",), ("id", "cups", "lids"), grown=("cups",))

    for lids, cups in enumerate((2**60, 7, -9), 5):
        await db.run(grown(cups, lids))
    async with db.reading() as tx:
        assert [(row.cups, row.lids) for row in await tx.execute(sa.select(POTS))] == [(2**60 - 2, 5)]


@pytest.mark.parametrize("is_synced", [True, False])
async def test_a_script_that_raises_leaves_nothing(db: Database, is_synced: bool) -> None:
    def spilt() -> Script[None]:
        yield pots(["a"])
        raise LookupError("spilt")

    def refused() -> Script[None]:
        yield pots(["a"])
        yield Add(POTS, [(None, 1)], ("id",), ("id", "cups"))

    def wrong() -> Script[None]:
        yield pots(["a"])
        yield Ask(_poured, {"among": "[]"})

    for script, error in ((spilt, LookupError), (refused, IntegrityError), (wrong, KeyError)):
        with pytest.raises(error):
            await db.run(script(), is_synced=is_synced)
        assert await total(db) == 0
    assert await db.run(made(["a"]), is_synced=is_synced) == ["a"]
    assert db.connections_active == 0


async def test_rows_that_are_new_may_not_stand_there_and_then_leave_nothing(db: Database) -> None:
    def new(ids: list[str]) -> Script[int]:
        rows = [{"id": one, "cups": 1, "at": AT, "more": {"чай": [one]}} for one in ids]
        columns = ("id", "cups", "at", "more")
        return (yield Add(POTS, plain(POTS, rows, columns), columns=columns, are_new=True)).changed

    async def within(ids: list[str]) -> None:
        async with db.transaction() as tx:
            await perform(tx, new(ids))

    ids = [f"pot {number:04}" for number in range(2_523)]
    assert await db.run(new(ids)) == 2_523
    for refused in (db.run(new(["a", ids[-1]])), within(["a", ids[-1]])):
        with pytest.raises(IntegrityError):
            await refused
        assert await total(db) == 2_523
    await within(["a"])
    assert await total(db) == 2_524


async def test_a_script_within_a_transaction_goes_with_it(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(POTS.insert().values(id="a", cups=1))
        assert await perform(tx, made(["a", "b"])) == ["b"]

    async def spilt() -> None:
        async with db.transaction() as tx:
            await perform(tx, made(["c"]))
            raise LookupError("spilt")

    with pytest.raises(LookupError):
        await spilt()
    assert await db.run(made(["a", "b", "c"])) == ["c"]


async def test_scripts_and_transactions_lose_nothing_of_each_other(db: Database) -> None:
    await db.run(made(["a"]))

    def pouring() -> Script[None]:
        yield Ask(_poured, {"among": '["a"]', "more": 0, "at": AT})

    async def by_script(number: int) -> None:
        await db.run(pouring(), is_synced=bool(number % 2))

    async def by_statements() -> None:
        async with db.transaction() as tx:
            cups = await tx.scalar(sa.select(POTS.c.cups).where(POTS.c.id == "a").with_for_update())
            await tx.execute(POTS.update().where(POTS.c.id == "a").values(cups=(cups or 0) + 1))

    await asyncio.gather(*[by_script(n) for n in range(30)], *[by_statements() for _ in range(30)])
    assert await total(db) == 61


async def test_a_caller_that_is_cancelled_leaves_all_or_nothing_and_no_lock(db: Database) -> None:
    for turn in range(20):
        task = asyncio.create_task(db.run(made([f"{turn} {number}" for number in range(400)])))
        await asyncio.sleep(0.0004 * turn)
        task.cancel()
        await asyncio.wait([task])
        async with asyncio.timeout(5), db.transaction() as tx:
            await tx.execute(POTS.insert().values(id=f"after {turn}", cups=1_000_000))
    assert (await total(db) - 20_000_000) % 400 == 0
    assert db.connections_active == 0


async def test_a_script_waits_for_another_process_and_then_says_so(tmp_path: Path) -> None:
    here, there = (SqliteDatabase(tmp_path / "x.db", wait_s=0.3) for _ in range(2))
    async with here.transaction() as tx:
        await tx.run_sync(TABLES.create_all)
    async with here.transaction():
        with pytest.raises(Unavailable, match="locked"):
            await there.run(made(["a"]))
        with pytest.raises(Unavailable, match="write lock"):
            await here.run(made(["a"]))
    assert await there.run(made(["a"])) == ["a"]
    await here.close()
    await there.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sqlite-scripts")]


async def test_scripts_of_sqlite_are_synced_where_they_should_be(tmp_path: Path) -> None:
    def synchronous() -> Script[int]:
        ((mode,),) = (yield Ask(_synchronous, {})).rows
        return int(mode)

    for usual, expected in (("FULL", [2, 1, 2, 1]), ("NORMAL", [1, 1, 1, 1])):
        database = SqliteDatabase(tmp_path / "x.db", synchronous=usual)  # type: ignore[arg-type]
        found = [await database.run(synchronous(), is_synced=is_synced) for is_synced in (True, False, True, False)]
        assert found == expected
        await database.close()
