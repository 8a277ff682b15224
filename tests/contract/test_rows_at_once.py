"""Many rows at once, past SQLAlchemy's parameters, on both engines."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from samovar.ports.database import Database, Instant, Json
from samovar.ports.scripts import add_to_rows, insert_rows
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
BOWLS = sa.Table(
    "contract_bowls",
    TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("cups", sa.BigInteger, nullable=False),
    sa.Column("weight", sa.Float, nullable=False),
)


@pytest.fixture
async def db(database: Database) -> AsyncIterator[Database]:
    """The database with the two tables of this suite."""
    async with standing(database, TABLES) as found:
        yield found


async def test_many_rows_at_once_are_read_as_they_were_written_and_stand_once(db: Database) -> None:
    at = datetime(2026, 11, 21, 12, 30, 0, 5, tzinfo=UTC)
    more = {"чай": ["\u2028", 1.5, None, 2**53]}
    first = ["a", 2**62, int(at.timestamp()) * 1_000_000 + 5, msgspec.json.encode(more).decode()]
    rows = [first, ["b", -3, None, None], ["a", 9, None, None], *([str(n), n, None, None] for n in range(2_700))]
    async with db.transaction() as tx:
        await insert_rows(tx, POTS, rows, keys=("id",))
        await insert_rows(tx, POTS, rows[:1], keys=("id",))
    async with db.reading() as tx:
        found = (await tx.execute(sa.select(POTS))).all()
    numbered = [(str(n), n, None, None) for n in range(2_700)]
    assert sorted(tuple(row) for row in found) == [*sorted(numbered), ("a", 2**62, at, more), ("b", -3, None, None)]


async def test_rows_that_are_there_grow_by_those_that_are_added(db: Database) -> None:
    more = [["7", 2**62, 0.25], ["x", -3, 1.0], *([str(n), 1, 1.0] for n in range(8, 300))]
    async with db.transaction() as tx:
        await add_to_rows(tx, BOWLS, [[str(n), n, 0.5] for n in range(300)], keys=("id",))
        await add_to_rows(tx, BOWLS, more, keys=("id",))
    async with db.reading() as tx:
        found = {row.id: (row.cups, row.weight) for row in await tx.execute(sa.select(BOWLS))}
    grown = {str(n): (n + 1, 1.5) for n in range(8, 300)}
    assert found == {str(n): (n, 0.5) for n in range(7)} | {"7": (7 + 2**62, 0.75), "x": (-3, 1.0)} | grown


async def test_a_row_that_is_refused_is_told_and_nothing_of_its_transaction_stays(db: Database) -> None:
    rows: list[list[object]] = [["a", 1, 1.0], *([str(n), 1, 1.0] for n in range(300))]
    with pytest.raises(IntegrityError):
        async with db.transaction() as tx:
            await add_to_rows(tx, BOWLS, [*rows, ["refused", None, 1.0]], keys=("id",))
    async with db.transaction() as tx:
        await add_to_rows(tx, BOWLS, rows, keys=("id",))
    async with db.reading() as tx:
        assert await tx.scalar(sa.select(sa.func.sum(BOWLS.c.cups))) == 301
