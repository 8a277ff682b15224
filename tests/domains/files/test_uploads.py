"""Uploads in pieces: what they hold, how they end, and who goes on with them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from samovar.domains.files.errors import QuotaReached, UploadBusy, UploadGone, UploadInterrupted, UploadUnknown
from samovar.domains.files.model.choosing import ElementState
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.model.uploads import UploadStands
from samovar.domains.files.service import ElementChange, FileService, IngestRules
from samovar.domains.files.service.ingest import Piece
from samovar.domains.files.store import owners
from samovar.domains.files.store import uploads as store
from samovar.kernel.errors import BodyTooLarge
from samovar.ports.database import Database
from tests.domains.files.conftest import ADMIN, ANN, BOB, Start, pieces, read_whole
from tests.support.clock import ManualClock


async def begun(files: FileService, length: int | None = 6, **more: object) -> str:
    intent = Intent(filename="a.txt", expected_bytes=length, **more)  # type: ignore[arg-type]
    return (await files.uploads.create(ANN, intent, "")).upload.file_id


async def added(files: FileService, file_id: str, at: int, *content: bytes, **more: int) -> UploadStands:
    return await files.uploads.append(ANN, file_id, Piece(offset_bytes=at, content=pieces(*content), **more))  # type: ignore[arg-type]


async def held_bytes(database: Database) -> int:
    async with database.reading() as tx:
        row = (await tx.exec_driver_sql("SELECT held_bytes FROM file_owners")).one_or_none()
    return 0 if row is None else int(row[0])


async def test_with_its_last_byte_an_upload_is_a_file_that_is_found(files: FileService) -> None:
    file_id = await begun(files, tags=("tea",))
    assert (await added(files, file_id, 0, b"t", b"ea")).offset_bytes == 3
    ended = await added(files, file_id, 3, b"pot")
    assert ended.is_finished
    assert await read_whole(files, ANN, file_id) == b"teapot"
    assert (await files.reads.find(ANN, file_id)).file.attributes.tags == ("tea",)
    assert await files.uploads.look(ANN, file_id) == ended


async def test_another_process_goes_on_with_an_upload(start: Start, database: Database) -> None:
    first = await start()
    file_id = await begun(first)
    await added(first, file_id, 0, b"tea")
    for element in first.registry.started():
        await element.close()
    second = await start()
    assert (await second.uploads.look(ANN, file_id)).offset_bytes == 3
    assert (await added(second, file_id, 3, b"pot")).is_finished


async def test_an_upload_whose_last_answer_was_lost_is_a_file_for_whoever_asks(
    files: FileService, database: Database
) -> None:
    file_id = await begun(files)
    element = files.registry.serving("edit")
    await element.append(file_id, offset_bytes=0, content=pieces(b"teapot"))
    # Whoever took the last byte died before it was made a file.
    assert (await files.uploads.look(ANN, file_id)).is_finished
    assert await read_whole(files, ANN, file_id) == b"teapot"
    again = await begun(files)
    await element.append(again, offset_bytes=0, content=pieces(b"teapot"))
    await element.finish(again)
    # And here after it.
    assert (await files.uploads.look(ANN, again)).is_finished
    assert await read_whole(files, ANN, again) == b"teapot"


async def test_room_is_held_from_the_beginning_and_given_back_at_each_end(start: Start, database: Database) -> None:
    files = await start(rules=IngestRules(max_bytes=10))
    first = await begun(files, 6)
    assert await held_bytes(database) == 6
    with pytest.raises(QuotaReached):
        await begun(files, 5)
    await files.uploads.terminate(ANN, first)
    assert await held_bytes(database) == 0
    second = await begun(files, 6)
    await added(files, second, 0, b"teapot")
    assert await held_bytes(database) == 0
    async with database.reading() as tx:
        assert (await owners.usage(tx, "default", "person_ann")).size_bytes == 6


async def test_an_upload_without_a_length_holds_room_as_it_comes(start: Start, database: Database) -> None:
    files = await start(rules=IngestRules(max_bytes=10))
    file_id = await begun(files, None)
    await added(files, file_id, 0, b"tea")
    with pytest.raises(QuotaReached):
        await added(files, file_id, 3, b"far too much of it")
    with pytest.raises(QuotaReached):
        await added(files, file_id, 3, b"", length_bytes=11)
    assert (await added(files, file_id, 3, b"pot", length_bytes=6)).is_finished
    assert await held_bytes(database) == 0


async def test_what_nobody_goes_on_with_is_gone_and_gives_its_room_back(
    start: Start, database: Database, clock: ManualClock
) -> None:
    files = await start(rules=IngestRules(max_bytes=10))
    file_id = await begun(files)
    clock.advance(timedelta(hours=20).total_seconds())
    await added(files, file_id, 0, b"tea")
    clock.advance(timedelta(hours=20).total_seconds())
    await files.sweep()
    assert (await files.uploads.look(ANN, file_id)).offset_bytes == 3
    clock.advance(timedelta(hours=25).total_seconds())
    with pytest.raises(UploadGone):
        await files.uploads.look(ANN, file_id)
    assert await held_bytes(database) == 6
    await files.sweep()
    assert await held_bytes(database) == 0
    with pytest.raises(UploadUnknown):
        await files.uploads.look(ANN, file_id)
    async with database.reading() as tx:
        assert await store.one(tx, "default", file_id) is None


async def test_more_than_was_announced_is_not_taken(files: FileService) -> None:
    file_id = await begun(files)
    with pytest.raises(BodyTooLarge):
        await added(files, file_id, 0, b"teapots", size_bytes=7)
    with pytest.raises(BodyTooLarge):
        await added(files, file_id, 0, b"tea", b"pots")
    stands = (await files.uploads.look(ANN, file_id)).offset_bytes
    assert (await added(files, file_id, stands, b"teapot"[stands:])).is_finished


async def test_one_adds_at_a_time_until_somebody_asks(files: FileService) -> None:
    file_id = await begun(files)
    came = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"tea"
        came.set()
        await asyncio.Event().wait()

    adding = asyncio.create_task(files.uploads.append(ANN, file_id, Piece(offset_bytes=0, content=slow())))
    await came.wait()
    with pytest.raises(UploadBusy):
        await added(files, file_id, 0, b"teapot")
    assert (await files.uploads.look(ANN, file_id)).offset_bytes == 3
    with pytest.raises(UploadInterrupted):
        await adding
    assert (await added(files, file_id, 3, b"pot")).is_finished


async def test_only_its_owner_knows_of_an_upload(files: FileService) -> None:
    file_id = await begun(files)
    with pytest.raises(UploadUnknown):
        await files.uploads.look(BOB, file_id)
    with pytest.raises(UploadUnknown):
        await files.uploads.terminate(BOB, file_id)


@pytest.mark.parametrize("ends", ["in its time", "given up"])
async def test_an_upload_to_an_element_that_is_lost_ends_and_gives_its_room_back(
    start: Start, database: Database, clock: ManualClock, ends: str
) -> None:
    files = await start(rules=IngestRules(max_bytes=10))
    file_id = await begun(files)
    await added(files, file_id, 0, b"tea")
    lost = ElementChange(state=ElementState.LOST)
    await files.elements.change(ADMIN, "edit", lost, expected=None, confirm="edit")
    if ends == "given up":
        await files.uploads.terminate(ANN, file_id)
    else:
        clock.advance(files.uploads.rules.ttl_s + 1)
        await files.sweep()
    assert await held_bytes(database) == 0
    assert (await files.desk.find(ANN, file_id)).finished_at is not None
    with pytest.raises(UploadUnknown):
        await files.uploads.look(ANN, file_id)
