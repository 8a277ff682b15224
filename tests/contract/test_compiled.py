"""What SQLite is asked is put together once."""

from pathlib import Path

import sqlalchemy as sa

from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.sqlite.compiled import compiled_once


async def ask(database: SqliteDatabase, number: int) -> list[int]:
    """Of the writer, of the one that syncs less, and of a reader."""
    found = []
    for begin in (database.transaction, database.visible, database.reading):
        async with begin() as tx:
            asked = sa.select(sa.literal(number).label("asked_in_three_ways"))
            found.append((await tx.execute(asked)).mappings().one()["asked_in_three_ways"])
    return found


async def test_a_statement_is_put_together_once_for_all_connections_of_all_files(tmp_path: Path) -> None:
    for number in range(2):
        database = SqliteDatabase(tmp_path / f"{number}.db")
        assert await ask(database, number) == [number] * 3
        await database.close()
    assert sum("asked_in_three_ways" in str(kept) for kept in compiled_once().values()) == 1
