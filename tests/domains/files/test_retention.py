"""From temporary to permanent, and what is taken away when its time is over: by a clock that the test moves."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from samovar.adapters.disk import DiskElement
from samovar.domains.files.errors import FileUnknown, NoElement
from samovar.domains.files.model.rounds import Extent
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.service import Amendment, FileService
from samovar.domains.files.service.care.retention import FINALIZE_JOB
from samovar.kernel.errors import Forbidden, StaleRevision
from samovar.ports.database import Database
from samovar.ports.elements import Mode, RetentionKind
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ANN, AUDITOR, BOB, Start, put, read_whole
from tests.support.clock import ManualClock

DAY_S = 86_400


def _standing(tmp_path: Path, element_id: str) -> set[str]:
    """The files on an element, by the beginnings of their names."""
    return {
        path.name.split("_")[0]
        for path in (tmp_path / "files" / element_id / "2026").rglob("*")
        if path.is_file() and not path.name.endswith(".attr.json")
    }


async def test_a_finalized_file_is_permanent_at_once_and_moves_to_the_element_that_does_not_delete(
    files: FileService, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    made = await put(files, ANN, b"keep me" * 10_000, "keep.txt", tags=("x",))
    done = await care(files).retention.finalize(ANN, made.file_id)
    assert (done.file.retention, done.file.expires_at) == (RetentionKind.PERMANENT, None)
    assert await care.ordered() == [(FINALIZE_JOB, {"team_id": "default", "file_id": made.file_id})]
    for _ in range(2):
        await care(files).retention.move("default", made.file_id)
        file = (await files.reads.find(ANN, made.file_id)).file
        assert (file.attributes.storage_element_id, file.attributes.tags) == ("rw", ("x",))
        assert [copy.element_id for copy in file.copies] == ["rw", "edit"]
    assert await read_whole(files, ANN, made.file_id) == b"keep me" * 10_000
    assert (await care(files).retention.finalize(ANN, made.file_id)).job_id is None
    # The original stays for a day.
    clock.advance(DAY_S - 1)
    assert (await care(files).retention.collect()).removed == 0
    assert _standing(tmp_path, "edit") == {"keep"}
    clock.advance(1)
    assert (await care(files).retention.collect()).removed == 1
    assert _standing(tmp_path, "edit") == set()
    assert await read_whole(files, ANN, made.file_id) == b"keep me" * 10_000
    assert (await files.reads.usage(ANN, "person_ann"))[:2] == (1, 70_000)


async def test_what_was_left_behind_stays_while_the_file_is_not_whole_where_it_is(
    files: FileService, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    made = await put(files, ANN, b"precious", "keep.txt")
    await care(files).retention.finalize(ANN, made.file_id)
    await care(files).retention.move("default", made.file_id)
    _content(tmp_path, "rw").write_bytes(b"preciouS")
    clock.advance(2 * DAY_S)
    done = await care(files).retention.collect()
    assert (done.removed, done.left) == (0, 1)
    assert _content(tmp_path, "edit").read_bytes() == b"precious"


async def test_a_move_that_died_at_any_step_is_made_whole_by_the_next(
    files: FileService, care: Care, tmp_path: Path
) -> None:
    made = await put(files, ANN, b"keep", "keep.txt")
    retention, copier = care(files).retention, care(files).copier
    await retention.finalize(ANN, made.file_id)
    file = await copier.stored("default", made.file_id)
    assert file is not None
    source, target = (files.registry.serving(name) for name in ("edit", "rw"))
    # It died after the copy ...
    copy = await copier.write(file, file.attributes, "rw", replica_of="edit")
    # ... and another after the switch, while the owner said something else of it.
    await target.amend(msgspec.structs.replace(copy, replica_of=None, revision=copy.revision + 1))
    await files.changes.amend(ANN, made.file_id, Amendment(tags=("late",)), expected=None)
    await retention.move("default", made.file_id)
    now = (await files.reads.find(ANN, made.file_id)).file.attributes
    assert (now.storage_element_id, now.tags) == ("rw", ("late",))
    assert (await source.attributes(now.path)).replica_of == "rw"
    for element_id in ("edit", "rw"):
        assert not (await care(files).rebuilder.run(element_id, Extent.FULL)).report.findings
    assert (await files.reads.find(ANN, made.file_id)).file.attributes == now


async def test_a_change_after_the_move_is_of_the_file_where_it_is_now(files: FileService, care: Care) -> None:
    made = await put(files)
    await care(files).retention.finalize(ANN, made.file_id)
    await care(files).retention.move("default", made.file_id)
    changed = await files.changes.amend(ANN, made.file_id, Amendment(tags=("new",)), expected=None)
    assert (changed.storage_element_id, changed.tags, changed.retention) == ("rw", ("new",), RetentionKind.PERMANENT)


async def test_only_who_may_change_a_file_finalizes_it_and_only_where_there_is_room(
    files: FileService, start: Start, care: Care
) -> None:
    made = await put(files)
    with pytest.raises(FileUnknown):
        await care(files).retention.finalize(BOB, made.file_id)
    with pytest.raises(Forbidden):
        await care(files).retention.finalize(AUDITOR, made.file_id)
    with pytest.raises(StaleRevision):
        await care(files).retention.finalize(ANN, made.file_id, expected=7)
    nowhere: FileService = await start(configured=[], open_element=_away)
    with pytest.raises(NoElement):
        await care(nowhere).retention.finalize(ANN, made.file_id)


async def test_an_expired_file_goes_and_gives_its_room_back(
    files: FileService, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    short = await put(files, ANN, b"short", "short.txt", ttl_days=1)
    await put(files, ANN, b"longer", "longer.txt", ttl_days=2)
    await put(files, ANN, b"ever", "ever.txt", retention=RetentionKind.PERMANENT)
    clock.advance(DAY_S - 1)
    assert (await care(files).retention.collect()).removed == 0
    clock.advance(1)
    done = await care(files).retention.collect()
    assert (done.removed, done.size_bytes, done.left) == (1, 5, 0)
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, short.file_id)
    assert _standing(tmp_path, "edit") == {"longer"}
    assert (await files.reads.usage(ANN, "person_ann"))[:2] == (2, 10)
    clock.advance(400 * DAY_S)
    await care(files).retention.collect()
    assert (_standing(tmp_path, "edit"), _standing(tmp_path, "rw")) == (set(), {"ever"})


async def test_a_file_that_became_permanent_is_not_taken_by_a_row_that_is_behind(
    files: FileService, care: Care, clock: ManualClock, database: Database
) -> None:
    made = await put(files, ttl_days=1)
    element = files.registry.serving("edit")
    stands = (await files.reads.find(ANN, made.file_id)).file.attributes
    kept = msgspec.structs.replace(stands.retention, kind=RetentionKind.PERMANENT, expires_at=None)
    await element.amend(msgspec.structs.replace(stands, retention=kept, revision=2))
    clock.advance(2 * DAY_S)
    assert (await care(files).retention.collect()).left == 1
    assert (await files.reads.find(ANN, made.file_id)).file.attributes.retention == kept


async def test_of_finalizing_and_collecting_at_once_one_wins_and_the_other_says_so(
    files: FileService, care: Care, clock: ManualClock
) -> None:
    for _ in range(5):
        made = await put(files, ttl_days=1)
        clock.advance(DAY_S)
        kept, _ = await asyncio.gather(
            care(files).retention.finalize(ANN, made.file_id),
            care(files).retention.collect(),
            return_exceptions=True,
        )
        if isinstance(kept, BaseException):
            with pytest.raises(FileUnknown):
                await files.reads.find(ANN, made.file_id)
        else:
            assert await read_whole(files, ANN, made.file_id) == b"hello"


async def test_a_file_of_an_element_that_is_away_waits_for_another_time(
    files: FileService, start: Start, care: Care, clock: ManualClock
) -> None:
    made = await put(files, ttl_days=1)
    clock.advance(2 * DAY_S)
    elsewhere: FileService = await start(configured=[], open_element=_away)
    done = await care(elsewhere).retention.collect()
    assert (done.removed, done.left) == (0, 1)
    assert await read_whole(files, ANN, made.file_id) == b"hello"


async def test_content_without_attributes_goes_after_a_week_and_not_before(
    files: FileService, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    await put(files, ANN, b"mine", "mine.txt")
    for name, days in (("old", 7), ("young", 6)):
        for element_id in ("edit", "rw"):
            folder = tmp_path / "files" / element_id / "2026" / "01"
            folder.mkdir(parents=True, exist_ok=True)
            orphan = folder / f"{name}_x.bin"
            orphan.write_bytes(b"nobody's")
            at = clock.now().timestamp() - days * DAY_S
            os.utime(orphan, (at, at))
    done = await care(files).retention.collect_orphans()
    assert (done.removed, done.size_bytes) == (1, 8)
    assert (_standing(tmp_path, "edit"), _standing(tmp_path, "rw")) == ({"mine", "young"}, {"old", "young"})


async def test_what_is_being_written_is_no_orphan(
    files: FileService, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    release, arrived = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"a" * 5_000_000
        arrived.set()
        await release.wait()
        yield b"b"

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(files.ingest.upload(ANN, Intent(filename="slow.bin"), slowly()))
        await arrived.wait()
        for _ in range(2):
            clock.advance(15 * DAY_S)
            await files.transactions.renew()
        assert (await care(files).retention.collect_orphans()).removed == 0
        assert (await care(files).retention.collect()).removed == 0
        release.set()
    assert writing.result().size_bytes == 5_000_001
    assert await read_whole(files, ANN, writing.result().file_id) == b"a" * 5_000_000 + b"b"


def _content(tmp_path: Path, element_id: str) -> Path:
    (found,) = [
        path
        for path in (tmp_path / "files" / element_id / "2026").rglob("*")
        if path.is_file() and not path.name.endswith(".attr.json")
    ]
    return found


def _away(element: object) -> DiskElement:
    return DiskElement(Path("/proc/nowhere"), element_id="away", mode=Mode.EDIT, clock=ManualClock())
