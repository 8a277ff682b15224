"""Permanent files on several elements: made, kept alike, lost and made anew."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from samovar.domains.files.errors import BadFile, FileUnknown, NotConfirmed
from samovar.domains.files.model.choosing import ElementState
from samovar.domains.files.model.records import CopyState, FileEvent, FileHappened, StoredFile
from samovar.domains.files.model.rounds import Outcome
from samovar.domains.files.service import Amendment, ElementChange, FileService
from samovar.domains.files.service.care.replicas import REPLICATE_JOB
from samovar.domains.files.store import rebuilding, tables
from samovar.ports.database import Database
from samovar.ports.elements import Mode, RetentionKind
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ADMIN, ANN, Start, element, put, read_whole
from tests.support.clock import ManualClock

PERMANENT = RetentionKind.PERMANENT


@pytest.fixture
async def three(start: Start, clock: ManualClock, tmp_path: Path) -> FileService:
    """Three elements that keep what they have, and one for temporary files."""
    configured = [element(tmp_path, Mode.RW, clock, id=name, url=(tmp_path / name).as_uri()) for name in "abc"]
    found: FileService = await start(configured=[*configured, element(tmp_path, Mode.EDIT, clock)])
    return found


async def _file(files: FileService, file_id: str) -> StoredFile:
    files.memory.clear()
    return (await files.reads.find(ANN, file_id)).file


def _on(file: StoredFile) -> list[str]:
    return [copy.element_id for copy in file.copies if copy.state is CopyState.GOOD]


def _event(made: Any, revision: int = 1, happened: FileHappened = FileHappened.STORED) -> FileEvent:
    return FileEvent(happened=happened, team_id="default", file_id=made.file_id, revision=revision, at=made.created_at)


async def test_a_permanent_file_gets_its_replicas_after_the_upload(three: FileService, care: Care) -> None:
    caring = care(three, replicas=2)
    usual = await put(three, ANN, b"usual", retention=PERMANENT)
    more = await put(three, ANN, b"more", retention=PERMANENT, replicas=3)
    fewer = await put(three, ANN, b"fewer", retention=PERMANENT, replicas=1)
    temporary = await put(three, ANN, b"temporary", replicas=3)
    for made in (usual, more, fewer, temporary):
        await caring.replicas.heard(_event(made), await _file(three, made.file_id))
    wanted = {file_id: count for file_id, count in ((usual.file_id, 2), (more.file_id, 3))}
    ordered = await care.ordered()
    assert {kind for kind, _ in ordered} == {REPLICATE_JOB}
    assert {payload["file_id"] for _, payload in ordered} == set(wanted)
    for _ in range(2):
        for _, payload in ordered:
            await caring.replicas.tend(payload["team_id"], payload["file_id"])
        for file_id, count in wanted.items():
            assert len(set(_on(await _file(three, file_id)))) == count
    # What an owner has is counted once.
    assert (await three.reads.usage(ANN, "person_ann"))[:2] == (4, 5 + 4 + 5 + 9)
    with pytest.raises(BadFile):
        await put(three, ANN, b"", retention=PERMANENT, replicas=4)


async def test_replicas_hear_of_each_change(three: FileService, care: Care) -> None:
    caring = care(three)
    made = await put(three, ANN, b"x", retention=PERMANENT, replicas=2)
    await caring.replicas.tend("default", made.file_id)
    for tag in ("one", "two"):
        await three.changes.amend(ANN, made.file_id, Amendment(tags=(tag,)), expected=None)
    await caring.replicas.heard(_event(made, 3, FileHappened.AMENDED), await _file(three, made.file_id))
    assert len(await care.ordered()) == 1
    await caring.replicas.tend("default", made.file_id)
    file = await _file(three, made.file_id)
    said = [await three.registry.serving(copy.element_id).attributes(copy.path) for copy in file.copies]
    assert [(one.revision, one.tags) for one in said] == [(3, ("two",))] * 2
    assert [one.replica_of for one in said] == [None, file.attributes.storage_element_id]


async def test_reading_goes_on_to_a_replica_where_the_original_is_gone(
    three: FileService, care: Care, tmp_path: Path
) -> None:
    made = await put(three, ANN, b"twice", retention=PERMANENT, replicas=2)
    await care(three).replicas.tend("default", made.file_id)
    _content(tmp_path, made.storage_element_id).unlink()
    assert await read_whole(three, ANN, made.file_id) == b"twice"


async def test_a_lost_original_is_made_anew_where_it_stood(three: FileService, care: Care, tmp_path: Path) -> None:
    caring = care(three)
    made = await put(three, ANN, b"twice", retention=PERMANENT, replicas=2, tags=("x",))
    await caring.replicas.tend("default", made.file_id)
    content = _content(tmp_path, made.storage_element_id)
    _take_away(content)
    await caring.replicas.tend("default", made.file_id)
    file = await _file(three, made.file_id)
    assert (file.attributes.storage_element_id, file.attributes.revision) == (made.storage_element_id, 1)
    assert len(_on(file)) == 2
    assert content.read_bytes() == b"twice"
    stands = await three.registry.serving(made.storage_element_id).attributes(file.attributes.path)
    assert stands == file.attributes


async def test_where_the_original_cannot_be_made_anew_a_replica_becomes_it(
    three: FileService, care: Care, database: Database
) -> None:
    caring = care(three)
    made = await put(three, ANN, b"twice", retention=PERMANENT, replicas=2)
    file = await caring.replicas.tend("default", made.file_id)
    assert file is not None
    original = three.registry.serving(made.storage_element_id)
    await original.lower_mode(Mode.RO)
    await original.quarantine(file.attributes.path, reason="bits fell out")
    async with database.transaction() as tx:
        await rebuilding.set_state(tx, made.file_id, original.element_id, CopyState.DAMAGED)
    await caring.replicas.tend("default", made.file_id)
    now = await _file(three, made.file_id)
    assert now.attributes.storage_element_id != original.element_id
    # And the third element has the replica that was missing then.
    assert len(_on(now)) == 2
    assert await read_whole(three, ANN, made.file_id) == b"twice"


async def test_what_stood_on_an_element_that_is_lost_for_good_is_made_anew_elsewhere(
    three: FileService, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    caring = care(three)
    twice = await put(three, ANN, b"twice", retention=PERMANENT, replicas=2)
    await caring.replicas.tend("default", twice.file_id)
    once = await put(three, ANN, b"once", retention=PERMANENT, replicas=1)
    lost = twice.storage_element_id
    assert once.storage_element_id == lost
    # While nobody says so it is only away: its copies count.
    shutil.rmtree(tmp_path / lost)
    for confirm in (None, "another"):
        with pytest.raises(NotConfirmed):
            await three.elements.change(
                ADMIN, lost, ElementChange(state=ElementState.LOST), expected=None, confirm=confirm
            )
    await three.elements.change(ADMIN, lost, ElementChange(state=ElementState.LOST), expected=None, confirm=lost)
    for _ in range(2):
        done = await caring.scrubber.run(lost)
        assert done.finished_at is not None
        left = [(one.file_id, one.outcome) for one in done.report.findings]
        assert (once.file_id, Outcome.REPORTED) in left
        assert (twice.file_id, Outcome.REPORTED) not in left
    now = await _file(three, twice.file_id)
    assert lost not in {copy.element_id for copy in now.copies}
    assert (now.attributes.storage_element_id, len(_on(now))) == (now.copies[0].element_id, 2)
    assert await read_whole(three, ANN, twice.file_id) == b"twice"
    assert [copy.state for copy in (await _file(three, once.file_id)).copies] == [CopyState.MISSING]
    # What is gone can be taken off the list, and takes its owner's room no longer.
    await three.changes.delete(ANN, once.file_id)
    assert (await three.reads.usage(ANN, "person_ann"))[:2] == (1, 5)
    assert (await put(three, ANN, b"new", retention=PERMANENT)).storage_element_id != lost


async def test_a_temporary_file_on_a_lost_element_ends_in_its_time(
    three: FileService, care: Care, clock: ManualClock
) -> None:
    made = await put(three, ANN, b"soon over", ttl_days=1)
    await three.elements.change(ADMIN, "edit", ElementChange(state=ElementState.LOST), expected=None, confirm="edit")
    clock.advance(86_401)
    assert (await care(three).retention.collect()).removed == 1
    assert (await three.reads.usage(ANN, "person_ann"))[:2] == (0, 0)
    with pytest.raises(FileUnknown):
        await three.reads.fresh(ANN, made.file_id)


async def test_a_replica_whose_row_and_original_are_lost_becomes_the_original(
    three: FileService, care: Care, database: Database
) -> None:
    caring = care(three)
    made = await put(three, ANN, b"twice", retention=PERMANENT, replicas=2)
    file = await caring.replicas.tend("default", made.file_id)
    assert file is not None
    lost, other = (copy.element_id for copy in file.copies)
    async with database.transaction() as tx:
        for table in (tables.marks, tables.files, tables.copies):
            await tx.execute(delete(table))
    await caring.scrubber.run(other)
    with pytest.raises(FileUnknown):
        await three.reads.fresh(ANN, made.file_id)
    await three.elements.change(ADMIN, lost, ElementChange(state=ElementState.LOST), expected=None, confirm=lost)
    await caring.scrubber.run(other)
    assert (await _file(three, made.file_id)).attributes.storage_element_id == other
    assert await read_whole(three, ANN, made.file_id) == b"twice"


async def test_with_too_few_elements_a_file_has_as_many_as_there_are(files: FileService, care: Care) -> None:
    caring = care(files)
    made = await put(files, ANN, b"x", retention=PERMANENT, replicas=3)
    file = await caring.replicas.tend("default", made.file_id)
    assert file is not None
    assert _on(file) == ["rw", "edit"]


def _content(tmp_path: Path, element_id: str) -> Path:
    (found,) = [path for path in (tmp_path / element_id / "2026").rglob("*_*") if not path.name.endswith(".attr.json")]
    return found


def _take_away(content: Path, *, with_attributes: bool = True) -> None:
    content.unlink()
    if with_attributes:
        Path(f"{content}.attr.json").unlink()
