"""The catalogue's use cases over both databases."""

import asyncio
import os
from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import select

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.memory import MemoryBus
from samovar.domains.catalog import store
from samovar.domains.catalog.errors import (
    AliasNotFound,
    BadCatalogEntry,
    DiscoveryFailed,
    GroupNotFound,
    ModelNotFound,
    NameTaken,
    OverrideNotFound,
    ProviderNotFound,
    ProviderReadOnly,
)
from samovar.domains.catalog.model import Ability, ApiKey, ProviderSource, Rates, Sheet
from samovar.domains.catalog.service import CATALOG_CHANGED, CatalogService, ProviderChange
from samovar.kernel.errors import Forbidden, StaleRevision
from samovar.ports.database import Database
from tests.domains.catalog.conftest import ADMIN, admin_of, member

KEY = "sk-ant-secret-of-the-team-9876"


async def add_anthropic(catalog: CatalogService, name: str = "anthropic") -> str:
    made = await catalog.providers.create(ADMIN, name=name, vendor="anthropic", api_keys=(KEY,))
    return made.id


def names(catalog: CatalogService, asked: str) -> list[str]:
    return [target.id for target in catalog.resolve(asked, ADMIN)]


async def test_a_provider_from_the_environment_is_there_from_the_start(catalog: CatalogService) -> None:
    (target,) = catalog.resolve("gpt-5", member())
    assert target.provider.api_key == ApiKey("sk-from-the-environment-1234")
    (listed,) = await catalog.providers.list(ADMIN)
    assert (listed.source, listed.key_hint) == (ProviderSource.ENVIRONMENT, "...1234")


async def test_an_added_provider_serves_at_once_with_its_own_key(catalog: CatalogService) -> None:
    await add_anthropic(catalog)
    (target,) = catalog.resolve("anthropic/claude-sonnet-4-5", member())
    assert target.provider.api_key == ApiKey(KEY)
    assert target.provider.base_url == "https://api.anthropic.com"


async def test_a_key_is_stored_sealed_and_never_answered(catalog: CatalogService, database: Database) -> None:
    made = await catalog.providers.create(ADMIN, name="anthropic", vendor="anthropic", api_keys=(KEY,))
    listed = await catalog.providers.list(ADMIN)
    assert KEY not in repr(made) + repr(listed) + msgspec.json.encode(listed).decode()
    (target,) = catalog.resolve("anthropic/x", member())
    assert KEY not in repr(target)
    async with database.reading() as tx:
        sealed = await tx.scalar(select(store.providers.c.sealed_key))
    assert sealed is not None
    assert KEY.encode() not in sealed


async def test_under_another_master_key_a_provider_does_not_serve(
    catalog: CatalogService, process: Callable[..., CatalogService]
) -> None:
    await add_anthropic(catalog)
    other = process(box=AesGcmBox(master_key=os.urandom(32)))
    await other.load()
    with pytest.raises(ModelNotFound):
        other.resolve("anthropic/claude-sonnet-4-5", member())


async def test_another_process_hears_of_a_change_over_the_bus(
    catalog: CatalogService, process: Callable[..., CatalogService], bus: MemoryBus
) -> None:
    other = process()
    await other.load()
    heard = asyncio.Event()

    async def listen(message: bytes) -> None:
        await other.on_changed(message)
        heard.set()

    bus.subscribe(CATALOG_CHANGED, listen)
    await bus.start()
    await add_anthropic(catalog)
    async with asyncio.timeout(5):
        await heard.wait()
    assert names(other, "claude-sonnet-4-5") == ["anthropic/claude-sonnet-4-5"]


