"""Bits that flip are found, set aside whole, and made anew from a replica; what has none is marked."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from samovar.domains.files.errors import ContentAway
from samovar.domains.files.model.records import CopyState, FileAnswer
from samovar.domains.files.model.rounds import Extent, Fault, Outcome, RoundKind
from samovar.domains.files.service import Amendment, FileService
from samovar.domains.files.store import rounds, tables
from samovar.ports.database import Database
from samovar.ports.elements import RetentionKind
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ADMIN, ANN, put, read_whole
from tests.support.clock import ManualClock

PERMANENT = RetentionKind.PERMANENT


async def _twice(files: FileService, care: Care, content: bytes = b"precious", name: str = "a.txt") -> FileAnswer:
    """A file on rw, and its replica on edit."""
    made = await put(files, ANN, content, name, retention=PERMANENT, replicas=2, tags=("x",))
    await care(files).replicas.tend("default", made.file_id)
    return made


async def _states(files: FileService, file_id: str) -> dict[str, CopyState]:
    files.memory.clear()
    return {copy.element_id: copy.state for copy in (await files.reads.find(ANN, file_id)).file.copies}


@pytest.mark.parametrize("element_id", ["rw", "edit"])
@pytest.mark.parametrize("what", ["content", "attributes", "content is gone", "both are gone"])
async def test_what_is_damaged_is_found_set_aside_and_repaired_from_the_other_copy(
    files: FileService, care: Care, tmp_path: Path, element_id: str, what: str
) -> None:
    made, other = await _twice(files, care), await _twice(files, care, b"other", "other.txt")
    content = _content(tmp_path, element_id, "a_")
    attributes = Path(f"{content}.attr.json")
    if what == "content":
        _flip(content)
    elif what == "attributes":
        _flip(attributes)
    else:
        _take_away(content, with_attributes=what == "both are gone")
    done = await care(files).scrubber.run(element_id)
    assert [(one.file_id, one.outcome) for one in done.report.findings] == [(made.file_id, Outcome.REPAIRED)]
    assert content.read_bytes() == b"precious"
    assert await _states(files, made.file_id) == {"rw": CopyState.GOOD, "edit": CopyState.GOOD}
    assert await read_whole(files, ANN, made.file_id) == b"precious"
    assert await read_whole(files, ANN, other.file_id) == b"other"
    aside = [path.name for path in (tmp_path / "files" / element_id / ".element" / "quarantine").rglob("*.json")]
    assert ("reason.json" in aside) == (what != "both are gone")
    for scrubbed in ("rw", "edit"):
        assert not (await care(files).scrubber.run(scrubbed)).report.findings
        assert not (await care(files).rebuilder.run(scrubbed, Extent.FULL)).report.findings


async def test_what_has_no_replica_is_set_aside_and_its_row_says_so(
    files: FileService, care: Care, tmp_path: Path
) -> None:
    made = await put(files, ANN, b"alone", "a.txt")
    _flip(_content(tmp_path, "edit", "a_"))
    caring = care(files)
    done = await caring.scrubber.run("edit")
    assert done.report.outcomes == {Outcome.QUARANTINED: 1}
    assert caring.figures().scrub_findings == {(Fault.CONTENT_DIFFERS, Outcome.QUARANTINED): 1}
    assert await _states(files, made.file_id) == {"edit": CopyState.DAMAGED}
    with pytest.raises(ContentAway):
        await read_whole(files, ANN, made.file_id)
    # Nothing was deleted, and the mark outlives a rebuild.
    (kept,) = (tmp_path / "files" / "edit" / ".element" / "quarantine").rglob("content")
    assert len(kept.read_bytes()) == 5
    await put(files, ANN, b"other", "other.txt")
    await caring.rebuilder.run("edit", Extent.FULL)
    assert await _states(files, made.file_id) == {"edit": CopyState.DAMAGED}


async def test_a_round_goes_on_where_it_was_left(
    files: FileService, care: Care, database: Database, clock: ManualClock
) -> None:
    made = [await put(files, ANN, b"x" * 10, f"{name}.txt") for name in "abc"]
    paths = [(await files.reads.find(ANN, one.file_id)).file.attributes.path for one in made]
    first = await care(files).scrubber.run("edit")
    assert (first.report.met, first.report.read_bytes) == (3, 30)
    clock.advance(60)
    async with database.transaction() as tx:
        half = await rounds.last(tx, "edit", RoundKind.SCRUB)
        assert half is not None
        await tx.execute(update(tables.rounds).values(cursor=paths[1], finished_at=None))
    again = await care(files).scrubber.run("edit")
    # The rest of the same round: its start, its count, and one file more.
    assert (again.started_at, again.report.met) == (first.started_at, 4)
    assert again.finished_at is not None
    report = await care(files).rounds.report(ADMIN, "edit", RoundKind.SCRUB)
    assert report == again
    clock.advance(60)
    assert (await care(files).scrubber.run("edit")).report.met == 3


async def test_rows_that_are_behind_or_lost_are_mended(files: FileService, care: Care, database: Database) -> None:
    lost, behind = await put(files, ANN, b"1", "lost.txt"), await put(files, ANN, b"2", "behind.txt")
    await files.changes.amend(ANN, behind.file_id, Amendment(tags=("new",)), expected=None)
    async with database.transaction() as tx:
        await tx.execute(delete(tables.files).where(tables.files.c.file_id == lost.file_id))
        old = update(tables.files).where(tables.files.c.file_id == behind.file_id)
        await tx.execute(old.values(revision=1, tags=[]))
    done = await care(files).scrubber.run("edit")
    assert done.report.outcomes == {Outcome.MENDED: 2}
    files.memory.clear()
    assert (await files.reads.find(ANN, behind.file_id)).file.attributes.tags == ("new",)
    assert await read_whole(files, ANN, lost.file_id) == b"1"


async def test_a_replica_whose_original_is_nowhere_becomes_the_original(
    files: FileService, care: Care, database: Database, tmp_path: Path
) -> None:
    made = await _twice(files, care)
    content = _content(tmp_path, "rw", "a_")
    _take_away(content)
    async with database.transaction() as tx:
        for table in (tables.marks, tables.files, tables.copies, tables.owners, tables.spaces):
            await tx.execute(delete(table))
    files.memory.clear()
    for element_id in ("edit", "rw"):
        await care(files).rebuilder.run(element_id, Extent.FULL)
    done = await care(files).scrubber.run("edit")
    assert done.report.outcomes == {Outcome.REPAIRED: 1}
    assert await read_whole(files, ANN, made.file_id) == b"precious"


async def test_an_orphan_is_reported_and_left(files: FileService, care: Care, tmp_path: Path) -> None:
    orphan = tmp_path / "files" / "edit" / "2026" / "nobody.bin"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"?")
    done = await care(files).scrubber.run("edit")
    assert [(one.fault, one.outcome) for one in done.report.findings] == [(Fault.ORPHAN, Outcome.REPORTED)]
    assert orphan.exists()


async def test_a_round_reads_no_faster_than_it_may(files: FileService, care: Care) -> None:
    await put(files, ANN, b"x" * 1000, "a.bin")
    loop_time = asyncio.get_running_loop().time
    began = loop_time()
    await care(files, read_bytes_per_s=5_000).scrubber.run("edit")
    assert loop_time() - began >= 0.19


async def test_a_round_over_each_element_is_a_job_of_its_own(files: FileService, care: Care) -> None:
    await care(files).scrubber.order_all()
    await care(files).scrubber.order_all()
    assert sorted(payload["element_id"] for _, payload in await care.ordered()) == ["edit", "rw"]


def _flip(path: Path) -> None:
    """One bit, as a disk does it."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x80
    path.write_bytes(raw)


def _content(tmp_path: Path, element_id: str, start: str) -> Path:
    (found,) = [
        path
        for path in (tmp_path / "files" / element_id / "2026").rglob(f"{start}*")
        if not path.name.endswith(".attr.json")
    ]
    return found


def _take_away(content: Path, *, with_attributes: bool = True) -> None:
    content.unlink()
    if with_attributes:
        Path(f"{content}.attr.json").unlink()
