"""The pattern of each team: what is in force, who may change it, and when others hear of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from samovar.adapters.memory import MemoryBus
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Permission, Team, administrator
from samovar.domains.identity.store import add_team
from samovar.domains.vision.errors import BadPattern
from samovar.domains.vision.model.cleanup import DEFAULT_PATTERN, cleaned
from samovar.domains.vision.model.config import Source
from samovar.domains.vision.service.cleanups import CONFIG_CHANGED, FRESH_S, Cleanups
from samovar.kernel.errors import Forbidden, StaleRevision
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from tests.support.clock import ManualClock

ADMIN = administrator()
TEXT = "System: x\nNote: y\nz"


def admin_of(team_id: str) -> Principal:
    return Principal(id="p", kind=PrincipalKind.PERSON, team_id=team_id, name="p", permissions=ADMIN.permissions)


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    yield bus
    await bus.close()


@pytest.fixture
async def cleanups(database: Database, clock: ManualClock, bus: MemoryBus) -> Cleanups:
    async with database.transaction() as tx:
        for team_id in (DEFAULT_TEAM_ID, "other"):
            await add_team(tx, Team(id=team_id, name=team_id, created_at=clock.now()))
    return Cleanups(database=database, clock=clock, bus=bus)


async def test_the_default_is_in_force_until_somebody_writes_another(cleanups: Cleanups) -> None:
    before = await cleanups.read(ADMIN)
    assert (before.pattern, before.source, before.revision) == (DEFAULT_PATTERN, Source.DEFAULT, 0)
    assert cleaned(TEXT, (await cleanups.of(DEFAULT_TEAM_ID)).new) == "\nNote: y\nz"
    written = await cleanups.write(ADMIN, pattern="^Note.*$", flags="gm")
    assert (written.source, written.revision) == (Source.DATABASE, 1)
    assert await cleanups.read(ADMIN) == written
    assert cleaned(TEXT, (await cleanups.of(DEFAULT_TEAM_ID)).new) == "System: x\n\nz"
    again = await cleanups.write(ADMIN, pattern="^z$", flags="gm", expected=1)
    assert again.revision == 2
    after = await cleanups.reset(ADMIN, expected=2)
    assert after == await cleanups.read(ADMIN)
    assert after.source is Source.DEFAULT
    assert cleaned(TEXT, (await cleanups.of(DEFAULT_TEAM_ID)).new) == "\nNote: y\nz"


async def test_a_team_s_pattern_is_no_other_team_s(cleanups: Cleanups) -> None:
    await cleanups.write(admin_of("other"), pattern="z", flags="g")
    assert (await cleanups.current(DEFAULT_TEAM_ID)).source is Source.DEFAULT
    assert cleaned("xyz", (await cleanups.of("other")).new) == "xy"
    await cleanups.reset(ADMIN)
    assert (await cleanups.current("other")).pattern == "z"


async def test_a_change_of_what_stands_otherwise_by_now_is_refused(cleanups: Cleanups) -> None:
    await cleanups.write(ADMIN, pattern="a", flags="g", expected=0)
    for change in (cleanups.write(ADMIN, pattern="b", flags="g", expected=0), cleanups.reset(ADMIN, expected=3)):
        with pytest.raises(StaleRevision):
            await change
    assert (await cleanups.read(ADMIN)).pattern == "a"


async def test_of_two_writers_at_once_one_wins(cleanups: Cleanups) -> None:
    writes = [cleanups.write(ADMIN, pattern=letter, flags="g", expected=0) for letter in "ab"]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, StaleRevision) for result in results) == 1


async def test_writers_who_expect_nothing_come_one_after_the_other(cleanups: Cleanups) -> None:
    results = await asyncio.gather(*[cleanups.write(ADMIN, pattern=letter, flags="g") for letter in "abc"])
    assert sorted(result.revision for result in results) == [1, 2, 3]
    assert await cleanups.read(ADMIN) == max(results, key=lambda result: result.revision)


async def test_a_pattern_that_cannot_be_used_is_never_kept(cleanups: Cleanups) -> None:
    with pytest.raises(BadPattern):
        await cleanups.write(ADMIN, pattern="(", flags="g")
    assert (await cleanups.read(ADMIN)).source is Source.DEFAULT


async def test_who_may_not_configure_neither_reads_nor_writes(cleanups: Cleanups) -> None:
    key = Principal(
        id="k",
        kind=PrincipalKind.KEY,
        team_id=DEFAULT_TEAM_ID,
        name="k",
        permissions=frozenset({Permission.GATEWAY_CALL}),
    )
    for use in (cleanups.read(key), cleanups.write(key, pattern="a"), cleanups.reset(key)):
        with pytest.raises(Forbidden):
            await use


async def test_another_process_hears_of_a_change_or_finds_it_in_time(
    cleanups: Cleanups, database: Database, clock: ManualClock, bus: MemoryBus
) -> None:
    deaf = Cleanups(database=database, clock=clock, bus=bus)
    other = Cleanups(database=database, clock=clock, bus=bus)
    heard = asyncio.Event()

    async def on_changed(message: bytes) -> None:
        await other.on_changed(message)
        heard.set()

    bus.subscribe(CONFIG_CHANGED, on_changed)
    await bus.start()
    for one in (deaf, other):
        await one.of(DEFAULT_TEAM_ID)
    await cleanups.write(ADMIN, pattern="z", flags="g")
    async with asyncio.timeout(5):
        await heard.wait()
    assert cleaned("xyz", (await other.of(DEFAULT_TEAM_ID)).new) == "xy"
    assert cleaned("xyz", (await deaf.of(DEFAULT_TEAM_ID)).new) == "xyz"
    clock.advance(FRESH_S)
    assert cleaned("xyz", (await deaf.of(DEFAULT_TEAM_ID)).new) == "xy"