async def test_without_a_bus_a_change_is_found_by_looking(
    catalog: CatalogService, process: Callable[..., CatalogService]
) -> None:
    other = process()
    await other.load()
    await add_anthropic(catalog)
    with pytest.raises(ModelNotFound):
        other.resolve("anthropic/claude-sonnet-4-5", ADMIN)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        watching = group.create_task(other.watch(every_s=0.05))
        while not any(model.id == "anthropic/claude-sonnet-4-5" for model in other.visible(ADMIN)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        watching.cancel()
    assert names(other, "claude-sonnet-4-5") == ["anthropic/claude-sonnet-4-5"]


async def test_a_providers_models_prices_and_keys_are_its_teams_alone(catalog: CatalogService) -> None:
    provider_id = await add_anthropic(catalog)
    stranger = admin_of("other")
    assert await catalog.providers.list(stranger) == []
    assert list(catalog.visible(stranger)) == []
    for attempt in (
        catalog.providers.get(stranger, provider_id),
        catalog.providers.get(stranger, "env_openai"),
        catalog.providers.delete(stranger, provider_id),
        catalog.providers.change(stranger, provider_id, ProviderChange(enabled=False)),
        catalog.providers.discover(stranger, provider_id),
    ):
        with pytest.raises(ProviderNotFound):
            await attempt
    with pytest.raises(ModelNotFound):
        catalog.resolve("openai/gpt-5", stranger)
    assert names(catalog, "anthropic/claude-sonnet-4-5")


async def test_a_key_without_the_permission_changes_nothing(catalog: CatalogService) -> None:
    caller = member()
    for attempt in (
        catalog.providers.list(caller),
        catalog.providers.get(caller, "env_openai"),
        catalog.providers.create(caller, name="x", vendor="ollama"),
        catalog.providers.change(caller, "x", ProviderChange()),
        catalog.providers.delete(caller, "x"),
        catalog.providers.discover(caller, "x"),
        catalog.entries.aliases(caller),
        catalog.entries.put_alias(caller, "x", model_id="openai/gpt-5"),
        catalog.entries.delete_alias(caller, "x"),
        catalog.entries.groups(caller),
        catalog.entries.put_group(caller, "x", model_ids=("openai/gpt-5",)),
        catalog.entries.delete_group(caller, "x"),
        catalog.entries.override(caller, "openai/gpt-5"),
        catalog.entries.put_override(caller, "openai/gpt-5", context_window=1),
        catalog.entries.delete_override(caller, "openai/gpt-5"),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_an_added_provider_takes_the_place_of_the_environments_and_gives_it_back(
    catalog: CatalogService,
) -> None:
    made = await catalog.providers.create(
        ADMIN, name="openai", vendor="openai", api_keys=("sk-the-admins-own-key-5555",)
    )
    (target,) = catalog.resolve("openai/gpt-5", ADMIN)
    assert target.provider.id == made.id
    await catalog.providers.delete(ADMIN, made.id)
    (target,) = catalog.resolve("openai/gpt-5", ADMIN)
    assert target.provider.source is ProviderSource.ENVIRONMENT


async def test_the_environments_provider_cannot_be_changed_here(catalog: CatalogService) -> None:
    with pytest.raises(ProviderReadOnly):
        await catalog.providers.change(ADMIN, "env_openai", ProviderChange(enabled=False))
    with pytest.raises(ProviderReadOnly):
        await catalog.providers.delete(ADMIN, "env_openai")


async def test_a_disabled_provider_serves_nothing(catalog: CatalogService) -> None:
    provider_id = await add_anthropic(catalog)
    await catalog.providers.change(ADMIN, provider_id, ProviderChange(enabled=False))
    with pytest.raises(ModelNotFound):
        catalog.resolve("anthropic/claude-sonnet-4-5", ADMIN)


async def test_a_key_does_not_follow_a_provider_to_another_server(catalog: CatalogService) -> None:
    provider_id = await add_anthropic(catalog)
    with pytest.raises(BadCatalogEntry, match="api_key"):
        await catalog.providers.change(ADMIN, provider_id, ProviderChange(base_url="https://evil.example"))
    moved = await catalog.providers.change(
        ADMIN, provider_id, ProviderChange(base_url="https://proxy.example", api_keys=("sk-for-the-proxy-000000",))
    )
    assert moved.base_url == "https://proxy.example"
    with pytest.raises(BadCatalogEntry, match="api_key"):
        await catalog.providers.change(ADMIN, provider_id, ProviderChange(base_url=None))
    await catalog.providers.change(ADMIN, provider_id, ProviderChange(base_url="https://proxy.example/deeper"))


async def test_several_keys_are_kept_sealed_and_told_by_their_hints(catalog: CatalogService) -> None:
    keys = (KEY, "sk-the-second-key-000000002222", "sk-the-third-key-0000000003333")
    made = await catalog.providers.create(ADMIN, name="pool", vendor="anthropic", api_keys=keys)
    assert made.key_hints == tuple(f"...{key[-4:]}" for key in keys)
    (target,) = catalog.resolve("pool/claude-sonnet-4-5", ADMIN)
    assert target.provider.api_keys == tuple(ApiKey(key) for key in keys)
    changed = await catalog.providers.change(ADMIN, made.id, ProviderChange(api_keys=keys[2:]))
    assert (changed.key_hint, changed.key_hints) == ("...3333", ("...3333",))


async def test_a_change_leaves_what_it_does_not_name(catalog: CatalogService) -> None:
    provider_id = await add_anthropic(catalog)
    changed = await catalog.providers.change(ADMIN, provider_id, ProviderChange(models=("claude-sonnet-4-5",)))
    assert (changed.models, changed.enabled, changed.revision) == (("claude-sonnet-4-5",), True, 2)
    (target,) = catalog.resolve("claude-sonnet-4-5", ADMIN)
    assert target.provider.api_key == ApiKey(KEY)


async def test_a_stale_revision_is_refused(catalog: CatalogService) -> None:
    provider_id = await add_anthropic(catalog)
    await catalog.providers.change(ADMIN, provider_id, ProviderChange(enabled=False), expected=1)
    with pytest.raises(StaleRevision):
        await catalog.providers.change(ADMIN, provider_id, ProviderChange(enabled=True), expected=1)
    await catalog.entries.put_alias(ADMIN, "fast", model_id="openai/gpt-5", expected=0)
    with pytest.raises(StaleRevision):
        await catalog.entries.put_alias(ADMIN, "fast", model_id="openai/gpt-5", expected=0)


async def test_of_writers_who_saw_the_same_revision_one_wins(catalog: CatalogService) -> None:
    await catalog.entries.put_alias(ADMIN, "fast", model_id="openai/gpt-5")
    writes = (
        catalog.entries.put_alias(ADMIN, "fast", model_id=f"openai/model-{number}", expected=1) for number in range(5)
    )
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, StaleRevision) for result in results) == 4
    (alias,) = await catalog.entries.aliases(ADMIN)
    assert alias.revision == 2


