"""Rows are believed for a day, and then compared with the attributes that they are made from."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from samovar.adapters.disk import DiskElement
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.model.records import StoredFile
from samovar.domains.files.service import FileService
from samovar.domains.files.service.confirming import Confirming
from samovar.domains.files.store import tables
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, StorageElement
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ANN, Start, put
from tests.support.clock import ManualClock

DAY_S = 86_400


class Asked(DiskElement):
    """An element on a disk that counts how often it is asked for attributes, and answers when it may."""

    count = 0
    answers: asyncio.Event | None = None

    async def attributes(self, path: str) -> Attributes:
        self.count += 1
        if self.answers is not None:
            await self.answers.wait()
        return await super().attributes(path)


@pytest.fixture
async def files(start: Start, clock: ManualClock) -> FileService:
    """A process whose elements count."""

    def opened(one: Element) -> StorageElement:
        return Asked(Path(one.url.removeprefix("file://")), element_id=one.id, mode=one.mode, clock=clock)

    found: FileService = await start(open_element=opened)
    return found


@pytest.fixture
def asked(files: FileService) -> Asked:
    """The element of temporary files."""
    element: Any = files.registry.serving("edit")
    return element  # type: ignore[no-any-return]


Read = Callable[[str], Any]


@pytest.fixture
def row_of(files: FileService, clock: ManualClock) -> Read:
    """Reads a file that neither memory nor what processes share knows."""

    async def read(file_id: str) -> StoredFile:
        clock.advance(3_601)
        return (await files.reads.find(ANN, file_id)).file

    return read


async def test_a_row_is_compared_when_it_is_a_day_old_and_then_believed_for_another(
    files: FileService, asked: Asked, clock: ManualClock, row_of: Read
) -> None:
    made = await put(files, ttl_days=9)
    asked.count = 0
    clock.advance(DAY_S - 3_602)
    before = await row_of(made.file_id)
    assert asked.count == 0
    assert await row_of(made.file_id) == before
    assert asked.count == 1
    for _ in range(3):
        # Memory is not compared.
        assert files.reads.recall(ANN, made.file_id) is not None
    assert asked.count == 1
    await files.confirming.close()
    for _ in range(20):
        assert (await row_of(made.file_id)).attributes == before.attributes
    assert asked.count == 1
    clock.advance(DAY_S)
    await row_of(made.file_id)
    assert asked.count == 2


async def test_a_row_that_is_behind_or_wrong_says_what_the_attributes_say(
    files: FileService, asked: Asked, clock: ManualClock, row_of: Read, database: Database
) -> None:
    behind, wrong, ahead = [await put(files, filename=name, ttl_days=9) for name in ("a", "b", "c")]
    stands = (await row_of(behind.file_id)).attributes
    amended = await asked.amend(msgspec.structs.replace(stands, revision=2, tags=("later",)))
    async with database.transaction() as tx:
        for made, said in ((wrong, {"filename": "forged"}), (ahead, {"revision": 7, "filename": "forged"})):
            await tx.execute(update(tables.files).where(tables.files.c.file_id == made.file_id).values(**said))
    assert (await row_of(behind.file_id)).attributes == stands
    assert (await row_of(wrong.file_id)).attributes.filename == "forged"
    clock.advance(DAY_S)
    assert (await row_of(behind.file_id)).attributes == amended
    assert (await row_of(wrong.file_id)).attributes.filename == "b"
    found = (await row_of(ahead.file_id)).attributes
    assert (found.filename, found.revision) == ("c", 1)
    # And so says the row itself.
    for made, revision in ((behind, 2), (wrong, 1), (ahead, 1)):
        assert (await files.reads.fresh(ANN, made.file_id)).attributes.revision == revision


async def test_a_file_that_moved_and_whose_row_does_not_know_is_followed(
    files: FileService, asked: Asked, care: Care, clock: ManualClock, row_of: Read, database: Database
) -> None:
    made = await put(files, ttl_days=9)
    row = await files.reads.fresh(ANN, made.file_id)
    await care(files).retention.finalize(ANN, made.file_id)
    await care(files).retention.move("default", made.file_id)
    async with database.transaction() as tx:
        said = {"element_id": "edit", "revision": 1, "retention": "temporary"}
        of = tables.files.c.file_id == made.file_id
        await tx.execute(update(tables.files).where(of).values(**said, expires_at=row.attributes.retention.expires_at))
    clock.advance(DAY_S)
    assert (await row_of(made.file_id)).attributes.storage_element_id == "rw"


async def test_an_element_that_lost_the_file_or_is_away_leaves_the_row(
    files: FileService, asked: Asked, clock: ManualClock, row_of: Read, tmp_path: Path
) -> None:
    made = await put(files, ttl_days=9)
    row = (await row_of(made.file_id)).attributes
    (tmp_path / "files" / "edit" / f"{row.path}.attr.json").unlink()
    clock.advance(DAY_S)
    assert (await row_of(made.file_id)).attributes == row
    await asked.close()
    assert (await row_of(made.file_id)).attributes == row


async def test_a_slow_element_is_waited_for_once_and_not_for_long(
    files: FileService, asked: Asked, clock: ManualClock, database: Database
) -> None:
    made = await put(files, ttl_days=9)
    file = await files.reads.fresh(ANN, made.file_id)
    amended = await asked.amend(msgspec.structs.replace(file.attributes, revision=2))
    clock.advance(DAY_S)
    confirming = Confirming(
        database=database, registry=files.registry, projector=files.projector, clock=clock, wait_s=0.05
    )
    asked.count, asked.answers = 0, asyncio.Event()
    assert await asyncio.gather(*[confirming.confirmed(file) for _ in range(10)]) == [file] * 10
    assert asked.count == 1
    asked.answers.set()
    patient = Confirming(database=database, registry=files.registry, projector=files.projector, clock=clock, wait_s=30)
    assert (await patient.confirmed(file)).attributes == amended
    await confirming.close()
    await patient.close()


async def test_what_a_scrub_looked_at_is_believed(
    files: FileService, asked: Asked, care: Care, clock: ManualClock, row_of: Read
) -> None:
    made = await put(files, ttl_days=9)
    clock.advance(2 * DAY_S)
    await care(files).scrubber.run("edit")
    asked.count = 0
    await row_of(made.file_id)
    assert asked.count == 0
