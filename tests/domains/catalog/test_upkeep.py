"""What must not stop a catalogue: another team's broken key, a database that goes away after a change, names of nobody."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from samovar.adapters.aesgcm import AesGcmBox
from samovar.domains.catalog import store
from samovar.domains.catalog.errors import ModelNotFound, ProviderInUse
from samovar.domains.catalog.model import ApiKey
from samovar.domains.catalog.service import CatalogService, ProviderChange
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database, Tx
from tests.domains.catalog.conftest import ADMIN, admin_of, member
from tests.domains.catalog.test_service import add_anthropic


async def _broken(database: Database, team_id: str) -> None:
    """Let every key of the team be sealed by nobody."""
    async with database.transaction() as tx:
        change = store.providers.update().where(store.providers.c.team_id == team_id).values(sealed_key=b"\x01garbage")
        await tx.execute(change)
        await store.bump(tx, team_id)


async def test_a_key_that_does_not_open_leaves_the_other_teams_served(
    catalog: CatalogService, process: Callable[..., CatalogService], database: Database
) -> None:
    await add_anthropic(catalog)
    await _broken(database, ADMIN.team_id)
    made = await catalog.providers.create(admin_of("other"), name="local", vendor="ollama")
    for service in (catalog, process()):
        await service.load()
        assert service.resolve("local/llama", member(team_id="other"))[0].provider.id == made.id
        # Of the team itself everything else goes on, and the provider is listed so that it can be mended.
        assert service.resolve("openai/gpt-5", member())
        with pytest.raises(ModelNotFound):
            service.resolve("anthropic/claude-sonnet-4-5", member())
        listed = {one.name: one for one in await service.providers.list(ADMIN)}
        assert listed["anthropic"].key_hint is None


class _AwayAfterACommit:
    """A real database that cannot be read from the moment on at which a transaction has been committed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def reading(self) -> AbstractAsyncContextManager[Tx]:
        if self.away:
            raise Unavailable("the database went away")
        return self._database.reading()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self._database.transaction() as tx:
            yield tx
        self.away = True


async def test_a_change_that_is_committed_is_not_told_as_failed(
    catalog: CatalogService, process: Callable[..., CatalogService], database: Database
) -> None:
    flaky = _AwayAfterACommit(database)
    other = process(database=flaky)
    await other.load()
    made = await other.entries.put_alias(ADMIN, "fast", model_id="openai/gpt-5")
    assert made.revision == 1
    flaky.away = False
    await other.on_gap()
    assert other.resolve("fast", ADMIN)[0].id == "openai/gpt-5"


async def test_a_provider_that_is_named_cannot_be_deleted(catalog: CatalogService) -> None:
    made = await catalog.providers.create(ADMIN, name="local", vendor="ollama")
    await catalog.entries.put_alias(ADMIN, "fast", model_id="local/llama")
    await catalog.entries.put_group(ADMIN, "both", model_ids=("openai/gpt-5", "local/llama"))
    with pytest.raises(ProviderInUse, match="alias 'fast', group 'both'"):
        await catalog.providers.delete(ADMIN, made.id)
    await catalog.entries.delete_alias(ADMIN, "fast")
    await catalog.entries.put_group(ADMIN, "both", model_ids=("openai/gpt-5",))
    await catalog.providers.delete(ADMIN, made.id)


async def test_a_provider_behind_which_the_configured_one_stands_may_go(catalog: CatalogService) -> None:
    made = await catalog.providers.create(ADMIN, name="openai", vendor="ollama")
    await catalog.entries.put_alias(ADMIN, "fast", model_id="openai/gpt-5")
    await catalog.providers.delete(ADMIN, made.id)
    assert catalog.resolve("fast", ADMIN)


def test_the_nearest_names_stay_the_same_when_asked_again(catalog: CatalogService, box: AesGcmBox) -> None:
    told = []
    for _ in range(2):
        with pytest.raises(ModelNotFound) as refused:
            catalog.resolve("gpt-5-minii", member())
        told.append(refused.value.closest)
    assert told[0] == told[1] != ()


async def test_a_key_that_does_not_open_is_mended_by_sending_another(
    catalog: CatalogService, database: Database
) -> None:
    provider_id = await add_anthropic(catalog)
    await _broken(database, ADMIN.team_id)
    await catalog.on_gap()
    await catalog.providers.change(ADMIN, provider_id, ProviderChange(api_keys=("sk-ant-another-key-0001",)))
    (target,) = catalog.resolve("anthropic/claude-sonnet-4-5", member())
    assert target.provider.api_key == ApiKey("sk-ant-another-key-0001")