async def test_two_providers_cannot_have_one_name(catalog: CatalogService) -> None:
    await add_anthropic(catalog)
    with pytest.raises(NameTaken):
        await add_anthropic(catalog)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Open AI"),
        ("name", "a/b"),
        ("vendor", "nobody"),
        ("base_url", "ftp://example.org"),
        ("base_url", "https://user:pass@example.org"),
        ("base_url", "https://example.org/?key=1"),
        ("base_url", "http://169.254.169.254/latest"),
        ("base_url", "http://[::1"),
        ("base_url", "https://"),
        ("api_keys", ("two\r\nlines: here",)),
        ("api_keys", (KEY, KEY)),
        ("api_keys", ()),
        ("models", ("ok", "not ok")),
        ("models", ("twice", "twice")),
    ],
)
async def test_a_provider_that_breaks_a_rule_is_refused(catalog: CatalogService, field: str, value: object) -> None:
    order: dict[str, object] = {"name": "mine", "vendor": "anthropic", "api_keys": (KEY,), field: value}
    with pytest.raises(BadCatalogEntry) as refusal:
        await catalog.providers.create(ADMIN, **order)  # type: ignore[arg-type]
    assert refusal.value.flaws[0].where.startswith(field.removesuffix("s"))


async def test_a_local_server_needs_no_key(catalog: CatalogService) -> None:
    made = await catalog.providers.create(ADMIN, name="ollama", vendor="ollama", models=("llama3",))
    assert made.key_hint is None
    assert names(catalog, "llama3") == ["ollama/llama3"]


async def test_an_alias_and_a_group_work_from_the_moment_they_are_made(catalog: CatalogService) -> None:
    await add_anthropic(catalog)
    await catalog.entries.put_alias(ADMIN, "fast", model_id="openai/gpt-5-nano")
    await catalog.entries.put_group(ADMIN, "best", model_ids=("anthropic/claude-opus-4-5", "openai/gpt-5"))
    assert names(catalog, "fast") == ["openai/gpt-5-nano"]
    assert names(catalog, "best") == ["anthropic/claude-opus-4-5", "openai/gpt-5"]
    await catalog.entries.delete_alias(ADMIN, "fast")
    await catalog.entries.delete_group(ADMIN, "best")
    with pytest.raises(ModelNotFound):
        catalog.resolve("fast", ADMIN)
    with pytest.raises(AliasNotFound):
        await catalog.entries.delete_alias(ADMIN, "fast")
    with pytest.raises(GroupNotFound):
        await catalog.entries.delete_group(ADMIN, "best")


