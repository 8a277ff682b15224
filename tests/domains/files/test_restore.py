"""Cold content brought back: files of an archive are copied to an element that is read, and are that element's from then on."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samovar.adapters.disk import DiskElement
from samovar.domains.files.errors import ContentCold, ContentDamaged, FileUnknown, NoElement, StorageFull
from samovar.domains.files.model.choosing import Element, ElementState
from samovar.domains.files.model.records import CopyState, StoredFile
from samovar.domains.files.model.rounds import Extent
from samovar.domains.files.service import Amendment, ElementChange, FileService
from samovar.domains.files.service.care.restoring import RESTORE_JOB
from samovar.domains.files.service.tally import Operation, Result
from samovar.kernel.errors import Forbidden
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, ElementUnavailable, Mode, ModeRefused, RetentionKind, StorageElement
from samovar.ports.jobs import GiveUp
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ADMIN, ANN, AUDITOR, BOB, STRANGER, Start, element, put, read_whole
from tests.support.clock import ManualClock

PERMANENT = RetentionKind.PERMANENT
CONTENT = b"cold as ice" * 10_000


class Dying(Exception):
    """As if the process had been killed here."""


class Mortal(DiskElement):
    """An element on a disk whose process dies at the calls that ``dies_at`` names, before or after they are done."""

    dies_at = ""

    async def write(self, *args: Any, **kwargs: Any) -> Attributes:
        return await self._lived("write", super().write(*args, **kwargs))

    async def verify(self, *args: Any, **kwargs: Any) -> str | None:
        return await self._lived("verify", super().verify(*args, **kwargs))

    async def amend(self, *args: Any, **kwargs: Any) -> Attributes:
        return await self._lived("amend", super().amend(*args, **kwargs))

    async def _lived(self, name: str, doing: Any) -> Any:
        if self.dies_at == f"before {name}":
            doing.close()
            raise Dying
        done = await doing
        if self.dies_at == f"after {name}":
            raise Dying
        return done


def _mortal(clock: ManualClock) -> Callable[[Element], StorageElement]:
    def opened(one: Element) -> StorageElement:
        return Mortal(Path(one.url.removeprefix("file://")), element_id=one.id, mode=one.mode, clock=clock)

    return opened


@pytest.fixture
async def three(start: Start, clock: ManualClock, tmp_path: Path) -> FileService:
    """An element that will be an archive, one that keeps what it has, and one for temporary files."""
    found: FileService = await start(configured=_configured(clock, tmp_path), open_element=_mortal(clock))
    return found


def _configured(clock: ManualClock, tmp_path: Path, *names: str) -> list[Element]:
    kept = [
        element(tmp_path, Mode.RW, clock, id=name, url=(tmp_path / name).as_uri(), priority=number)
        for number, name in enumerate(names or ("old", "new"))
    ]
    return [*kept, element(tmp_path, Mode.EDIT, clock)]


async def _archived(files: FileService, **more: Any) -> str:
    """A file whose element is an archive now."""
    made = await put(files, ANN, CONTENT, "cold.bin", retention=PERMANENT, tags=("ice",), **more)
    await _lower(files, made.storage_element_id)
    return made.file_id


async def _lower(files: FileService, element_id: str) -> None:
    for mode in (Mode.RO, Mode.AR):
        await files.registry.serving(element_id).lower_mode(mode)
    files.registry.forget_standings()


async def _file(files: FileService, file_id: str) -> StoredFile:
    files.memory.clear()
    return (await files.reads.find(ANN, file_id)).file


def _on(tmp_path: Path, element_id: str) -> list[Path]:
    found = (tmp_path / element_id / "2026").rglob("*_*")
    return [path for path in found if not path.name.endswith(".attr.json")]


def _take_away(content: Path) -> None:
    content.unlink()
    Path(f"{content}.attr.json").unlink()


async def test_cold_content_is_brought_back_once_and_served_from_where_it_is_now(
    three: FileService, care: Care, tmp_path: Path
) -> None:
    file_id = await _archived(three)
    with pytest.raises(ContentCold, match=f"POST /api/files/{file_id}/restore") as cold:
        await read_whole(three, ANN, file_id)
    assert cold.value.hints == {"restore": f"POST /api/files/{file_id}/restore"}
    assert (await _file(three, file_id)).attributes.tags == ("ice",)
    caring = care(three)
    asked = [await caring.restoring.restore(ANN, file_id) for _ in range(2)]
    assert asked[0].job_id == asked[1].job_id is not None
    assert await care.ordered() == [(RESTORE_JOB, {"team_id": "default", "file_id": file_id})]
    for _ in range(2):
        await caring.restoring.bring_back("default", file_id)
        file = await _file(three, file_id)
        assert (file.attributes.storage_element_id, file.attributes.revision) == ("new", 2)
        assert [(copy.element_id, copy.state) for copy in file.copies] == [("new", "good"), ("old", "good")]
        assert await read_whole(three, ANN, file_id) == CONTENT
        assert len(_on(tmp_path, "new")) == 1
    assert (await caring.restoring.restore(ANN, file_id)).job_id is None
    assert three.figures().operations[Operation.RESTORE, Result.SUCCESS] == 1
    assert (await three.reads.usage(ANN, "person_ann"))[:2] == (1, len(CONTENT))
    # It is changed where it is now.
    await three.changes.amend(ANN, file_id, Amendment(tags=("warm",)), expected=2)
    assert (await _file(three, file_id)).attributes.tags == ("warm",)


@pytest.mark.parametrize("order", [("old", "new", "edit"), ("edit", "new", "old")])
async def test_rows_made_anew_in_any_order_say_that_the_copy_is_the_file(
    three: FileService, care: Care, database: Database, order: tuple[str, ...]
) -> None:
    file_id = await _archived(three)
    await care(three).restoring.bring_back("default", file_id)
    await three.changes.amend(ANN, file_id, Amendment(tags=("warm",)), expected=None)
    stored = care(three).copier.stored
    before = await stored("default", file_id)
    async with database.transaction() as tx:
        for table in ("file_marks", "file_copies", "files"):
            await tx.exec_driver_sql(f"DELETE FROM {table}")
    for element_id in order:
        await care(three).rebuilder.run(element_id, Extent.INCREMENTAL)
    assert await stored("default", file_id) == before
    for element_id in order:
        assert not (await care(three).rebuilder.run(element_id, Extent.FULL)).report.findings
        assert not (await care(three).scrubber.run(element_id)).report.findings
    after = await stored("default", file_id)
    assert before is not None
    assert after is not None
    assert after.attributes == before.attributes


MOMENTS = [f"{when} {what}" for what in ("write", "verify", "amend") for when in ("before", "after")]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_restore_that_died_at_any_step_goes_on_and_makes_one_copy(
    start: Start, care: Care, clock: ManualClock, tmp_path: Path, moment: str
) -> None:
    names = ("old", "new", "newer")
    files: FileService = await start(configured=_configured(clock, tmp_path, *names), open_element=_mortal(clock))
    file_id = await _archived(files)
    assert len(await files.registry.candidates(PERMANENT, 1)) == 3
    dying: Any = files.registry.serving("new")
    dying.dies_at = moment
    with pytest.raises(Dying):
        await care(files).restoring.bring_back("default", file_id)
    dying.dies_at = ""
    # Another one would be chosen by now.
    await files.elements.change(ADMIN, "new", ElementChange(state=ElementState.DRAINING), expected=None)
    await care(files).restoring.bring_back("default", file_id)
    file = await _file(files, file_id)
    new, newer = ("new", "newer") if moment != "before write" else ("newer", "new")
    assert (file.attributes.storage_element_id, file.attributes.revision) == (new, 2)
    assert await read_whole(files, ANN, file_id) == CONTENT
    assert [len(_on(tmp_path, name)) for name in ("old", new, newer)] == [1, 1, 0]


async def test_two_workers_at_once_make_one_copy(three: FileService, care: Care, tmp_path: Path) -> None:
    file_id = await _archived(three)
    done = await asyncio.gather(
        *[care(three).restoring.bring_back("default", file_id) for _ in range(3)], return_exceptions=True
    )
    assert None in done
    await care(three).restoring.bring_back("default", file_id)
    assert len(_on(tmp_path, "new")) == 1
    assert (await _file(three, file_id)).attributes.revision == 2
    assert await read_whole(three, ANN, file_id) == CONTENT


async def test_a_damaged_archive_is_said_in_the_row_and_nothing_is_copied(
    three: FileService, care: Care, tmp_path: Path
) -> None:
    file_id = await _archived(three)
    (content,) = _on(tmp_path, "old")
    content.write_bytes(b"C" + CONTENT[1:])
    with pytest.raises(GiveUp, match="No copy"):
        await care(three).restoring.bring_back("default", file_id)
    assert [copy.state for copy in (await _file(three, file_id)).copies] == [CopyState.DAMAGED]
    assert _on(tmp_path, "new") == []
    with pytest.raises(ContentDamaged, match=file_id):
        await care(three).restoring.restore(ANN, file_id)
    assert three.figures().operations[Operation.RESTORE, Result.FAILED] == 1


async def test_of_several_cold_copies_the_good_one_is_brought_back(
    start: Start, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    files: FileService = await start(configured=_configured(clock, tmp_path, "old", "older", "new"))
    made = await put(files, ANN, CONTENT, "cold.bin", retention=PERMANENT, replicas=2)
    await care(files).replicas.tend("default", made.file_id)
    for name in ("old", "older"):
        await _lower(files, name)
    for damage in (lambda path: path.write_bytes(b"damaged"), lambda path: path.unlink()):
        damage(_on(tmp_path, "old")[0])
    with pytest.raises(ContentCold):
        await read_whole(files, ANN, made.file_id)
    await care(files).restoring.bring_back("default", made.file_id)
    file = await _file(files, made.file_id)
    assert {copy.element_id: copy.state.value for copy in file.copies} == {
        "new": "good",
        "old": "damaged",
        "older": "good",
    }
    assert await read_whole(files, ANN, made.file_id) == CONTENT


async def test_a_replica_that_is_read_becomes_the_original_and_nothing_is_copied(
    start: Start, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    files: FileService = await start(configured=_configured(clock, tmp_path, "old", "new", "newer"))
    made = await put(files, ANN, CONTENT, "cold.bin", retention=PERMANENT, replicas=2)
    await care(files).replicas.tend("default", made.file_id)
    await _lower(files, "old")
    # What is read is read, and cannot be changed.
    assert await read_whole(files, ANN, made.file_id) == CONTENT
    with pytest.raises(ModeRefused):
        await files.changes.amend(ANN, made.file_id, Amendment(tags=("x",)), expected=None)
    assert (await care(files).restoring.restore(ANN, made.file_id)).job_id is not None
    await care(files).restoring.bring_back("default", made.file_id)
    assert (await _file(files, made.file_id)).attributes.storage_element_id == "new"
    assert _on(tmp_path, "newer") == []
    await files.changes.amend(ANN, made.file_id, Amendment(tags=("x",)), expected=None)


async def test_what_only_the_archive_still_has_is_brought_back_where_the_original_was_lost(
    three: FileService, care: Care, tmp_path: Path
) -> None:
    file_id = await _archived(three)
    await care(three).restoring.bring_back("default", file_id)
    await three.changes.amend(ANN, file_id, Amendment(tags=("later",)), expected=None)
    (content,) = _on(tmp_path, "new")
    _take_away(content)
    with pytest.raises(ContentCold):
        await read_whole(three, ANN, file_id)
    assert (await care(three).restoring.restore(ANN, file_id)).job_id is not None
    await care(three).restoring.bring_back("default", file_id)
    file = await _file(three, file_id)
    assert (file.attributes.storage_element_id, file.attributes.tags) == ("new", ("later",))
    assert await read_whole(three, ANN, file_id) == CONTENT


async def test_a_file_that_is_not_cold_needs_nothing(three: FileService, care: Care) -> None:
    made = await put(three, ANN, b"warm")
    assert (await care(three).restoring.restore(ANN, made.file_id)).job_id is None
    await care(three).restoring.bring_back("default", made.file_id)
    await care(three).restoring.bring_back("default", "01a1fdfa-4600-75c2-9970-a99c39661a9c")
    assert await care.ordered() == []
    assert (await _file(three, made.file_id)).attributes.revision == 1


async def test_only_who_may_change_a_file_has_it_brought_back(three: FileService, care: Care) -> None:
    file_id = await _archived(three)
    restoring = care(three).restoring
    for stranger in (BOB, STRANGER):
        with pytest.raises(FileUnknown):
            await restoring.restore(stranger, file_id)
    with pytest.raises(Forbidden):
        await restoring.restore(AUDITOR, file_id)
    assert (await restoring.restore(ADMIN, file_id)).job_id is not None


async def test_where_nobody_takes_it_that_is_said_before_a_job_is_ordered(
    start: Start, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    only = [element(tmp_path, Mode.RW, clock, id="old", url=(tmp_path / "old").as_uri())]
    files: FileService = await start(configured=only)
    file_id = await _archived(files)
    with pytest.raises(NoElement):
        await care(files).restoring.restore(ANN, file_id)
    small = element(tmp_path, Mode.RW, clock, id="small", url=(tmp_path / "small").as_uri(), capacity_bytes=10)
    files.registry.open(small)
    await files.registry.write(small, revision=None)
    with pytest.raises(StorageFull):
        await care(files).restoring.restore(ANN, file_id)
    with pytest.raises(StorageFull):
        await care(files).restoring.bring_back("default", file_id)
    assert await care.ordered() == []


async def test_an_archive_that_is_away_is_waited_for(three: FileService, care: Care) -> None:
    file_id = await _archived(three)
    await three.registry.serving("old").close()
    with pytest.raises(ElementUnavailable):
        await care(three).restoring.restore(ANN, file_id)
    with pytest.raises(ElementUnavailable):
        await care(three).restoring.bring_back("default", file_id)
    assert [copy.state for copy in (await _file(three, file_id)).copies] == [CopyState.GOOD]


async def test_what_is_restored_to_a_disk_that_lies_is_not_the_file(
    start: Start, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    class Lying(DiskElement):
        async def write(self, *args: Any, **kwargs: Any) -> Attributes:
            made = await super().write(*args, **kwargs)
            if self.element_id == "new":
                (content,) = _on(tmp_path, "new")
                content.write_bytes(b"C" + CONTENT[1:])
            return made

    def opened(one: Element) -> StorageElement:
        return Lying(Path(one.url.removeprefix("file://")), element_id=one.id, mode=one.mode, clock=clock)

    files: FileService = await start(
        configured=_configured(clock, tmp_path, "old", "new", "newer"), open_element=opened
    )
    file_id = await _archived(files)
    await care(files).restoring.bring_back("default", file_id)
    assert (await _file(files, file_id)).attributes.storage_element_id == "newer"
    assert await read_whole(files, ANN, file_id) == CONTENT
