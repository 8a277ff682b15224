"""What one engine backed up, either engine restores: row for row, key for key, to the last credit."""

import asyncio
import gzip
import io
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from samovar.adapters.alembic import rebuilding
from samovar.app.adapters import database as database_of
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.domains.identity.model import administrator
from samovar.domains.operations.errors import BackupTooNew, NotEmpty, OtherMasterKey, RowRefused
from samovar.kernel.errors import SamovarError
from samovar.ports.database import OF_THIS_PLACE
from tests.support.archives import archive
from tests.support.installations import call, fill, running, say, settings_at
from tests.support.servers import POSTGRES_URL, on_postgres
from tests.support.tables import all_tables

# Of these no request of a test makes a row that stays.
MAY_BE_EMPTY = {"file_holds", "file_outbox", "file_uploads", "storage_rounds"}


VALUE_OF = {"text": "x", "integer": 1, "number": 1.5, "instant": "2026-11-01T00:00:00Z"}
SUMS_OF_0008 = {
    **dict.fromkeys(("team_id", "model", "provider", "principal_id", "surface", "status"), "text"),
    "at": "instant",
    **dict.fromkeys(("calls", "unpriced_calls", "estimated_calls", "cost_nano_usd"), "integer"),
    **dict.fromkeys(("input_tokens", "output_tokens", "cached_input_tokens"), "integer"),
    **dict.fromkeys(("cache_write_tokens", "reasoning_tokens"), "integer"),
    **dict.fromkeys(("duration_ms", "overhead_ms"), "number"),
    **{f"duration_{place}": "integer" for place in range(17)},
    **{f"overhead_{place}": "integer" for place in range(10)},
}

NewUrl = Callable[[str], Awaitable[str]]


