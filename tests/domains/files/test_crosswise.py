"""Many processes write rows of the same owners and elements at once, on one PostgreSQL."""

import asyncio
from collections import Counter
from datetime import timedelta
from random import Random

import msgspec
import pytest
from sqlalchemy import func, select

from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.system import SystemIds
from samovar.domains.files.model.names import file_id_of, stored_path
from samovar.domains.files.model.records import FileHappened
from samovar.domains.files.service import FileService
from samovar.domains.files.store import owners, rebuilding, rows, tables
from samovar.kernel.errors import Unavailable
from samovar.kernel.ids import hex_of_ulid
from samovar.ports.elements import Attributes, Retention, RetentionKind
from tests.domains.files.conftest import Start
from tests.support.clock import ManualClock

OWNERS, ELEMENTS, PROCESSES = ("ann", "bob", "eve"), ("one", "two", "three"), 3
SECONDS = 5.0
LIMITS = (10_000_000, 10**15)


def attributes_of(clock: ManualClock, ids: SystemIds, chance: Random) -> Attributes:
    file_id = file_id_of(hex_of_ulid(ids.new("file").rpartition("_")[2]))
    return Attributes(
        file_id=file_id,
        path=stored_path(file_id=file_id, filename="a.txt", owner="x", created_at=clock.now()),
        filename="a.txt",
        content_type="text/plain",
        size_bytes=chance.randrange(1, 1_000),
        checksum="0" * 64,
        storage_element_id=chance.choice(ELEMENTS),
        created_at=clock.now(),
        team_id="default",
        owner=chance.choice(OWNERS),
        retention=Retention(kind=RetentionKind.PERMANENT, expires_at=None),
        revision=1,
        tags=("a",),
        custom={},
    )


class Crowd:
    """What clients of several processes do, by chance, to the same files."""

    def __init__(
        self, processes: list[tuple[FileService, PostgresDatabase]], clock: ManualClock, ids: SystemIds
    ) -> None:
        self._processes = processes
        self._clock = clock
        self._ids = ids
        self._there: list[Attributes] = []
        self.refused: list[str] = []
        self.done: Counter[str] = Counter()

    async def act(self, chance: Random, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        ways = (
            [self._upload] * 6 + [self._amend] * 3 + [self._delete, self._delete, self._copy, self._drop, self._give_up]
        )
        while loop.time() < until_s:
            way = chance.choice(ways)
            try:
                await way(chance, *chance.choice(self._processes))
            except Unavailable as error:
                self.refused.append(f"{way.__name__}: {error.detail}")
            self.done[way.__name__] += 1

    async def recount(self, until_s: float) -> None:
        while asyncio.get_running_loop().time() < until_s:
            for _, database in self._processes:
                await asyncio.sleep(0.2)
                async with database.transaction() as tx:
                    await rebuilding.recount(tx)

    async def _upload(self, chance: Random, files: FileService, database: PostgresDatabase) -> None:
        one = attributes_of(self._clock, self._ids, chance)
        hold_id = self._ids.new("hold")
        await self._hold(database, one, hold_id)
        # Whoever leads it, and whoever resumes it, may both tell of it.
        again = chance.choice(self._processes)[0] if chance.random() < 0.3 else files
        await asyncio.gather(
            files.projector.project(one, hold_id=hold_id), again.projector.project(one, hold_id=hold_id)
        )
        self._there.append(one)

    async def _give_up(self, chance: Random, files: FileService, database: PostgresDatabase) -> None:
        one, hold_id = attributes_of(self._clock, self._ids, chance), self._ids.new("hold")
        await self._hold(database, one, hold_id)
        async with database.transaction() as tx:
            await owners.release_over(tx, now=self._clock.now() + timedelta(days=2), limit=2)

    async def _hold(self, database: PostgresDatabase, one: Attributes, hold_id: str) -> None:
        until = self._clock.now() + timedelta(days=1)
        async with database.transaction() as tx:
            assert await owners.hold(
                tx, "default", one.owner, hold_id=hold_id, size_bytes=9, limits=LIMITS, expires_at=until
            )
        async with database.transaction() as tx:
            await owners.widen(tx, "default", hold_id, size_bytes=5, max_bytes=LIMITS[1])

    async def _amend(self, chance: Random, files: FileService, database: PostgresDatabase) -> None:
        if self._there:
            at = chance.randrange(len(self._there))
            more = self._there[at] = msgspec.structs.replace(
                self._there[at], revision=self._there[at].revision + 1, tags=(str(chance.random()),)
            )
            happened = FileHappened.AMENDED if chance.random() < 0.7 else FileHappened.STORED
            await files.projector.project(more, happened=happened)

    async def _copy(self, chance: Random, files: FileService, database: PostgresDatabase) -> None:
        if self._there:
            one = chance.choice(self._there)
            elsewhere = chance.choice(ELEMENTS)
            await files.projector.project(
                msgspec.structs.replace(one, storage_element_id=elsewhere, replica_of=one.storage_element_id)
            )

    async def _drop(self, chance: Random, files: FileService, database: PostgresDatabase) -> None:
        if self._there:
            one = chance.choice(self._there)
            async with database.transaction() as tx:
                await rows.forget_copies(tx, "default", one.file_id, [chance.choice(ELEMENTS)])

    async def _delete(self, chance: Random, files: FileService, database: PostgresDatabase) -> None:
        if self._there:
            await files.changes.forget(self._there.pop(chance.randrange(len(self._there))))


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_whoever_writes_the_same_rows_waits_for_nobody_crosswise_and_no_count_is_lost(
    start: Start, postgres_url: str, clock: ManualClock, ids: SystemIds
) -> None:
    databases = [PostgresDatabase(postgres_url, pool_size=6, max_overflow=0) for _ in range(PROCESSES)]
    crowd = Crowd([(await start(database=one, modes=()), one) for one in databases], clock, ids)
    until_s = asyncio.get_running_loop().time() + SECONDS
    await asyncio.gather(*[crowd.act(Random(seed), until_s) for seed in range(24)], crowd.recount(until_s))
    assert not crowd.refused, (len(crowd.refused), Counter(crowd.refused).most_common(4), crowd.done)
    assert len(crowd.done) == 6

    async with databases[0].reading() as tx:
        counted = await _counts(tx)
    async with databases[0].transaction() as tx:
        await rebuilding.recount(tx)
        assert await _counts(tx) == counted
        held = select(func.coalesce(func.sum(tables.owners.c.held_files), 0))
        assert await tx.scalar(held) == await tx.scalar(select(func.count()).select_from(tables.holds))
    for one in databases:
        await one.close()


async def _counts(tx: object) -> list[tuple[object, ...]]:
    """What owners and elements have; none is as good as nothing."""
    by_owner = select(tables.owners.c.owner, tables.owners.c.files, tables.owners.c.size_bytes)
    by_element = select(tables.spaces.c.element_id, tables.spaces.c.files, tables.spaces.c.size_bytes)
    found = [tuple(row) for query in (by_owner, by_element) for row in await tx.execute(query)]  # type: ignore[attr-defined]
    return sorted(row for row in found if row[1:] != (0, 0))
