"""A registry over a real database, in as many processes as a test wants."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from samovar.adapters.memory import MemoryBus, MemoryCache, MemoryLimiter
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Permission, Team, administrator
from samovar.domains.identity.store import add_team
from samovar.domains.prompts.model import Draft
from samovar.domains.prompts.service import PromptService
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from tests.support.clock import ManualClock

ADMIN = administrator()


def admin_of(team_id: str) -> Principal:
    """An administrator of another team."""
    return Principal(
        id="other", kind=PrincipalKind.PERSON, team_id=team_id, name="other", permissions=ADMIN.permissions
    )


def reader(team_id: str = DEFAULT_TEAM_ID) -> Principal:
    """A key that may read prompts, and nothing else."""
    return Principal(
        id="key_1",
        kind=PrincipalKind.KEY,
        team_id=team_id,
        name="a key",
        permissions=frozenset({Permission.PROMPTS_READ}),
    )


OTHER = admin_of("other")


def draft(name: str = "greeting", text: str = "Hello", **more: Any) -> Draft:
    """A version in the default namespace, in English unless the test says otherwise."""
    return Draft(**{"namespace": "default", "name": name, "text": text, **more})


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    """Not started: make the services first."""
    bus = MemoryBus()
    yield bus
    await bus.close()


Process = Callable[..., PromptService]


@pytest.fixture
async def process(database: Database, bus: MemoryBus, clock: ManualClock) -> Process:
    """Makes a process's registry; all of them share the database and, where they are not given another, the bus."""
    async with database.transaction() as tx:
        for team_id in (DEFAULT_TEAM_ID, "other"):
            await add_team(tx, Team(id=team_id, name=team_id, created_at=clock.now()))

    def make(*, bus: MemoryBus = bus, **more: Any) -> PromptService:
        shared = {"cache": MemoryCache(clock=clock), "limiter": MemoryLimiter(clock=clock)}
        return PromptService(**{"database": database, "clock": clock, "bus": bus, **shared, **more})

    return make


@pytest.fixture
def prompts(process: Process) -> PromptService:
    """One process."""
    return process()