@pytest.fixture
def new_url(tmp_path: Path, run_name: str, empty_postgres_url: str) -> Iterator[NewUrl]:
    """The URL of a new, empty database on the engine named."""
    made: list[str] = []

    async def new(engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{tmp_path / os.urandom(3).hex()}.db"
        made.append(f"{run_name}_{os.urandom(3).hex()}")
        await asyncio.to_thread(on_postgres, f'CREATE DATABASE "{made[-1]}"')
        return f"{POSTGRES_URL}/{made[-1]}"

    yield new
    for name in made:
        on_postgres(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def migrated(settings: Settings) -> None:
    async with rebuilding(settings.database) as rebuild:
        await rebuild.upgrade(rebuild.newest)


async def back_up(settings: Settings) -> bytes:
    services = Services(settings)
    desk = services.backups
    whole = b"".join([piece async for piece in desk.service.draft(desk.principal).content])
    await services.database.close()
    return whole


async def prune(settings: Settings) -> None:
    """Let the audit chain begin with the record of that."""
    services = Services(settings)
    async with services.audit.running():
        assert await services.audit.service.prune(administrator(), service="tests", keep=timedelta(microseconds=1))
    await services.database.close()


async def restore(settings: Settings, backup: bytes, *, replace: bool = False) -> dict[str, int]:
    services = Services(settings)
    rebuilder = partial(rebuilding, settings.database)
    try:
        return (await services.backups.service.restore(pieces(backup), rebuilder, replace=replace)).rows
    finally:
        await services.database.close()


async def pieces(backup: bytes, size_bytes: int = 70_001) -> AsyncIterator[bytes]:
    for at in range(0, len(backup), size_bytes):
        yield backup[at : at + size_bytes]


async def rows_of(settings: Settings) -> dict[str, list[Any]]:
    """Every row of every table, as Python sees it, but for what tells of the place where it stands."""
    database = database_of(settings)
    found = {}
    async with database.reading() as tx:
        for table in all_tables().sorted_tables:
            columns = [one for one in table.columns if one.info != OF_THIS_PLACE]
            found[table.name] = sorted((tuple(row) for row in await tx.execute(select(*columns))), key=repr)
    await database.close()
    return found


def parts_of(backup: bytes) -> dict[str, bytes]:
    """The lines of each table."""
    with tarfile.open(fileobj=io.BytesIO(backup)) as tar:
        files = {one.name: tar.extractfile(one) for one in tar}
        return {name: gzip.decompress(file.read()) for name, file in files.items() if file and name.endswith(".gz")}


@pytest.mark.parametrize(("origin", "other"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
async def test_everything_moves_to_the_other_engine_and_back(
    origin: str, other: str, new_url: NewUrl, tmp_path: Path
) -> None:
    first = settings_at(tmp_path / "first", await new_url(origin))
    await migrated(first)
    async with running(first) as served:
        key = await fill(served)
    await prune(first)
    standing = await rows_of(first)
    assert {name for name, rows in standing.items() if not rows} <= MAY_BE_EMPTY
    backup = await back_up(first)

    (tmp_path / "second").mkdir()
    shutil.copy(tmp_path / "first" / "master.key", tmp_path / "second")
    second = settings_at(tmp_path / "second", await new_url(other))
    counts = await restore(second, backup)
    assert counts == {name: len(rows) for name, rows in standing.items()}
    assert await rows_of(second) == standing

    third = settings_at(tmp_path / "second", await new_url(origin))
    await restore(third, await back_up(second))
    assert await rows_of(third) == standing
    assert parts_of(await back_up(third)) == parts_of(backup)

    async with running(second) as served:
        assert (await call(served, key))["choices"]
        assert (await say(served, "GET", "/api/ledger/check"))["differences"] == []
        hints = [one["key_hint"] for one in (await say(served, "GET", "/api/providers"))["items"]]
        assert any(hint and hint.endswith("mine") for hint in hints)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_a_database_that_holds_something_is_replaced_only_when_told_so(
    engine: str, new_url: NewUrl, tmp_path: Path
) -> None:
    settings = settings_at(tmp_path, await new_url(engine))
    await migrated(settings)
    async with running(settings) as served:
        await say(served, "POST", "/api/wallets", {"name": "before", "credits": "5"})
    backup = await back_up(settings)
    standing = await rows_of(settings)
    async with running(settings) as served:
        await say(served, "POST", "/api/wallets", {"name": "after", "credits": "5"})
    with pytest.raises(NotEmpty):
        await restore(settings, backup)
    assert len((await rows_of(settings))["wallets"]) == 2
    await restore(settings, backup, replace=True)
    assert await rows_of(settings) == standing


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_a_restore_that_breaks_off_leaves_the_database_as_it_was(
    engine: str, new_url: NewUrl, tmp_path: Path
) -> None:
    settings = settings_at(tmp_path, await new_url(engine))
    await migrated(settings)
    async with running(settings) as served:
        await fill(served)
    backup = await back_up(settings)
    standing = await rows_of(settings)
    with pytest.raises(SamovarError, match="cut short"):
        await restore(settings, backup[:-1024], replace=True)
    assert await rows_of(settings) == standing


async def test_another_master_key_is_told_before_anything_is_touched(new_url: NewUrl, tmp_path: Path) -> None:
    first = settings_at(tmp_path / "first", await new_url("sqlite"))
    (tmp_path / "first").mkdir()
    await migrated(first)
    backup = await back_up(first)
    second = settings_at(tmp_path / "second", f"sqlite:///{tmp_path}/none/none.db")
    with pytest.raises(OtherMasterKey, match="another master key"):
        await restore(second, backup)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_a_backup_of_an_older_version_is_brought_up_to_date(engine: str, new_url: NewUrl, tmp_path: Path) -> None:
    """Made by hand, as 0008 made it: before prompts, jobs, and the longer keys of the sums."""
    settings = settings_at(tmp_path, await new_url(engine))
    services = Services(settings)
    check = services.box.check_value
    await services.database.close()
    columns = {
        "teams": {"id": "text", "name": "text", "created_at": "instant"},
        "usage_daily": SUMS_OF_0008,
    }
    rows = {
        "teams": [["default", "Default team", "2026-11-01T00:00:00Z"]],
        "usage_daily": [[VALUE_OF[kind] for kind in SUMS_OF_0008.values()]],
    }
    await restore(settings, archive("0008", check, columns, rows))
    standing = await rows_of(settings)
    assert [row[:2] for row in standing["teams"]] == [("default", "Default team")]
    assert len(standing["usage_daily"]) == 1
    async with running(settings) as served:
        await fill(served)


async def test_a_backup_of_a_newer_version_is_refused(new_url: NewUrl, tmp_path: Path) -> None:
    settings = settings_at(tmp_path, await new_url("sqlite"))
    services = Services(settings)
    check = services.box.check_value
    await services.database.close()
    with pytest.raises(BackupTooNew, match="9999"):
        await restore(settings, archive("9999", check, {}, {}))


async def test_a_row_that_points_to_nothing_is_refused(new_url: NewUrl, tmp_path: Path) -> None:
    for engine in ("sqlite", "postgresql"):
        settings = settings_at(tmp_path, await new_url(engine))
        services = Services(settings)
        check = services.box.check_value
        await services.database.close()
        columns = {"catalog_versions": {"team_id": "text", "version": "integer"}}
        with pytest.raises(RowRefused, match="catalog_versions"):
            await restore(settings, archive("0013", check, columns, {"catalog_versions": [["nobody", 1]]}))
