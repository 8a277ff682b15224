"""Processes' quotas over a real database, alone or over Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from samovar.adapters.memory import MemoryBus
from samovar.adapters.redis import RedisLimiter, RedisLink
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock, SystemIds
from samovar.domains.billing.errors import RateLimited
from samovar.domains.billing.service.quotas import QuotaDefaults, QuotaService
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Team, administrator
from samovar.domains.identity.store import add_team
from samovar.kernel.principal import Principal, PrincipalKind
from tests.support.own_redis import OwnRedis

ADMIN = administrator()
Make = Callable[..., QuotaService]
Join = Callable[..., Awaitable[QuotaService]]


def key(
    name: str = "key_1",
    *,
    team_id: str = DEFAULT_TEAM_ID,
    project_id: str | None = None,
    user_id: str | None = None,
) -> Principal:
    return Principal(
        id=name,
        kind=PrincipalKind.KEY,
        team_id=team_id,
        name=name,
        permissions=frozenset(),
        project_id=project_id,
        user_id=user_id,
    )


@pytest.fixture
async def database(sqlite_database: SqliteDatabase) -> SqliteDatabase:
    clock = SystemClock()
    async with sqlite_database.transaction() as tx:
        await add_team(tx, Team(id=DEFAULT_TEAM_ID, name="Default team", created_at=clock.now()))
        await add_team(tx, Team(id="other", name="Another", created_at=clock.now()))
    return sqlite_database


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    """Not started: processes subscribe first."""
    bus = MemoryBus()
    yield bus
    await bus.close()


@pytest.fixture(params=["one process", "redis"])
async def make(request: pytest.FixtureRequest, database: SqliteDatabase, bus: MemoryBus) -> AsyncIterator[Make]:
    """Makes a process's quotas; those of one test share the database, the bus and, if there is one, the Redis."""
    clock = SystemClock()
    links: list[RedisLimiter] = []

    def made(**differences: object) -> QuotaService:
        shared = None
        if request.param == "redis":
            url, prefix = request.getfixturevalue("redis_server"), request.getfixturevalue("redis_prefix")
            shared = RedisLimiter(link=RedisLink(url, clock=clock, deadline_s=5), prefix=prefix)
            links.append(shared)
        settings: dict[str, object] = {"defaults": QuotaDefaults(), "clock": clock, **differences}
        return QuotaService(
            database=database,
            ids=SystemIds(clock=clock),
            bus=bus,
            shared=shared,
            **settings,  # type: ignore[arg-type]
        )

    yield made
    for link in links:
        await link.close()


async def until(holds: Callable[[], bool], *, do: Callable[[], Awaitable[object]] | None = None) -> None:
    """Wait until it holds, and no longer than ten seconds."""
    async with asyncio.timeout(10):
        while not holds():
            if do is not None:
                await do()
            await asyncio.sleep(0.01)


async def passed(quotas: QuotaService, caller: Principal, calls: int) -> int:
    """How many of so many calls at once come in; each ends at once."""

    async def call() -> bool:
        try:
            (await quotas.admit(caller)).release()
        except RateLimited:
            return False
        return True

    return sum(await asyncio.gather(*(call() for _ in range(calls))))


async def refusal(quotas: QuotaService, caller: Principal) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await quotas.admit(caller)
    return caught.value


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def joined(own_redis: OwnRedis, database: SqliteDatabase, bus: MemoryBus) -> AsyncIterator[Join]:
    """Makes processes that share the test's own Redis."""
    clock = SystemClock()
    limiters: list[RedisLimiter] = []

    async def join(**differences: object) -> QuotaService:
        limiters.append(RedisLimiter(link=RedisLink(own_redis.url, clock=clock)))
        settings: dict[str, object] = {"defaults": QuotaDefaults(key="40/hour"), **differences}
        quotas = QuotaService(
            database=database,
            clock=clock,
            ids=SystemIds(clock=clock),
            bus=bus,
            shared=limiters[-1],
            **settings,  # type: ignore[arg-type]
        )
        await quotas.load()
        return quotas

    yield join
    for limiter in limiters:
        await limiter.close()
