"""Rows that are lost, behind or too many, made anew from what stands on an element; and what a check says of them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select, update

from samovar.domains.files.errors import FileUnknown
from samovar.domains.files.model.query import FileQuery
from samovar.domains.files.model.rounds import Extent, Fault, Outcome, RoundKind
from samovar.domains.files.service import Amendment, FileService
from samovar.domains.files.store import tables
from samovar.kernel.errors import Forbidden
from samovar.ports.database import Database
from samovar.ports.elements import RetentionKind
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ADMIN, ANN, BOB, STRANGER, put, read_whole

EVERYTHING = FileQuery()


async def _kept(database: Database) -> dict[str, Any]:
    """All that the tables of files say."""
    said = {}
    async with database.reading() as tx:
        for table in (tables.files, tables.marks, tables.copies, tables.spaces, tables.owners):
            said[table.name] = sorted([repr(row) for row in await tx.execute(select(table))])
    return said


async def _answers(files: FileService) -> list[bytes]:
    """What callers are told, as bytes."""
    told = []
    for query in (
        EVERYTHING,
        FileQuery(tags=("q3",)),
        FileQuery(text="отчёт"),
        FileQuery(custom={"project": "apollo"}),
    ):
        told.append(msgspec.json.encode(await files.reads.page(ADMIN, query, limit=100)))
    for owner in ("person_ann", "person_bob"):
        told.append(msgspec.json.encode(await files.reads.usage(ADMIN, owner)))
    return told


async def _lose(database: Database, *lost: Any) -> None:
    async with database.transaction() as tx:
        for table in lost:
            await tx.execute(delete(table))


ALL = (tables.marks, tables.files, tables.copies, tables.spaces, tables.owners)


@pytest.fixture
async def some(files: FileService) -> list[str]:
    """Files of two owners, on both elements, one of them changed."""
    made = [
        await put(files, ANN, b"one", "Отчёт.txt", tags=("q3", "ü"), custom={"project": "apollo", "n": 1, "x": 0.5}),
        await put(files, BOB, b"two" * 1000, "two.bin", retention=RetentionKind.PERMANENT),
        await put(files, ANN, b"", "empty.txt", custom={"is": True}),
    ]
    await files.changes.amend(ANN, made[0].file_id, Amendment(tags=("q3", "final")), expected=None)
    return [one.file_id for one in made]


async def test_the_tables_thrown_away_and_rebuilt_give_the_same_answers(
    files: FileService, care: Care, database: Database, some: list[str]
) -> None:
    answers, rows = await _answers(files), await _kept(database)
    await _lose(database, *ALL)
    files.memory.clear()
    with pytest.raises(FileUnknown):
        await files.reads.fresh(ANN, some[0])
    for element_id in ("edit", "rw"):
        done = await care(files).rebuilder.run(element_id, Extent.FULL)
        assert done.finished_at is not None
        assert done.report.faults == {Fault.ROW_MISSING: done.report.met}
    assert await _answers(files) == answers
    assert await _kept(database) == rows
    assert await read_whole(files, ANN, some[0]) == b"one"


@pytest.mark.parametrize("lost", ALL[1:], ids=lambda table: table.name)
async def test_any_one_table_is_made_whole(
    files: FileService, care: Care, database: Database, some: list[str], lost: Any
) -> None:
    rows = await _kept(database)
    await _lose(database, lost)
    for element_id in ("edit", "rw"):
        await care(files).rebuilder.run(element_id, Extent.INCREMENTAL)
    assert await _kept(database) == rows


async def test_a_row_that_says_something_else_is_written_anew_by_a_full_rebuild_alone(
    files: FileService, care: Care, database: Database, some: list[str]
) -> None:
    answers = await _answers(files)
    async with database.transaction() as tx:
        await tx.execute(update(tables.files).where(tables.files.c.file_id == some[0]).values(filename="x", owner="y"))
    await files.reads.find(ADMIN, some[0])
    await care(files).rebuilder.run("edit", Extent.INCREMENTAL)
    assert await _answers(files) != answers
    done = await care(files).rebuilder.run("edit", Extent.FULL)
    assert await _answers(files) == answers
    assert done.report.findings[0].fault is Fault.ROW_DIFFERS
    assert "filename" in done.report.findings[0].detail
    # Nor does anybody remember it.
    assert (await files.reads.find(ANN, some[0])).file.attributes.filename == "Отчёт.txt"


async def test_a_row_that_is_behind_catches_up(
    files: FileService, care: Care, database: Database, some: list[str]
) -> None:
    answers = await _answers(files)
    async with database.transaction() as tx:
        mine = tables.files.c.file_id == some[0]
        await tx.execute(update(tables.files).where(mine).values(revision=1, tags=["old"]))
    await care(files).rebuilder.run("edit", Extent.INCREMENTAL)
    assert await _answers(files) == answers


async def test_rows_without_a_file_are_taken_away_and_given_back(
    files: FileService, care: Care, database: Database, some: list[str], tmp_path: Path
) -> None:
    for path in (tmp_path / "files" / "edit").rglob("*Отчёт*"):
        path.unlink()
    done = await care(files).rebuilder.run("edit", Extent.INCREMENTAL)
    assert done.report.outcomes == {Outcome.REMOVED: 1}
    assert done.report.findings[0].file_id == some[0]
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, some[0])
    assert (await files.reads.usage(ANN, "person_ann"))[:2] == (1, 0)


async def test_an_element_that_is_empty_by_mistake_costs_no_rows(
    files: FileService, care: Care, some: list[str], tmp_path: Path
) -> None:
    (tmp_path / "files" / "edit" / "2026").rename(tmp_path / "elsewhere")
    done = await care(files).rebuilder.run("edit", Extent.FULL)
    assert "mounted" in done.report.findings[0].detail
    (tmp_path / "elsewhere").rename(tmp_path / "files" / "edit" / "2026")
    assert await read_whole(files, ANN, some[0]) == b"one"


async def test_a_check_names_all_that_disagrees_and_changes_nothing(
    files: FileService, care: Care, database: Database, some: list[str], tmp_path: Path
) -> None:
    folder = next((tmp_path / "files" / "edit").rglob("*.attr.json")).parent
    lost = await put(files, ANN, b"lost", "lost.txt")
    flipped = await put(files, ANN, b"flipped", "flipped.txt")
    longer = await put(files, ANN, b"longer", "longer.txt")
    for path in folder.glob("lost*"):
        path.unlink()
    _of(folder, "flipped").write_bytes(b"flippeD")
    _of(folder, "longer").write_bytes(b"longer than before")
    (folder / "orphan.bin").write_bytes(b"nobody's")
    (folder / "torn.bin.attr.json").write_bytes(b"{")
    async with database.transaction() as tx:
        await tx.execute(delete(tables.files).where(tables.files.c.file_id == some[2]))
    before = await _kept(database)
    done = await care(files).checker.run("edit", reads_contents=True)
    assert {(one.fault, one.file_id) for one in done.report.findings} == {
        (Fault.FILE_MISSING, lost.file_id),
        (Fault.CONTENT_DIFFERS, flipped.file_id),
        (Fault.CONTENT_DIFFERS, longer.file_id),
        (Fault.ORPHAN, None),
        (Fault.ATTRIBUTES_UNREADABLE, None),
        (Fault.ROW_MISSING, some[2]),
    }
    assert set(done.report.outcomes) == {Outcome.REPORTED}
    assert await _kept(database) == before
    quick = await care(files).checker.run("edit")
    assert quick.report.faults[Fault.CONTENT_DIFFERS] == 1
    assert not (await care(files).checker.run("rw", reads_contents=True)).report.findings


async def test_rounds_are_ordered_as_jobs_by_who_looks_after_elements(files: FileService, care: Care) -> None:
    rounds = care(files).rounds
    for principal in (ANN, STRANGER):
        with pytest.raises(Forbidden):
            await rounds.order(principal, "edit", RoundKind.REBUILD, {"extent": "full"})
    first = await rounds.order(ADMIN, "edit", RoundKind.REBUILD, {"extent": "full"})
    assert (await rounds.order(ADMIN, "edit", RoundKind.REBUILD, {"extent": "full"})).id == first.id
    assert await rounds.report(ADMIN, "edit", RoundKind.CHECK) is None
    await care(files).checker.run("edit")
    found = await rounds.report(ADMIN, "edit", RoundKind.CHECK)
    assert found is not None
    assert found.finished_at is not None


def _of(folder: Path, name: str) -> Path:
    return next(path for path in folder.glob(f"{name}*") if not path.name.endswith(".attr.json"))
