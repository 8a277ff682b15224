"""Permanent files on several elements: made, kept alike, lost and made anew."""

from pathlib import Path
from typing import Any

import pytest

from samovar.domains.files.errors import BadFile
from samovar.domains.files.model.records import CopyState, FileEvent, FileHappened, StoredFile
from samovar.domains.files.service import Amendment, FileService
from samovar.domains.files.service.replicas import REPLICATE_JOB
from samovar.domains.files.store import rebuilding
from samovar.ports.database import Database
from samovar.ports.elements import Mode, RetentionKind
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ANN, Start, element, put, read_whole
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
        await caring.replicas.heard(_event(made))
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
    await caring.replicas.heard(_event(made, 3, FileHappened.AMENDED))
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
