"""Deleting a file: all of it or nothing, and to its end though the process dies in it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from samovar.adapters.disk import DiskElement
from samovar.domains.files.errors import ContentAway, FileUnknown
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.model.records import FileEvent, FileHappened
from samovar.domains.files.service import Amendment, FileService
from samovar.kernel.errors import StaleRevision, Unavailable
from samovar.ports.database import Database
from samovar.ports.elements import (
    Attributes,
    ElementUnavailable,
    FileNotThere,
    Mode,
    ModeRefused,
    RetentionKind,
    StorageElement,
)
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ANN, Start, element, put, read_whole, told_all
from tests.domains.files.test_news import Away
from tests.support.clock import ManualClock


class Dying(Exception):
    """As if the process had been killed here."""


class Mortal(DiskElement):
    """An element on a disk whose process dies in deletions: before it, or after; or before a file is claimed for one."""

    dies = ""

    async def amend(self, attributes: Attributes) -> Attributes:
        if self.dies == "before the claim":
            raise Dying
        return await super().amend(attributes)

    async def delete(self, path: str) -> None:
        if self.dies == "before":
            raise Dying
        await super().delete(path)
        if self.dies == "after":
            raise Dying


@pytest.fixture
def mortal(clock: ManualClock) -> Callable[[Element], StorageElement]:
    """Opens such elements."""

    def opened(one: Element) -> StorageElement:
        return Mortal(Path(one.url.removeprefix("file://")), element_id=one.id, mode=one.mode, clock=clock)

    return opened


async def _died(files: FileService, file_id: str, when: str, *, on: str = "edit", expected: int | None = None) -> None:
    dying: Any = files.registry.serving(on)
    dying.dies = when
    with pytest.raises(Dying):
        await files.changes.delete(ANN, file_id, expected=expected)
    dying.dies = ""


async def _all_told(database: Database) -> None:
    """Wait until there is neither news nor a note."""
    async with asyncio.timeout(10):
        while True:
            async with database.reading() as tx:
                if not (await tx.exec_driver_sql("SELECT count(*) FROM file_outbox")).scalar_one():
                    return
            # The process's own teller may be at it.
            await asyncio.sleep(0.01)


async def test_a_deletion_that_died_before_its_row_went_is_brought_to_its_end(
    start: Start, clock: ManualClock, database: Database, told: list[FileEvent], mortal: Any
) -> None:
    files: FileService = await start(open_element=mortal)
    made, other = await put(files), await put(files, ANN, b"other")
    await _died(files, made.file_id, "after")
    with pytest.raises(ContentAway):
        await read_whole(files, ANN, made.file_id)
    await told_all(files)
    assert (await files.reads.find(ANN, made.file_id)).file.attributes.file_id == made.file_id
    clock.advance(61)
    await told_all(files)
    await _all_told(database)
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)
    assert (await files.reads.usage(ANN, "person_ann"))[:2] == (1, 5)
    assert [one.happened for one in told if one.file_id == made.file_id][-1:] == [FileHappened.DELETED]
    assert FileHappened.DELETING not in {one.happened for one in told}
    assert await read_whole(files, ANN, other.file_id) == b"other"


async def test_a_deletion_that_died_before_the_file_went_leaves_the_file(
    start: Start, clock: ManualClock, database: Database, mortal: Any
) -> None:
    files: FileService = await start(open_element=mortal)
    made = await put(files)
    await _died(files, made.file_id, "before")
    for _ in range(61):
        clock.advance(60)
        await told_all(files)
        assert await read_whole(files, ANN, made.file_id) == b"hello"
    await _all_told(database)


async def test_a_deletion_whose_element_is_away_when_it_is_looked_after_waits_for_it(
    start: Start, clock: ManualClock, database: Database, mortal: Any
) -> None:
    files: FileService = await start(open_element=mortal)
    made = await put(files)
    await _died(files, made.file_id, "after")
    away: Any = files.registry.serving("edit")
    away._started = False
    clock.advance(61)
    await told_all(files)
    assert (await files.reads.find(ANN, made.file_id)).file.attributes.file_id == made.file_id
    away._started = True
    clock.advance(61)
    await told_all(files)
    await _all_told(database)
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)


async def test_what_one_element_refuses_takes_nothing_from_the_others(files: FileService, care: Care) -> None:
    made = await put(files, ANN, b"twice", retention=RetentionKind.PERMANENT, replicas=2)
    file = await care(files).replicas.tend("default", made.file_id)
    assert file is not None
    assert [copy.element_id for copy in file.copies] == ["rw", "edit"]
    with pytest.raises(ModeRefused, match="rw"):
        await files.changes.delete(ANN, made.file_id)
    for copy in file.copies:
        assert (await files.registry.serving(copy.element_id).attributes(copy.path)).file_id == made.file_id
    assert await read_whole(files, ANN, made.file_id) == b"twice"


async def test_what_one_element_cannot_be_asked_takes_nothing_from_the_others(
    start: Start, care: Care, clock: ManualClock, tmp_path: Path
) -> None:
    configured = [element(tmp_path, Mode.EDIT, clock, id=name, url=(tmp_path / name).as_uri()) for name in "ab"]
    files: FileService = await start(configured=configured)
    made = await put(files, ANN, b"twice", retention=RetentionKind.PERMANENT, replicas=2)
    file = await care(files).replicas.tend("default", made.file_id)
    assert file is not None
    original, replica = (copy.element_id for copy in file.copies)
    await files.registry.serving(original).close()
    with pytest.raises(ElementUnavailable, match="nothing was deleted"):
        await files.changes.delete(ANN, made.file_id)
    assert (await files.registry.serving(replica).attributes(file.attributes.path)).replica_of == original


async def test_a_deletion_of_what_was_seen_spares_what_was_changed_since(files: FileService) -> None:
    made = await put(files)
    await files.changes.amend(ANN, made.file_id, Amendment(tags=("dear",)), expected=1)
    with pytest.raises(StaleRevision):
        await files.changes.delete(ANN, made.file_id, expected=1)
    assert await read_whole(files, ANN, made.file_id) == b"hello"
    await files.changes.delete(ANN, made.file_id, expected=2)
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)


class Crossed(DiskElement):
    """An element on a disk: whoever looks at a file is so slow that another changes it first."""

    crossed = False

    async def attributes(self, path: str) -> Attributes:
        stands = await super().attributes(path)
        if self.crossed:
            self.crossed = False
            await super().amend(msgspec.structs.replace(stands, tags=("dear",), revision=stands.revision + 1))
        return stands


async def test_a_change_that_crosses_a_deletion_of_what_was_seen_wins(start: Start, clock: ManualClock) -> None:
    def opened(one: Element) -> StorageElement:
        return Crossed(Path(one.url.removeprefix("file://")), element_id=one.id, mode=one.mode, clock=clock)

    files: FileService = await start(open_element=opened)
    made = await put(files)
    crossed: Any = files.registry.serving("edit")
    crossed.crossed = True
    with pytest.raises(StaleRevision):
        await files.changes.delete(ANN, made.file_id, expected=1)
    assert await read_whole(files, ANN, made.file_id) == b"hello"


async def test_a_deletion_of_what_was_seen_that_died_is_asked_for_again_and_nobody_changes_it_meanwhile(
    start: Start, mortal: Any
) -> None:
    files: FileService = await start(open_element=mortal)
    made = await put(files)
    await _died(files, made.file_id, "before", expected=1)
    with pytest.raises(StaleRevision):
        await files.changes.amend(ANN, made.file_id, Amendment(tags=("late",)), expected=None)
    await files.changes.delete(ANN, made.file_id, expected=1)
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)


async def _settled(files: FileService, clock: ManualClock, database: Database, *, times: int = 1) -> None:
    """Whoever looks after what the dead left has looked, until nothing is noted."""
    for _ in range(times):
        clock.advance(61)
        await told_all(files)
    await _all_told(database)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_deletion_of_what_was_seen_that_died_is_brought_to_its_end(
    start: Start, clock: ManualClock, database: Database, told: list[FileEvent], mortal: Any, when: str
) -> None:
    files: FileService = await start(open_element=mortal)
    made, other = await put(files), await put(files, ANN, b"other")
    path = (await files.reads.find(ANN, made.file_id)).file.attributes.path
    await _died(files, made.file_id, when, expected=1)
    await _settled(files, clock, database)
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)
    with pytest.raises(FileNotThere):
        await files.registry.serving("edit").attributes(path)
    assert (await files.reads.usage(ANN, "person_ann"))[:2] == (1, 5)
    assert [one.happened for one in told if one.file_id == made.file_id][-1:] == [FileHappened.DELETED]
    assert await read_whole(files, ANN, other.file_id) == b"other"


async def test_a_deletion_of_what_was_seen_that_died_with_one_copy_left_takes_that_too(
    start: Start, care: Care, clock: ManualClock, database: Database, mortal: Any, tmp_path: Path
) -> None:
    configured = [element(tmp_path, Mode.EDIT, clock, id=name, url=(tmp_path / name).as_uri()) for name in "ab"]
    files: FileService = await start(configured=configured, open_element=mortal)
    made = await put(files, ANN, b"twice", retention=RetentionKind.PERMANENT, replicas=2)
    file = await care(files).replicas.tend("default", made.file_id)
    assert file is not None
    original, replica = (copy.element_id for copy in file.copies)
    await _died(files, made.file_id, "before", on=original, expected=1)
    with pytest.raises(FileNotThere):
        await files.registry.serving(replica).attributes(file.attributes.path)
    await _settled(files, clock, database)
    with pytest.raises(FileNotThere):
        await files.registry.serving(original).attributes(file.attributes.path)
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)


async def test_a_deletion_of_what_was_seen_that_died_before_its_claim_leaves_the_file_and_who_changes_it(
    start: Start, clock: ManualClock, database: Database, mortal: Any
) -> None:
    files: FileService = await start(open_element=mortal)
    made = await put(files)
    await _died(files, made.file_id, "before the claim", expected=1)
    await files.changes.amend(ANN, made.file_id, Amendment(tags=("dear",)), expected=1)
    await _settled(files, clock, database, times=61)
    assert (await files.reads.find(ANN, made.file_id)).file.attributes.tags == ("dear",)
    assert await read_whole(files, ANN, made.file_id) == b"hello"


async def test_a_deletion_is_brought_to_its_end_while_news_waits_for_the_cache(
    start: Start, clock: ManualClock, mortal: Any
) -> None:
    cache = Away(clock=clock)
    files: FileService = await start(cache=cache, open_element=mortal)
    made, other = await put(files), await put(files)
    await told_all(files)
    await _died(files, made.file_id, "after")
    cache.is_away = True
    await files.changes.delete(ANN, other.file_id)
    clock.advance(61)
    # The process's own teller may have met that.
    with suppress(Unavailable):
        await files.teller.tell_all()
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)


async def test_a_claimed_file_stays_where_its_element_does_not_delete_any_more(
    start: Start, clock: ManualClock, database: Database, mortal: Any
) -> None:
    files: FileService = await start(modes=(Mode.EDIT,), open_element=mortal)
    made = await put(files)
    await _died(files, made.file_id, "before", expected=1)
    serving: Any = files.registry.serving("edit")
    serving._mode = Mode.RO
    await _settled(files, clock, database, times=61)
    assert await read_whole(files, ANN, made.file_id) == b"hello"
