"""A catalogue over a real database, with two vendors, a key from the environment and the bundled figures."""

from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.memory import MemoryBus
from samovar.adapters.reqwest import ReqwestTransport
from samovar.adapters.system import SystemIds
from samovar.domains.catalog.model import ApiKey, Provider, ProviderSource
from samovar.domains.catalog.service import CatalogService, bundled_families, bundled_prices
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Permission, Team, administrator
from samovar.domains.identity.store import add_team
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from samovar.ports.dialect import Vendor
from tests.support.clock import ManualClock

ADMIN = administrator()

VENDORS: Mapping[str, Vendor] = {
    "openai": Vendor(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        paths={"openai.chat": "/chat/completions"},
        key_env="OPENAI_API_KEY",
        base_url_env="OPENAI_BASE_URL",
        price_source="openai",
    ),
    "anthropic": Vendor(
        name="anthropic",
        title="Anthropic",
        base_url="https://api.anthropic.com",
        paths={"anthropic.messages": "/v1/messages"},
        key_env="ANTHROPIC_API_KEY",
        base_url_env="ANTHROPIC_BASE_URL",
        key_header="x-api-key",
        key_prefix="",
        price_source="anthropic",
    ),
    "ollama": Vendor(
        name="ollama",
        title="Ollama",
        base_url="http://127.0.0.1:11434/v1",
        paths={"openai.chat": "/chat/completions"},
        key_env=None,
        base_url_env="OLLAMA_BASE_URL",
        needs_key=False,
    ),
}

FROM_ENVIRONMENT = Provider(
    id="env_openai",
    team_id=DEFAULT_TEAM_ID,
    name="openai",
    vendor="openai",
    base_url="https://api.openai.com/v1",
    api_key=ApiKey("sk-from-the-environment-1234"),
    source=ProviderSource.ENVIRONMENT,
)


def member(*, team_id: str = DEFAULT_TEAM_ID, allowed: tuple[str, ...] | None = None) -> Principal:
    """A key that may call and see models, and nothing else."""
    return Principal(
        id="key_1",
        kind=PrincipalKind.KEY,
        team_id=team_id,
        name="a key",
        permissions=frozenset({Permission.GATEWAY_CALL, Permission.MODELS_READ}),
        allowed_models=allowed,
    )


def admin_of(team_id: str) -> Principal:
    """An administrator of another team."""
    return Principal(
        id="other", kind=PrincipalKind.PERSON, team_id=team_id, name="other", permissions=ADMIN.permissions
    )


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    """Not started: subscribe first."""
    bus = MemoryBus()
    yield bus
    await bus.close()


@pytest.fixture
async def transport() -> AsyncIterator[ReqwestTransport]:
    transport = ReqwestTransport()
    yield transport
    await transport.close()


@pytest.fixture
async def process(
    database: Database,
    box: AesGcmBox,
    bus: MemoryBus,
    ids: SystemIds,
    clock: ManualClock,
    transport: ReqwestTransport,
) -> Callable[..., CatalogService]:
    """Makes a process's catalogue; all of them share the database and, if subscribed, the bus."""
    async with database.transaction() as tx:
        for team_id in (DEFAULT_TEAM_ID, "other"):
            await add_team(tx, Team(id=team_id, name=team_id, created_at=clock.now()))

    def make(*, box: AesGcmBox = box, database: Database = database) -> CatalogService:
        return CatalogService(
            database=database,
            box=box,
            bus=bus,
            ids=ids,
            clock=clock,
            transport=transport,
            vendors=VENDORS,
            configured=[FROM_ENVIRONMENT],
            book=bundled_prices(),
            families=bundled_families(),
        )

    return make


@pytest.fixture
async def catalog(process: Callable[..., CatalogService]) -> CatalogService:
    """One process, loaded."""
    service = process()
    await service.load()
    return service
