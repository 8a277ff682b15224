"""A rebuild of more files than one batch takes: the next are read and made ready while the last are written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import delete, func, select

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.disk import DiskElement
from samovar.adapters.system import SystemIds
from samovar.domains.files.model.names import stored_path
from samovar.domains.files.model.rounds import Extent, Fault, Round, RoundKind
from samovar.domains.files.service import FileService
from samovar.domains.files.service.care.rounds import read_ahead
from samovar.domains.files.store import tables
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database, Tx
from samovar.ports.elements import Attributes, ElementUnavailable, Found, Mode, Retention, RetentionKind
from tests.domains.files.caring import Care
from tests.domains.files.conftest import Start
from tests.domains.files.sagas import Mortal
from tests.support.clock import ManualClock

BATCH, MANY = 500, 1_200
ALL = (tables.marks, tables.files, tables.copies, tables.spaces, tables.owners)


class Watched(DiskElement):
    """Calls ``on_way`` with how many things its walk has given."""

    def __init__(self, root: Path, *, clock: ManualClock) -> None:
        super().__init__(root, element_id="edit", mode=Mode.EDIT, clock=clock)
        self.on_way: Callable[[int], Awaitable[None]] = _nothing
        self.walking = 0

    async def walk(self, *, after: str = "") -> AsyncIterator[Found]:
        self.walking += 1
        try:
            given = 0
            async for found in super().walk(after=after):
                await self.on_way(given)
                yield found
                given += 1
        finally:
            self.walking -= 1


class Dying(Mortal):
    """Dies when it has committed so many batches, before the next is."""

    def __init__(self, database: Database, commits: int) -> None:
        super().__init__(database)
        self._left = commits

    @asynccontextmanager
    async def visible(self) -> AsyncIterator[Tx]:
        async with super().visible() as tx:
            yield tx
            self.is_dead = self._left == 0
            self._left -= 1


async def _nothing(given: int) -> None:
    pass


@pytest.fixture
def many(tmp_path: Path, clock: ManualClock) -> list[Attributes]:
    """Files as an element leaves them, in the order of its walk; two of the second batch have one number."""
    made = []
    for number in range(MANY):
        at = clock.now() - timedelta(days=20) + timedelta(milliseconds=BATCH if number == BATCH + 1 else number)
        at_ms, chance = int(at.timestamp() * 1000), (number == BATCH + 1) << 21
        file_id = str(UUID(int=(at_ms << 80) | (7 << 76) | (2 << 62) | chance))
        path = stored_path(file_id=file_id, filename=f"{number:04}.txt", owner="ann", created_at=at)
        made.append(
            Attributes(
                file_id=file_id,
                path=path,
                filename=f"{number:04}.txt",
                content_type="text/plain",
                size_bytes=1,
                checksum="0" * 64,
                storage_element_id="edit",
                created_at=at,
                team_id="default",
                owner=f"person_{number % 3}",
                retention=Retention(kind=RetentionKind.PERMANENT),
                revision=1,
                tags=("many", f"t{number % 2}"),
            )
        )
        file = tmp_path / "files" / "edit" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
        Path(f"{file}.attr.json").write_bytes(msgspec.json.encode(made[-1]))
    return sorted(made, key=lambda one: one.path)


@pytest.fixture
async def watched(
    many: list[Attributes], start: Start, tmp_path: Path, clock: ManualClock
) -> tuple[FileService, Watched]:
    """A process with these files on its one element, and no rows."""
    one = Watched(tmp_path / "files" / "edit", clock=clock)
    return await start(modes=(Mode.EDIT,), open_element=lambda _: one), one


async def _rows(database: Database) -> dict[str, Any]:
    """All that the tables say but for the numbers: of two that want one, whoever comes first has it."""
    said = {}
    async with database.reading() as tx:
        for table in ALL:
            shown = [column for column in table.columns if column.name != "number"]
            said[table.name] = sorted([repr(row) for row in await tx.execute(select(*shown))])
    return said


async def _count(database: Database, table: Any) -> int:
    async with database.reading() as tx:
        return await tx.scalar(select(func.count()).select_from(table)) or 0


async def _is_whole(care: Care, files: FileService, database: Database) -> dict[str, Any]:
    """Rebuild once more what is there; the rows."""
    done = await care(files).rebuilder.run("edit", Extent.FULL)
    assert (done.report.met, done.finished_at is not None) == (MANY, True)
    assert set(done.report.faults) <= {Fault.ROW_MISSING}
    counts = [await _count(database, table) for table in (tables.files, tables.copies, tables.marks)]
    assert counts == [MANY, MANY, 2 * MANY]
    assert not (await care(files).checker.run("edit")).report.findings
    return await _rows(database)


async def _says_what_is_written(care: Care, files: FileService, database: Database, many: list[Attributes]) -> Round:
    """The last round is of whole batches, and of those whose rows stand."""
    said = await care(files).rounds.last("edit", RoundKind.REBUILD)
    assert said is not None
    assert said.finished_at is None
    assert said.report.met % BATCH == 0
    assert said.cursor == many[said.report.met - 1].path
    assert said.report.faults == {Fault.ROW_MISSING: said.report.met}
    assert await _count(database, tables.files) == await _count(database, tables.copies) == said.report.met
    assert await _count(database, tables.marks) == 2 * said.report.met
    return said


async def test_rows_come_out_the_same_whatever_of_them_stood_before(
    watched: tuple[FileService, Watched], care: Care, database: Database, many: list[Attributes]
) -> None:
    files, _ = watched
    rows = await _is_whole(care, files, database)
    ids = [one.file_id for one in many]
    for table, lost in (
        (tables.files, ids),
        (tables.copies, ids),
        (tables.files, ids[450:]),
        (tables.copies, ids[::3]),
    ):
        async with database.transaction() as tx:
            await tx.execute(delete(table).where(table.c.file_id.in_(lost)))
        assert await _is_whole(care, files, database) == rows


async def test_files_that_are_taken_in_beside_a_rebuild_stand_once_and_are_counted_once(
    watched: tuple[FileService, Watched], care: Care, database: Database, many: list[Attributes]
) -> None:
    files, element = watched

    async def take_in(given: int) -> None:
        # The first of a batch that is being read, once its rows are made; and one of those that are being written now.
        if given in (BATCH + 10, 2 * BATCH + 1):
            await files.projector.project(many[given - 5])
            await files.projector.project(many[given - BATCH])

    element.on_way = take_in
    done = await care(files).rebuilder.run("edit", Extent.FULL)
    element.on_way = _nothing
    assert done.report.met == MANY
    rows = await _rows(database)
    assert await _is_whole(care, files, database) == rows


async def test_what_was_read_before_an_element_went_away_stands_and_the_round_says_so(
    watched: tuple[FileService, Watched], care: Care, database: Database, many: list[Attributes]
) -> None:
    files, element = watched

    async def unplugged(given: int) -> None:
        if given == 2 * BATCH + 100:
            raise ElementUnavailable("Its disk is away.")

    element.on_way = unplugged
    tasks = asyncio.all_tasks()
    with pytest.raises(ElementUnavailable, match="away"):
        await care(files).rebuilder.run("edit", Extent.FULL)
    assert (asyncio.all_tasks(), element.walking) == (tasks, 0)
    assert (await _says_what_is_written(care, files, database, many)).report.met == 2 * BATCH
    element.on_way = _nothing
    await _is_whole(care, files, database)


@pytest.mark.parametrize("commits", [0, 1, 2])
async def test_a_batch_that_cannot_be_written_ends_the_reading_of_the_next(
    commits: int,
    watched: tuple[FileService, Watched],
    database: Database,
    care: Care,
    many: list[Attributes],
    clock: ManualClock,
    ids: SystemIds,
    box: AesGcmBox,
) -> None:
    files, element = watched

    async def never_ends(given: int) -> None:
        if given == (commits + 1) * BATCH + 50:
            await asyncio.Event().wait()

    element.on_way = never_ends
    tasks = asyncio.all_tasks()
    with pytest.raises(Unavailable, match="dead"):
        await Care(Dying(database, commits), clock, ids, box)(files).rebuilder.run("edit", Extent.FULL)
    assert (asyncio.all_tasks(), element.walking, database.connections_active) == (tasks, 0, 0)
    assert await _count(database, tables.files) == commits * BATCH
    if commits:
        await _says_what_is_written(care, files, database, many)
    element.on_way = _nothing
    await _is_whole(care, files, database)


async def test_what_is_read_ahead_is_bounded_and_its_source_closed_with_the_block() -> None:
    made, third, closed = [], asyncio.Event(), []

    async def source() -> AsyncGenerator[int, None]:
        try:
            for number in range(100):
                made.append(number)
                if number == 2:
                    third.set()
                yield number
        finally:
            closed.append(len(made))

    async def fails() -> None:
        async with read_ahead(source()) as each:
            assert await anext(each) == 0
            await third.wait()
            raise LookupError("of the block")

    with pytest.raises(LookupError, match="of the block"):
        await fails()
    assert closed == [3]


@pytest.mark.parametrize("at", [0, BATCH, 2 * BATCH + 1])
async def test_a_rebuild_that_is_cancelled_leaves_nothing_running_and_whole_batches(
    at: int, watched: tuple[FileService, Watched], care: Care, database: Database, many: list[Attributes]
) -> None:
    files, element = watched
    reached = asyncio.Event()

    async def tell(given: int) -> None:
        if given == at:
            reached.set()

    element.on_way = tell
    tasks = asyncio.all_tasks()
    rebuild = asyncio.create_task(care(files).rebuilder.run("edit", Extent.FULL))
    await reached.wait()
    rebuild.cancel()
    await asyncio.wait([rebuild])
    assert rebuild.cancelled()
    assert (asyncio.all_tasks(), element.walking, database.connections_active) == (tasks, 0, 0)
    if await _count(database, tables.files):
        await _says_what_is_written(care, files, database, many)
    element.on_way = _nothing
    await _is_whole(care, files, database)
