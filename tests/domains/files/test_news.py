"""What processes remember of a file, and what they share, when its news comes late, crosswise or never."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest

from samovar.adapters.memory import MemoryBus, MemoryCache
from samovar.adapters.system import SystemIds
from samovar.domains.files.errors import FileUnknown
from samovar.domains.files.model.records import FileEvent, FileHappened, StoredFile
from samovar.domains.files.service import Amendment, FileService
from samovar.domains.files.store import outbox
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database, Engine, Tx
from samovar.ports.scripts import Script, perform
from tests.domains.files.conftest import ANN, Start, put, told_all
from tests.domains.files.test_crosswise import attributes_of
from tests.support.clock import ManualClock


class Shared(MemoryBus):
    """A bus of several processes: what one says all hear."""

    def __init__(self, all_of_them: list["Shared"]) -> None:
        super().__init__()
        self._all = all_of_them
        all_of_them.append(self)

    async def publish(self, topic: str, message: bytes) -> None:
        for bus in self._all:
            await MemoryBus.publish(bus, topic, message)


class SlowOnce(MemoryCache):
    """A cache that is slow to take one value."""

    gate: asyncio.Event | None = None

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.is_met = asyncio.Event()

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        gate, self.gate = self.gate, None
        if gate is not None:
            self.is_met.set()
            await gate.wait()
        await super().put(key, value, ttl_s=ttl_s)


class Away(MemoryCache):
    """A cache that does not answer now and then, and forgets nothing over that."""

    is_away = False

    async def get(self, key: str) -> bytes | None:
        self._check()
        return await super().get(key)

    async def add(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        self._check()
        return await super().add(key, value, ttl_s=ttl_s)

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        self._check()
        await super().put(key, value, ttl_s=ttl_s)

    def _check(self) -> None:
        if self.is_away:
            raise Unavailable("The cache does not answer.")


class Late:
    """A database whose caller goes on a moment after its script was committed."""

    engine: Engine

    def __init__(self, database: Database) -> None:
        self._database = database
        self.engine = database.engine
        self.between: Callable[[], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def run(self, script: Script[Any], *, is_synced: bool = True) -> Any:
        found = await self._database.run(script, is_synced=is_synced)
        between, self.between = (None, self.between) if not is_synced else (self.between, None)
        if between is not None:
            await between()
        return found


def _amended(file_id: str, revision: int, *, at: datetime) -> FileEvent:
    return FileEvent(
        happened=FileHappened.AMENDED, team_id="default", file_id=file_id, revision=revision, at=at, details={}
    )


async def test_an_amendment_that_is_shared_late_does_not_cover_a_later_one(start: Start, clock: ManualClock) -> None:
    cache, buses = SlowOnce(clock=clock), list[Shared]()
    files: FileService = await start(cache=cache, bus=Shared(buses))
    other: FileService = await start(cache=cache, bus=Shared(buses), modes=())
    made = await put(files)
    await told_all(files)
    cache.gate = gate = asyncio.Event()
    slow = asyncio.create_task(files.changes.amend(ANN, made.file_id, Amendment(tags=("two",)), expected=1))
    await cache.is_met.wait()
    await files.changes.amend(ANN, made.file_id, Amendment(tags=("three",)), expected=2)
    await told_all(other)
    # Another one looks in the worst moment, and then never hears of it again.
    gate.set()
    await slow
    await told_all(files)
    other.memory.clear()
    for process in (files, other):
        assert (await process.reads.find(ANN, made.file_id)).file.attributes.tags == ("three",)


async def test_news_read_before_a_change_and_shared_behind_it_is_shared_again(start: Start, clock: ManualClock) -> None:
    cache, buses = SlowOnce(clock=clock), list[Shared]()
    files: FileService = await start(cache=cache, bus=Shared(buses))
    other: FileService = await start(cache=cache, bus=Shared(buses), modes=())
    made = await put(files)
    await told_all(files)
    await told_all(other)
    event = _amended(made.file_id, 1, at=clock.now())
    async with _transaction(other) as tx:
        # Nobody else takes it from the outbox.
        await perform(tx, outbox.add([event]))
        cache.gate = gate = asyncio.Event()
    telling = asyncio.create_task(other.teller.tell_all())
    await cache.is_met.wait()
    await files.changes.delete(ANN, made.file_id)
    await told_all(files)
    gate.set()
    await telling
    for process in (files, other):
        with pytest.raises(FileUnknown):
            await process.reads.find(ANN, made.file_id)


async def test_what_was_deleted_while_the_cache_was_away_is_gone_for_all_a_moment_after_it_is_back(
    start: Start, clock: ManualClock, told: list[FileEvent]
) -> None:
    cache, buses = Away(clock=clock), list[Shared]()
    files: FileService = await start(cache=cache, bus=Shared(buses))
    other: FileService = await start(cache=cache, bus=Shared(buses), modes=())
    made = await put(files)
    await told_all(files)
    assert await other.reads.find(ANN, made.file_id)
    cache.is_away = True
    await files.changes.delete(ANN, made.file_id)
    for _ in range(3):
        # However often it is tried meanwhile.
        with suppress(Unavailable):
            await files.teller.tell_all()
        clock.advance(3)
    cache.is_away = False
    for process in (files, other, files):
        # Either may have been trying it just now.
        await told_all(process)
        clock.advance(3)
    other.memory.clear()
    with pytest.raises(FileUnknown):
        await other.reads.find(ANN, made.file_id)
    assert [event.happened for event in told].count(FileHappened.DELETED) == 1


async def test_fresh_news_that_is_old_by_now_is_read_again(start: Start, clock: ManualClock) -> None:
    cache, gate, began, told = (
        MemoryCache(clock=clock),
        asyncio.Event(),
        asyncio.Event(),
        list[tuple[FileEvent, StoredFile | None]](),
    )

    async def notify(event: FileEvent, file: StoredFile | None) -> None:
        told.append((event, file))
        if len(told) == 1:
            began.set()
            await gate.wait()

    files: FileService = await start(cache=cache, notify=notify)
    other: FileService = await start(cache=cache, modes=())
    await put(files)
    await began.wait()
    made = await put(files)
    await files.changes.delete(ANN, made.file_id)
    clock.advance(11)
    await told_all(other)
    # Redis began anew, and knows nothing.
    await cache.drop_prefix("")
    gate.set()
    await told_all(files)
    with pytest.raises(FileUnknown):
        await other.reads.find(ANN, made.file_id)
    assert not [event for event, file in told if event.file_id == made.file_id and file is not None]


async def test_a_file_that_is_deleted_elsewhere_while_its_uploader_hears_of_its_row_is_not_remembered(
    start: Start, database: Database, clock: ManualClock
) -> None:
    late, buses = Late(database), list[Shared]()
    files: FileService = await start(database=late, bus=Shared(buses))
    other: FileService = await start(bus=Shared(buses), modes=())

    async def gone() -> None:
        async with database.reading() as tx:
            ((file_id,),) = (await tx.exec_driver_sql("SELECT file_id FROM files")).all()
        seen = await other.reads.find(ANN, file_id)
        await other.changes.forget(seen.file.attributes)
        # All hear of it.
        await asyncio.sleep(0.05)

    late.between = gone
    made = await put(files)
    assert files.reads.recall(ANN, made.file_id) is None
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)
    kept = await put(files)
    assert files.reads.recall(ANN, kept.file_id) is not None


async def test_who_writes_news_all_the_time_tells_that_of_the_dead_too(
    start: Start, told: list[FileEvent], clock: ManualClock
) -> None:
    files: FileService = await start()
    made = await put(files)
    await told_all(files)
    event = _amended(made.file_id, 9, at=clock.now() - timedelta(seconds=60))
    async with _transaction(files) as tx:
        await perform(tx, outbox.add([event]))
    async with asyncio.timeout(9):
        while 9 not in [one.revision for one in told]:
            await put(files)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _transaction(files: FileService) -> AsyncIterator[Tx]:
    async with files.teller._database.transaction() as tx:
        yield tx


async def test_a_file_and_its_twin_its_copy_and_its_change_in_one_batch(
    files: FileService, told: list[FileEvent], clock: ManualClock, ids: SystemIds
) -> None:
    one = attributes_of(clock, ids, Random(1))
    # The same millisecond and the same last bits: both would have one number.
    twin = msgspec.structs.replace(one, file_id=f"{one.file_id[:20]}000{one.file_id[23:]}")
    changed = msgspec.structs.replace(one, revision=2, tags=("b",))
    copy = msgspec.structs.replace(one, storage_element_id="else", replica_of=one.storage_element_id)
    project, amended = files.projector.project, FileHappened.AMENDED
    assert all(
        await asyncio.gather(
            project(one), project(copy), project(twin), project(changed, happened=amended), project(one)
        )
    )
    await told_all(files)
    stands = await files.reads.stored("default", one.file_id)
    assert stands is not None
    assert (stands.attributes.tags, len(stands.copies)) == (("b",), 2)
    assert await files.reads.stored("default", twin.file_id) is not None
    assert sorted((event.file_id == one.file_id, event.happened, event.revision) for event in told) == [
        (False, FileHappened.STORED, 1),
        (True, FileHappened.AMENDED, 2),
        (True, FileHappened.STORED, 1),
    ]