async def test_an_alias_and_a_group_share_their_names(catalog: CatalogService) -> None:
    await catalog.entries.put_alias(ADMIN, "fast", model_id="openai/gpt-5")
    with pytest.raises(NameTaken):
        await catalog.entries.put_group(ADMIN, "fast", model_ids=("openai/gpt-5",))


@pytest.mark.parametrize("target", ["gpt-5", "fast", "nobody/gpt-5", "openai/", "openai/two words"])
async def test_an_alias_must_point_to_a_full_id_that_somebody_serves(catalog: CatalogService, target: str) -> None:
    with pytest.raises(BadCatalogEntry):
        await catalog.entries.put_alias(ADMIN, "fast", model_id=target)


@pytest.mark.parametrize("name", ["", "a/b", "two words", "x" * 129, "-x"])
async def test_an_alias_has_a_plain_name(catalog: CatalogService, name: str) -> None:
    with pytest.raises(BadCatalogEntry):
        await catalog.entries.put_alias(ADMIN, name, model_id="openai/gpt-5")


async def test_an_override_is_kept_whole_and_can_be_taken_back(
    catalog: CatalogService, process: Callable[..., CatalogService]
) -> None:
    made = await catalog.entries.put_override(
        ADMIN,
        "openai/my-tuned-model",
        context_window=9000,
        abilities=frozenset({Ability.TOOLS, Ability.VISION}),
        price=Sheet(rates=Rates(input=1_500_000_000, output=0)),
    )
    assert await catalog.entries.override(ADMIN, "openai/my-tuned-model") == made
    other = process()
    await other.load()
    (target,) = other.resolve("openai/my-tuned-model", ADMIN)
    assert target.model.price == made.price
    assert target.model.abilities == frozenset({Ability.TOOLS, Ability.VISION})
    assert (target.model.context_window, target.model.max_output_tokens) == (9000, None)
    await catalog.entries.delete_override(ADMIN, "openai/my-tuned-model")
    with pytest.raises(OverrideNotFound):
        await catalog.entries.override(ADMIN, "openai/my-tuned-model")
    (target,) = catalog.resolve("openai/my-tuned-model", ADMIN)
    assert target.model.price is None


async def test_an_override_without_any_price_is_no_price(catalog: CatalogService) -> None:
    with pytest.raises(BadCatalogEntry):
        await catalog.entries.put_override(ADMIN, "openai/gpt-5", price=Sheet(rates=Rates()))


# --- discovery, against a real socket ---------------------------------------------------------------------------------


async def discovered(catalog: CatalogService, status: str, body: bytes) -> tuple[list[str], bytes]:
    """What a server that answers so is found to have, and what it was sent."""
    seen = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = await catalog.providers.create(
        ADMIN, name="local", vendor="anthropic", base_url=f"http://127.0.0.1:{port}", api_keys=(KEY,)
    )
    try:
        found = await catalog.providers.discover(ADMIN, made.id)
    finally:
        server.close()
        await server.wait_closed()
    return list(found), bytes(seen)


async def test_a_server_is_asked_for_its_models_with_the_vendors_header(catalog: CatalogService) -> None:
    found, sent = await discovered(catalog, "200 OK", b'{"object":"list","data":[{"id":"b"},{"id":"a"},{"id":"a b"}]}')
    assert found == ["a", "b"]
    assert sent.startswith(b"GET /v1/models HTTP/1.1")
    assert f"x-api-key: {KEY}".encode() in sent


@pytest.mark.parametrize(
    ("status", "body"),
    [("200 OK", b"<html>"), ("200 OK", b"[]"), ("401 Unauthorized", b'{"data":[]}'), ("302 Found", b"")],
)
async def test_a_server_that_gives_no_list_is_said_so(catalog: CatalogService, status: str, body: bytes) -> None:
    with pytest.raises(DiscoveryFailed) as refusal:
        await discovered(catalog, status, body)
    assert KEY not in refusal.value.detail
