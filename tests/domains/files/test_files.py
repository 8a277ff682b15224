"""Taking files in, finding them, changing and deleting them: on both engines, over real folders."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from samovar.adapters.disk import DiskElement
from samovar.adapters.memory import MemoryBus
from samovar.domains.files.errors import BadFile, ContentAway, FileUnknown, QuotaReached
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.model.query import FileQuery
from samovar.domains.files.model.records import FileEvent, FileHappened
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.service import Amendment, FileService, IngestRules
from samovar.domains.files.service.news import TOLD_BY_ITSELF, News
from samovar.domains.files.service.projecting import Projector
from samovar.domains.files.store import owners, projection
from samovar.kernel.errors import Forbidden, StaleRevision
from samovar.ports.database import Database
from samovar.ports.elements import (
    AttributesTooLarge,
    ContentDiffers,
    Mode,
    ModeRefused,
    Retention,
    RetentionKind,
    StorageElement,
)
from samovar.ports.scripts import perform
from tests.domains.files.conftest import (
    ADMIN,
    ANN,
    AUDITOR,
    BOB,
    STRANGER,
    Start,
    caller,
    element,
    pieces,
    put,
    read_whole,
    told_all,
)
from tests.support.clock import ManualClock

PERMANENT = RetentionKind.PERMANENT


async def test_what_was_taken_in_is_found_and_read_back(files: FileService) -> None:
    content = [b"a" * 70_000, b"b" * 70_000]
    made = await files.ingest.upload(ANN, Intent(filename="two.bin", tags=("x",)), pieces(*content))
    assert made.checksum == hashlib.sha256(b"".join(content)).hexdigest()
    assert (made.size_bytes, made.owner, made.storage_element_id) == (140_000, "person_ann", "edit")
    assert await read_whole(files, ANN, made.file_id) == b"".join(content)
    files.memory.clear()
    assert await read_whole(files, ANN, made.file_id) == b"".join(content)


async def test_permanent_files_go_to_the_element_that_does_not_delete(files: FileService) -> None:
    made = await put(files, retention=PERMANENT)
    assert (made.storage_element_id, made.expires_at) == ("rw", None)
    with pytest.raises(ModeRefused):
        await files.changes.delete(ANN, made.file_id)
    assert await read_whole(files, ANN, made.file_id) == b"hello"


async def test_an_empty_file_is_a_file(files: FileService) -> None:
    made = await put(files, content=b"")
    assert made.checksum == hashlib.sha256(b"").hexdigest()
    assert await read_whole(files, ANN, made.file_id) == b""


async def test_other_owners_and_teams_are_told_that_there_is_none(files: FileService) -> None:
    made = await put(files)
    for principal in (BOB, STRANGER):
        with pytest.raises(FileUnknown):
            await files.reads.find(principal, made.file_id)
        with pytest.raises(FileUnknown):
            await files.changes.amend(principal, made.file_id, Amendment(tags=()), expected=None)
        with pytest.raises(FileUnknown):
            await files.changes.delete(principal, made.file_id)
        assert not (await files.reads.page(principal, _all(), limit=10)).items


async def test_who_audits_reads_all_and_changes_nothing(files: FileService) -> None:
    made = await put(files)
    assert (await files.reads.find(AUDITOR, made.file_id)).file.attributes.owner == "person_ann"
    assert [one.file_id for one in (await files.reads.page(AUDITOR, _all(), limit=10)).items] == [made.file_id]
    with pytest.raises(Forbidden):
        await files.changes.delete(AUDITOR, made.file_id)
    await files.changes.delete(ADMIN, made.file_id)


async def test_a_wrong_checksum_or_length_leaves_nothing(files: FileService, tmp_path: Path) -> None:
    for said in ({"expected_checksum": "0" * 64}, {"expected_bytes": 4}, {"expected_bytes": 6}):
        with pytest.raises(ContentDiffers):
            await put(files, **said)
    assert not (await files.reads.page(ADMIN, _all(), limit=10)).items
    assert not _found(tmp_path, "files/**/*.txt*")


async def test_attributes_that_will_not_fit_are_refused_before_a_byte_is_taken(files: FileService) -> None:
    taken = 0

    async def content() -> AsyncIterator[bytes]:
        nonlocal taken
        taken += 1
        yield b"x"

    said = {f"key{n}": "слово " * 40 for n in range(20)}
    with pytest.raises(AttributesTooLarge):
        await files.ingest.upload(ANN, Intent(filename="a", custom=said), content())  # type: ignore[arg-type]
    assert not taken


async def test_a_change_is_kept_beside_the_file_and_found_by_its_new_words(files: FileService, tmp_path: Path) -> None:
    made = await put(files, tags=("old",), custom={"project": "apollo", "n": 1})
    changed = await files.changes.amend(
        ANN,
        made.file_id,
        Amendment(filename="Отчёт.txt", tags=("new",), custom={"n": None, "year": 2026}),
        expected=made.revision,
    )
    assert (changed.revision, changed.tags, changed.attributes) == (2, ("new",), {"project": "apollo", "year": 2026})
    beside = msgspec.json.decode(_found(tmp_path, "files/edit/**/*.attr.json")[0].read_bytes())
    assert (beside["filename"], beside["tags"], beside["revision"]) == ("Отчёт.txt", ["new"], 2)
    for query, count in ((_all(text="отчеты"), 1), (_all(tags=("new",)), 1), (_all(tags=("old",)), 0)):
        assert len((await files.reads.page(ANN, query, limit=10)).items) == count
    with pytest.raises(StaleRevision):
        await files.changes.amend(ANN, made.file_id, Amendment(tags=()), expected=1)
    with pytest.raises(BadFile):
        await files.changes.amend(ANN, made.file_id, Amendment(tags=("\0",)), expected=None)


async def test_of_changes_at_once_none_is_lost(files: FileService) -> None:
    made = await put(files)
    await asyncio.gather(
        *[files.changes.amend(ANN, made.file_id, Amendment(custom={f"k{n}": n}), expected=None) for n in range(4)]
    )
    found = (await files.reads.find(ANN, made.file_id)).file.attributes
    assert (found.revision, found.custom) == (5, {"k0": 0, "k1": 1, "k2": 2, "k3": 3})


async def test_a_deleted_file_is_gone_from_everywhere(files: FileService, tmp_path: Path) -> None:
    made = await put(files)
    await files.changes.delete(ANN, made.file_id)
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)
    assert not _found(tmp_path, "files/edit/**/*.attr.json")
    assert (await files.reads.usage(ANN, "person_ann"))[:2] == (0, 0)


async def test_news_of_each_change_is_told_at_least_once(files: FileService, told: list[FileEvent]) -> None:
    made = await put(files)
    await files.changes.amend(ANN, made.file_id, Amendment(tags=("x",)), expected=None)
    await files.changes.delete(ANN, made.file_id)
    await told_all(files)
    async with asyncio.timeout(5):
        while len(told) < 3:  # noqa: ASYNC110 - the process's own teller may be at it
            await asyncio.sleep(0.01)
    assert {event.happened for event in told} == {*FileHappened} - {FileHappened.DELETING}
    assert {event.file_id for event in told} == {made.file_id}


async def test_a_change_in_one_process_ends_what_another_remembers(start: Start, clock: ManualClock) -> None:
    bus = MemoryBus()
    one: FileService = await start(bus=bus, starts_bus=False)
    other: FileService = await start(bus=bus, configured=[], open_element=_nowhere)
    made = await put(one)
    assert (await other.reads.find(ANN, made.file_id)).file.attributes.tags == ()
    await one.changes.amend(ANN, made.file_id, Amendment(tags=("x",)), expected=None)
    await told_all(one)
    async with asyncio.timeout(5):
        while other.memory.recall("default", made.file_id) is not None:  # noqa: ASYNC110 - news comes when it comes
            await asyncio.sleep(0.01)
    assert (await other.reads.find(ANN, made.file_id)).file.attributes.tags == ("x",)


async def test_an_element_that_is_away_leaves_what_is_known_and_says_so(start: Start, clock: ManualClock) -> None:
    one: FileService = await start()
    made = await put(one)
    other: FileService = await start(configured=[], open_element=_nowhere)
    clock.advance(3)
    await other.registry.standings()
    seen = await other.reads.find(ANN, made.file_id)
    assert seen.is_stale
    with pytest.raises(ContentAway) as caught:
        await other.reads.content(seen.file, start=0, end=5)
    assert caught.value.headers["Retry-After"]
    assert not (await one.reads.find(ANN, made.file_id)).is_stale


async def test_a_row_that_was_lost_is_made_up_for_at_the_next_start(
    start: Start, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    # As a process leaves it that dies between the file and its row.
    disk = DiskElement(tmp_path / "files" / "edit", element_id="edit", mode=Mode.EDIT, clock=clock)
    first: FileService = await start(configured=[], open_element=_nowhere)
    draft = first.ingest.draft(ANN, Intent(filename="late.txt"))
    await disk.start()
    await disk.write(draft, pieces(b"late"))
    await disk.close()
    files: FileService = await start()
    assert await read_whole(files, ANN, draft.file_id) == b"late"
    assert await files.projector.catch_up() == 0


async def test_news_of_a_process_that_died_is_told_by_another(
    files: FileService, database: Database, clock: ManualClock, told: list[FileEvent]
) -> None:
    attributes = (await files.reads.find(ANN, (await put(files)).file_id)).file.attributes
    dead = Projector(database=database, registry=files.registry, clock=clock, news=News())
    await dead.project(msgspec.structs.replace(attributes, file_id=str(uuid.UUID(int=7))))
    await files.teller.tell_all()
    assert {event.file_id for event in told} == {attributes.file_id}
    clock.advance(TOLD_BY_ITSELF.total_seconds() + 1)
    await files.teller.tell_all()
    assert [event.file_id for event in told] == [attributes.file_id, str(uuid.UUID(int=7))]
    await files.teller.tell_all()
    assert len(told) == 2


async def test_the_same_attributes_told_again_and_at_once_count_once(files: FileService, database: Database) -> None:
    made = await put(files)
    attributes = (await files.reads.find(ANN, made.file_id)).file.attributes

    async def again() -> int:
        async with database.transaction() as tx:
            return sum(map(len, await perform(tx, projection.project([attributes, attributes]))))

    assert await asyncio.gather(*[again() for _ in range(4)]) == [0, 0, 0, 0]
    assert (await files.reads.usage(ANN, "person_ann"))[:2] == (1, 5)
    older = msgspec.structs.replace(attributes, revision=0, tags=("old",))
    async with database.transaction() as tx:
        assert await perform(tx, projection.project([older])) == ([], [])


async def test_files_with_one_number_take_the_next(files: FileService, database: Database) -> None:
    made = await put(files)
    attributes = (await files.reads.find(ANN, made.file_id)).file.attributes
    # The same millisecond and the same last bits; another middle.
    twin = f"{made.file_id[:19]}{'8' if made.file_id[19] != '8' else '9'}{made.file_id[20:]}"
    for file_id in (twin, f"{twin[:20]}000{twin[23:]}"):
        async with database.transaction() as tx:
            told = msgspec.structs.replace(attributes, file_id=file_id)
            assert [one.file_id for one in (await perform(tx, projection.project([told]))).new] == [file_id]
    assert len((await files.reads.page(ANN, _all(), limit=10)).items) == 3


async def test_of_two_uploads_that_fit_one_by_one_only_one_passes(start: Start) -> None:
    files: FileService = await start(rules=IngestRules(max_bytes=10))
    tried = await asyncio.gather(
        *[files.ingest.upload(ANN, Intent(filename="a", expected_bytes=6), pieces(b"123456")) for _ in range(2)],
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in tried) == ["FileAnswer", "QuotaReached"]
    # Nothing of ours failed: who counts failures for an alarm sees none.
    assert {result.value for _, result in files.figures().operations} == {"success", "refused"}
    await put(files, BOB, b"123456")
    await put(files, ANN, b"1234", expected_bytes=4)
    with pytest.raises(QuotaReached):
        await put(files, ANN, b"1", expected_bytes=1)


async def test_a_refused_upload_gives_its_room_back(start: Start) -> None:
    files: FileService = await start(rules=IngestRules(max_files=1))
    with pytest.raises(ContentDiffers):
        await put(files, expected_checksum="0" * 64)
    await put(files)
    with pytest.raises(QuotaReached):
        await put(files)


async def test_room_that_nobody_gave_back_is_free_in_a_day(
    start: Start, clock: ManualClock, database: Database
) -> None:
    files: FileService = await start(rules=IngestRules(max_files=1))
    until = clock.now() + timedelta(days=1)
    async with database.transaction() as tx:
        assert await owners.hold(
            tx, ANN.team_id, ANN.id, hold_id="hold_1", size_bytes=1, limits=(1, 0), expires_at=until
        )
    with pytest.raises(QuotaReached):
        await put(files)
    clock.advance(86_401)
    await files.sweep()
    await put(files)


async def test_bounds_of_one_owner_go_before_those_of_all(start: Start, clock: ManualClock) -> None:
    files: FileService = await start(rules=IngestRules(max_files=1))
    await files.changes.bound(ADMIN, "person_ann", max_files=2, max_bytes=None)
    await put(files)
    await put(files)
    with pytest.raises(QuotaReached):
        await put(files)
    with pytest.raises(Forbidden):
        await files.changes.bound(ANN, "person_ann", max_files=9, max_bytes=None)


async def test_an_element_that_refuses_before_a_byte_gives_way_to_the_next(
    start: Start, tmp_path: Path, clock: ManualClock
) -> None:
    folders = tmp_path / "files"
    first = element(folders, Mode.RW, clock, priority=1)
    second = element(folders, Mode.EDIT, clock)
    files: FileService = await start(configured=[first, second])
    await files.registry.standings()
    # Behind the registry's back: it still thinks that the first takes files.
    await files.registry.serving("rw").lower_mode(Mode.RO)
    assert (await put(files, retention=PERMANENT)).storage_element_id == "edit"


async def test_a_rebuilt_row_may_be_of_a_team_that_nobody_knows(files: FileService, database: Database) -> None:
    made = await put(files)
    attributes = (await files.reads.find(ANN, made.file_id)).file.attributes
    other = msgspec.structs.replace(
        attributes,
        file_id=f"00{made.file_id[2:]}",
        team_id="lost",
        retention=Retention(kind=PERMANENT),
    )
    async with database.transaction() as tx:
        await perform(tx, projection.project([other]))
    assert (await files.reads.find(caller("ann", team_id="lost"), other.file_id)).file.attributes == other


def _found(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def _all(**said: object) -> FileQuery:
    return FileQuery(**said)  # type: ignore[arg-type]


def _nowhere(one: Element) -> StorageElement:
    return DiskElement(Path("/proc/nowhere"), element_id=one.id, mode=one.mode, clock=ManualClock())
