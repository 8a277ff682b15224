"""No bit of a backup changes and no byte is lost without being found."""

import asyncio
import gzip
import io
import tarfile
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from samovar.adapters.sqlite import SqliteDatabase
from samovar.domains.operations.errors import BackupDamaged, BackupTooNew
from samovar.domains.operations.model.archive import Framer
from samovar.domains.operations.model.backups import ColumnKind
from samovar.domains.operations.service.backups.reading import ArchiveReader
from samovar.domains.operations.service.backups.writing import write_archive
from tests.support.clock import ManualClock
from tests.support.tables import all_tables

KEY = "ab" * 32
PLACES = st.integers(0, 2**24)
"""In a backup, modulo its length."""


async def pieces(content: bytes, size_bytes: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size_bytes):
        yield content[at : at + size_bytes]


async def problems_of(backup: bytes) -> list[str]:
    """All that is wrong; what leaves no way on is the last."""
    problems: list[str] = []
    reader = ArchiveReader(pieces(backup), found=problems.append)
    try:
        async for _ in reader.parts(await reader.open()):
            pass
    except BackupDamaged as error:
        problems.append(error.detail)
    return problems


@pytest.fixture
async def backup(sqlite_database: SqliteDatabase, clock: ManualClock) -> bytes:
    """A small one with rows of several kinds."""
    tables = all_tables().tables
    async with sqlite_database.transaction() as tx:
        await tx.execute(insert(tables["teams"]).values(id="t", name="Команда", created_at=clock.now()))
        row = {"team_id": "t", "version": 2**60}
        await tx.execute(insert(tables["catalog_versions"]).values(**row))
        copy = {"master_key_check": KEY, "sealed": b"\x00\xff" * 40, "created_at": clock.now()}
        await tx.execute(insert(tables["recovery_copies"]).values(**copy))
    return await made(sqlite_database, clock)


async def made(database: SqliteDatabase, clock: ManualClock) -> bytes:
    stream = write_archive(database, samovar="1.0", at=clock.now(), master_key_check=KEY)
    return b"".join([piece async for piece in stream])


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for many examples."""
    with asyncio.Runner() as runner:
        yield runner


async def test_a_whole_backup_has_no_problems(backup: bytes) -> None:
    assert await problems_of(backup) == []


async def test_the_same_rows_give_the_same_bytes(
    backup: bytes, sqlite_database: SqliteDatabase, clock: ManualClock
) -> None:
    assert await made(sqlite_database, clock) == backup


async def test_ordinary_programs_read_it(backup: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(backup)) as tar:
        names = tar.getnames()
        teams = tar.extractfile("tables/teams/000000.jsonl.gz")
        assert teams is not None
        assert gzip.decompress(teams.read()) == '["t","Команда","2026-11-21T12:00:00Z"]\n'.encode()
    assert names[:2] == ["manifest.json", "recovery.age"]
    assert names[-2:] == ["sums.json", "seal.sha256"]


# All is drawn before the test begins, and whatever the backup's length: a test that its time limit cuts short between two
# draws looks to Hypothesis like one whose data depend on something else.
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=PLACES, bit=st.integers(0, 7))
def test_any_bit_that_is_changed_is_found(runner: asyncio.Runner, backup: bytes, place: int, bit: int) -> None:
    at = place % len(backup)
    changed = backup[:at] + bytes([backup[at] ^ 1 << bit]) + backup[at + 1 :]
    assert runner.run(problems_of(changed))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=PLACES, unit_bytes=st.sampled_from([1, 512]))
def test_any_end_that_is_missing_is_found(runner: asyncio.Runner, backup: bytes, place: int, unit_bytes: int) -> None:
    end = place * unit_bytes % len(backup)
    assert "cut short" in runner.run(problems_of(backup[:end]))[-1]


async def test_what_stands_behind_the_end_is_found(backup: bytes) -> None:
    assert "goes on after its end" in (await problems_of(backup + b"x"))[-1]


async def test_a_damaged_part_is_named_and_the_rest_is_read(backup: bytes) -> None:
    at = backup.index(b"tables/teams/000000") + 512 + 20
    changed = backup[:at] + bytes([backup[at] ^ 1]) + backup[at + 1 :]
    found = "\n".join(await problems_of(changed))
    assert "tables/teams/000000.jsonl.gz" in found
    assert "catalog_versions" not in found


async def test_parts_cannot_change_places_or_be_left_out(backup: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(backup)) as tar:
        files = [(one.name, file.read()) for one in tar if (file := tar.extractfile(one))][:-1]

    def framed(entries: list[tuple[str, bytes]]) -> bytes:
        framer = Framer(modified_at=0)
        return b"".join(framer.entry(name, content) for name, content in entries) + framer.end()

    assert await problems_of(framed(files)) == []
    left_out = await problems_of(framed([one for one in files if not one[0].startswith("tables/teams")]))
    assert any("is missing" in problem for problem in left_out)
    assert any("'teams' has 0 rows here, and had 1" in problem for problem in left_out)
    tables = [one for one in files if one[0].startswith("tables/")]
    swapped = [*files[:2], *reversed(tables), files[-1]]
    assert any("does not belong there" in problem for problem in await problems_of(framed(swapped)))


async def test_a_backup_of_a_later_format_says_so(backup: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(backup)) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        later = manifest.read().replace(b'"version": 1,', b'"version": 2, "more": [],')
    framer = Framer(modified_at=0)
    reader = ArchiveReader(pieces(framer.entry("manifest.json", later) + framer.end()), found=lambda _: None)
    with pytest.raises(BackupTooNew):
        await reader.open()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(2000), b"x" * 10_000, bytes(10_240)])
async def test_what_is_no_backup_is_told_so(content: bytes) -> None:
    assert await problems_of(content)


def test_every_column_of_every_table_can_be_written_down() -> None:
    from samovar.domains.operations.store import backups as store

    all_tables()
    kinds = {column.kind for shape in store.shapes() for column in shape.columns}
    assert kinds <= set(ColumnKind)
    assert {"installation", "ledger", "gateway_keys", "jobs", "recovery_copies"} <= {one.name for one in store.shapes()}
