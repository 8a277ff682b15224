"""The stream of revisions, on both engines."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from samovar.adapters.alembic import MigrationFailed, SchemaTooNew, current, draft, head, migrate, scripts_folder
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.domains.usage.model import UsageRow, row_of
from samovar.domains.usage.model.sums import Sums
from samovar.domains.usage.model.users import Labels
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database, Instant, Json
from tests.domains.usage.calls import event
from tests.support.servers import POSTGRES_URL, on_postgres
from tests.support.sockets import closed_port
from tests.support.tables import all_tables

_OF_THE_ENGINES = ("prompt_search", "ix_prompts_search", "file_search", "ix_files_file_search")
"""Full text search: each engine has its own, made by the migrations and known to no table."""

FIRST = '''
"""First."""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0001", None
def upgrade():
    op.create_table("pot", sa.Column("id", sa.Integer, primary_key=True))
    op.create_table("lid", sa.Column("id", sa.Integer, sa.ForeignKey("pot.id", ondelete="CASCADE"), primary_key=True))
    op.execute("INSERT INTO pot VALUES (1)")
    op.execute("INSERT INTO lid VALUES (1)")
'''
SECOND = '''
"""Second."""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0002", "0001"
def upgrade():
    with op.batch_alter_table("pot", recreate="auto") as pot:
        pot.add_column(sa.Column("litres", sa.Integer, nullable=False, server_default="3"))
        pot.create_check_constraint("litres_positive", "litres > 0")
'''
BROKEN = '''
"""Third."""
from alembic import op
revision, down_revision = "0003", "0002"
def upgrade():
    op.execute("CREATE TABLE half (id INTEGER)")
    op.execute("INSERT INTO nowhere VALUES (1)")
'''


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, run_name: str) -> Iterator[str]:
    """An empty database of the test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'migrated.db'}"
        return
    request.getfixturevalue("empty_postgres_url")  # Skips where PostgreSQL does not answer.
    name = f"{run_name}_{os.urandom(3).hex()}"
    on_postgres(f'CREATE DATABASE "{name}"')
    yield f"{POSTGRES_URL}/{name}"
    on_postgres(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A stream of two revisions."""
    folder = tmp_path / "stream"
    (folder / "versions").mkdir(parents=True)
    for name in ("env.py", "script.py.mako"):
        shutil.copy(scripts_folder() / name, folder)
    (folder / "versions/0001_first.py").write_text(FIRST)
    (folder / "versions/0002_second.py").write_text(SECOND)
    return folder


def opened(url: str) -> Database:
    if url.startswith("sqlite"):
        return SqliteDatabase(Path(url.removeprefix("sqlite:///")))
    return PostgresDatabase(url)


async def answer(url: str, question: str) -> object:
    database = opened(url)
    try:
        async with database.reading() as tx:
            return await tx.scalar(sa.text(question))
    finally:
        await database.close()


async def test_an_empty_database_is_brought_up_to_date_once(url: str, scripts: Path) -> None:
    assert await current(url) is None
    assert await migrate(url, scripts=scripts) == ["0001", "0002"]
    assert await current(url) == head(scripts) == "0002"
    assert await migrate(url, scripts=scripts) == []


async def test_a_rebuilt_table_keeps_the_rows_that_point_to_it(url: str, scripts: Path) -> None:
    await migrate(url, scripts=scripts)
    assert await answer(url, "SELECT litres FROM pot") == 3
    assert await answer(url, "SELECT count(*) FROM lid") == 1


async def test_only_what_is_missing_is_applied(url: str, scripts: Path) -> None:
    second = scripts / "versions/0002_second.py"
    second.rename(scripts / "second")
    assert await migrate(url, scripts=scripts) == ["0001"]
    (scripts / "second").rename(second)
    assert await migrate(url, scripts=scripts) == ["0002"]


async def test_processes_that_start_at_once_do_not_collide(url: str, scripts: Path) -> None:
    applied = await asyncio.gather(*(migrate(url, scripts=scripts) for _ in range(4)))
    assert sorted(applied) == [[], [], [], ["0001", "0002"]]


async def test_a_revision_that_fails_leaves_nothing_behind(url: str, scripts: Path) -> None:
    await migrate(url, scripts=scripts)
    (scripts / "versions/0003_broken.py").write_text(BROKEN)
    with pytest.raises(MigrationFailed, match="nowhere"):
        await migrate(url, scripts=scripts)
    assert await current(url) == "0002"
    catalogue = "sqlite_master WHERE name" if url.startswith("sqlite") else "pg_tables WHERE tablename"
    assert await answer(url, f"SELECT count(*) FROM {catalogue} = 'half'") == 0


async def test_a_database_of_a_newer_version_is_left_alone(url: str, scripts: Path) -> None:
    await migrate(url, scripts=scripts)
    (scripts / "versions/0002_second.py").unlink()
    with pytest.raises(SchemaTooNew, match="0002"):
        await migrate(url, scripts=scripts)


async def test_a_lock_that_is_never_freed_is_not_waited_for_for_ever(url: str, scripts: Path) -> None:
    database = opened(url)
    async with database.transaction() as tx:
        if database.engine == "postgresql":
            lock = int.from_bytes(b"samovar", "big")
            await tx.execute(sa.text(f"SELECT pg_advisory_xact_lock({lock})"))
        with pytest.raises(Unavailable, match="lock"):
            await migrate(url, scripts=scripts, wait_s=0.2)
    await database.close()


async def test_a_dead_server_is_unavailable(scripts: Path) -> None:
    with pytest.raises(Unavailable):
        await migrate(f"postgresql://127.0.0.1:{closed_port()}/samovar", scripts=scripts)


async def test_a_drafted_revision_makes_the_tables_it_was_drafted_from(url: str, scripts: Path) -> None:
    await migrate(url, scripts=scripts)
    wanted = sa.MetaData()
    database = opened(url)
    async with database.reading() as tx:
        await tx.run_sync(lambda connection: wanted.reflect(connection, only=["pot", "lid"]))
    sa.Table("cup", wanted, sa.Column("at", Instant, primary_key=True), sa.Column("more", Json, nullable=True))
    path = await draft(url, message="Add cups", metadata=wanted, scripts=scripts)
    assert path.name == "0003_add_cups.py"
    assert await migrate(url, scripts=scripts) == ["0003"]
    assert await differences(database, wanted) == []
    await database.close()


# --- Samovar's own stream -------------------------------------------------------------------------------------------


async def differences(database: Database, wanted: sa.MetaData) -> list[object]:
    def compared(connection: sa.Connection) -> list[object]:
        # Full text search has its own way on each engine, and is not declared: tests of lists see that it is there.
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: not (name or "").startswith(_OF_THE_ENGINES),
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), wanted))

    async with database.reading() as tx:
        return await tx.run_sync(compared)


async def test_the_migrations_make_exactly_the_tables_the_stores_declare(url: str) -> None:
    await migrate(url)
    database = opened(url)
    try:
        assert await differences(database, all_tables()) == []
    finally:
        await database.close()


def test_the_stream_is_one_line_whose_names_are_its_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts_folder()))
    config.set_main_option("path_separator", "os")
    revisions = list(ScriptDirectory.from_config(config).walk_revisions())
    assert all(Path(revision.path).name.startswith(f"{revision.revision}_") for revision in revisions)
    assert [revision.revision for revision in reversed(revisions)] == [f"{n + 1:04d}" for n in range(len(revisions))]


def stream_before(revision: str, folder: Path) -> Path:
    """The project's own stream as it was before this revision."""
    shutil.copytree(scripts_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    for script in (folder / "versions").glob("*.py"):
        if script.name >= revision:
            script.unlink()
    return folder


async def test_what_was_summed_before_projects_and_prompts_were_noted_is_of_none(url: str, tmp_path: Path) -> None:
    await migrate(url, scripts=stream_before("0011", tmp_path / "before"))
    database = opened(url)
    try:
        async with database.transaction() as tx:
            columns = await tx.run_sync(columns_of("usage_hourly"))
            names = [str(column["name"]) for column in columns]
            listed = ", ".join("'x'" if isinstance(column["type"], sa.String) else "7" for column in columns)
            await tx.exec_driver_sql(f"INSERT INTO usage_hourly ({', '.join(names)}) VALUES ({listed})")
    finally:
        await database.close()
    await migrate(url)
    told = (
        "SELECT calls || project_id || '|' || user_id || '|' || route || '|' || prompt_id FROM usage_hourly"
        " WHERE team_id = 'x'"
    )
    assert await answer(url, told) == "7|||0"


async def test_batches_that_waited_to_be_summed_are_summed_by_the_migration(url: str, tmp_path: Path) -> None:
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    calls = [
        event(
            number, started_at=noon + timedelta(minutes=25 * number), duration_ms=10.0 * number, model=f"m{number % 3}"
        )
        for number in range(6)
    ]
    rows = [row_of(one, Labels()) for one in calls]
    summed = Sums()
    summed.add(rows)
    await migrate(url, scripts=stream_before("0023", tmp_path / "before"))
    database = opened(url)
    names = UsageRow._fields
    listed = ", ".join(f":{name}" for name in names)
    try:
        async with database.transaction() as tx:
            for row in rows:
                adding = f"INSERT INTO usage_events ({', '.join(names)}) VALUES ({listed})"
                await tx.execute(sa.text(adding), row._asdict())
            for number, ids in enumerate((rows[:4], rows[4:])):
                noted = {"id": str(number), "ids": json.dumps([row.id for row in ids])}
                await tx.execute(sa.text("INSERT INTO usage_unsummed VALUES (:id, 0, :ids)"), noted)
    finally:
        await database.close()
    await migrate(url)
    database = opened(url)
    try:
        async with database.reading() as tx:
            for table, expected in (("usage_hourly", summed.hours()), ("usage_daily", summed.days())):
                columns = ", ".join(str(column["name"]) for column in await tx.run_sync(columns_of(table)))
                found = await tx.execute(sa.text(f"SELECT {columns} FROM {table} ORDER BY team_id, at, model"))
                assert [tuple(row) for row in found] == expected
    finally:
        await database.close()


def columns_of(table: str) -> Callable[[sa.Connection], list[Any]]:
    return lambda connection: list(sa.inspect(connection).get_columns(table))


async def test_words_with_marks_are_found_without_them_after_the_migration(url: str, tmp_path: Path) -> None:
    """The columns that nothing here reads get whatever fits."""
    await migrate(url, scripts=stream_before("0026", tmp_path / "before"))
    database = opened(url)
    old = {0: "café отчет résumé", 7: "plain words", 9: "iй þorn smørrebrød"}
    try:
        async with database.transaction() as tx:
            columns = await tx.run_sync(columns_of("files"))
            for number, stems in old.items():
                row = {str(one["name"]): _anything(one, number) for one in columns if "computed" not in one}
                row |= {"number": number, "stems": stems}
                names = ", ".join(row)
                values = ", ".join(f":{name}" for name in row)
                await tx.execute(sa.text(f"INSERT INTO files ({names}) VALUES ({values})"), row)
    finally:
        await database.close()
    await migrate(url)
    database = opened(url)
    try:
        async with database.reading() as tx:
            rows = await tx.execute(sa.text("SELECT number, stems FROM files ORDER BY number"))
            found = {row.number: row.stems for row in rows}
            words = "file_search MATCH 'smorrebrod'" if url.startswith("sqlite") else "file_search @@ 'smorrebrod'"
            table = "file_search" if url.startswith("sqlite") else "files"
            assert (await tx.execute(sa.text(f"SELECT count(*) FROM {table} WHERE {words}"))).scalar_one() == 1
    finally:
        await database.close()
    assert found == {0: "cafe отчет resum", 7: "plain words", 9: "iй thorn smorrebrod"}


def _anything(column: Any, number: int) -> Any:
    kind = column["type"]
    if column["nullable"]:
        return None
    if isinstance(kind, sa.Boolean):
        return False
    if isinstance(kind, sa.Integer):
        return number
    if isinstance(kind, sa.DateTime):
        return datetime(2026, 11, 21, tzinfo=UTC)
    return str(number) if isinstance(kind, sa.String) else "{}"
