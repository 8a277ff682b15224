"""Identity services on real parts, several of them on one database where a test needs two processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemIds
from samovar.domains.identity import store
from samovar.domains.identity.model import Scope, Team, permissions_of
from samovar.domains.identity.service import IdentityService, SecretHashing
from samovar.kernel.errors import Unavailable
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database, Tx
from samovar.ports.limits import Limit, Verdict
from tests.support.clock import ManualClock

Make = Callable[..., IdentityService]


class Watched:
    """A database that counts how often it is asked, and that can be away or slow."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.engine = database.engine
        self.asked = 0
        self.answered = 0
        self.away = False
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """See the port."""
        self._count()
        async with self._database.transaction() as tx:
            yield tx

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        """See the port. ``before_answer`` runs after the read and before its result is used."""
        self._count()
        async with self._database.reading() as tx:
            yield tx
        if self.before_answer is not None:
            await self.before_answer()
        self.answered += 1

    async def ping(self) -> None:
        """See the port."""
        await self._database.ping()

    async def close(self) -> None:
        """See the port."""
        await self._database.close()

    def _count(self) -> None:
        if self.away:
            raise Unavailable("the database is away")
        self.asked += 1


class AwayBus(MemoryBus):
    """A bus that cannot be reached."""

    async def publish(self, topic: str, message: bytes) -> None:
        """See the port."""
        raise Unavailable("the bus is away")


class AwayLimiter:
    """A limiter that cannot be reached."""

    async def hit(self, key: str, limit: Limit, *, cost: int = 1) -> Verdict:
        """See the port."""
        raise Unavailable("the limiter is away")

    async def close(self) -> None:
        """See the port."""


async def until(condition: Callable[[], bool]) -> None:
    """Let background work go on until ``condition`` holds; at most five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - any condition, not one that announces itself
            await asyncio.sleep(0.005)


@pytest.fixture
def bus() -> MemoryBus:
    """The bus that the services of a test share; not started, so a test decides whether news travel."""
    return MemoryBus()


@pytest.fixture
def make(database: Database, clock: ManualClock, ids: SystemIds, box: AesGcmBox, bus: MemoryBus) -> Make:
    """Makes one more process's identity service on the test's database."""

    def another(**parts: object) -> IdentityService:
        standard: dict[str, object] = {
            "database": database,
            "clock": clock,
            "ids": ids,
            "box": box,
            "bus": bus,
            # The secrets of tests are nobody's, and there are thousands.
            "hashing": SecretHashing(is_cheap=True),
        }
        return IdentityService(**{**standard, **parts})  # type: ignore[arg-type]  # the parts a test names

    return another


@pytest.fixture
def watched(database: Database) -> Watched:
    """The test's database, watched."""
    return Watched(database)


@pytest.fixture
async def service(make: Make) -> IdentityService:
    """An installed service."""
    service = make()
    await service.ensure_installed("the-admin-token")
    return service


@pytest.fixture
async def other_team(service: IdentityService, database: Database, clock: ManualClock) -> Principal:
    """An administrator of another team."""
    async with database.transaction() as tx:
        await store.add_team(tx, Team(id="team_other", name="Other", created_at=clock.now()))
    return Principal(
        id="person_other",
        kind=PrincipalKind.PERSON,
        team_id="team_other",
        name="Olga",
        permissions=permissions_of([Scope.ADMIN]),
    )
