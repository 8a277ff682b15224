"""Scripts on SQLite when the machine, another process or the end of this one comes in between."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from samovar.adapters.sqlite import SqliteDatabase
from samovar.kernel.errors import Unavailable
from samovar.ports.scripts import Add, Ask, Script, perform

PAGES = sa.Table("pages", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("b", sa.Text))


@cache
def _pragmas(_: str) -> Any:
    found = " || ' ' || ".join(f"(SELECT {name} FROM pragma_{name})" for name in ("foreign_keys", "synchronous"))
    return sa.text(f"SELECT {found}, (SELECT journal_mode FROM pragma_journal_mode)")


@cache
def _counted(_: str) -> Any:
    return sa.text(
        "WITH RECURSIVE some(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM some WHERE n < 2000000) SELECT count(*) FROM some"
    )


def settings() -> Script[tuple[str, str]]:
    """Foreign keys, how much is synced, and the kind of log."""
    return tuple((yield Ask(_pragmas, {})).rows[0])


def page(number: int) -> Script[None]:
    """As much as fits in one."""
    yield Add(PAGES, [(number, "x" * 3_000)])


def slow() -> Script[int]:
    """Takes some tenths of a second."""
    return int((yield Ask(_counted, {})).rows[0][0])


async def test_a_connection_that_could_not_be_prepared_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE a (b)")
    database = SqliteDatabase(path, wait_s=0.2)
    # Not in WAL mode yet, so the first thing it wants is the whole file for itself.
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable, match="locked"):
        await database.run(settings())
    other.execute("COMMIT")
    other.close()
    assert await database.run(settings()) == ("1 2", "wal")
    await database.close()


async def test_one_who_comes_while_the_write_lock_changes_hands_waits_no_longer_than_others(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "x.db", wait_s=0.3)
    await database.run(settings())

    async def long() -> None:
        async with database.transaction():
            await asyncio.sleep(1.5)

    async with database.transaction():
        task = asyncio.create_task(long())
        await asyncio.sleep(0.05)
    began = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match="write lock"):
        await database.run(settings())
    assert asyncio.get_running_loop().time() - began < 1
    await task
    await database.close()


async def test_closing_lets_a_script_end_and_never_holds_the_loop(tmp_path: Path) -> None:
    for rests_s in (0.0, 0.03):
        database = SqliteDatabase(tmp_path / "x.db")
        task = asyncio.create_task(database.run(slow()))
        await asyncio.sleep(rests_s)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        await database.close()
        ticking.cancel()
        assert await task == 2_000_000
        assert ticks > 3
        assert not [one for one in threading.enumerate() if one.name.startswith("sqlite-scripts")]
        with pytest.raises(Unavailable, match="closed"):
            await database.run(settings())
        # Whoever closes last folds the log into the file: nothing was left open.
        assert not (tmp_path / "x.db-wal").exists()


async def test_what_sqlite_rolls_back_by_itself_is_not_gone_on_with(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "x.db")
    async with database.transaction() as tx:
        await tx.run_sync(PAGES.metadata.create_all)

    async def filled() -> None:
        async with database.transaction() as tx:
            # As on a disk that is full: SQLite ends the transaction, and then there is room for a small one.
            await tx.exec_driver_sql("PRAGMA max_page_count = 60")
            await tx.execute(PAGES.insert().values(id=0, b="first"))
            for number in range(1, 80):
                await perform(tx, page(number))

    with pytest.raises(Unavailable, match="full"):
        await filled()
    async with database.reading() as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(PAGES)) == 0
    await database.close()


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
import sqlalchemy as sa
from samovar.adapters.sqlite import SqliteDatabase
from samovar.kernel.errors import Unavailable
from samovar.ports.scripts import Add, perform

TABLE = sa.Table("a", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("b", sa.Text))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def rows(first, size):
    yield Add(TABLE, [(first + n, "x" * size) for n in range(40)])


def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def count(db):
    async with db.reading() as tx:
        return await tx.scalar(sa.select(sa.func.count()).select_from(TABLE))


async def main():
    db = SqliteDatabase(Path(sys.argv[1]), wait_s=1)
    async with db.transaction() as tx:
        await tx.run_sync(TABLE.metadata.create_all)
    refused = good = 0
    for turn in range(60):
        room(30_000 + 4_096 * turn)
        try:
            if turn % 3:
                await db.run(rows(turn * 100, 1000), is_synced=bool(turn % 2))
            else:
                async with db.transaction() as tx:
                    await tx.execute(TABLE.insert().values(id=turn * 100 + 99, b="y"))
                    await perform(tx, rows(turn * 100, 1000))
            good += 40 + (not turn % 3)
        except Unavailable as error:
            refused += 1
        room(-1)
        assert await count(db) == good, (turn, await count(db), good)
    await db.run(rows(100_000, 10))
    assert await count(db) == good + 40
    print(refused, good)
    await db.close()

asyncio.run(main())
"""


def test_a_disk_that_fills_up_takes_a_whole_script_or_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "x.db")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    refused, good = map(int, done.stdout.split())
    assert refused > 5
    assert good > 100
