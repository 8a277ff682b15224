"""All SQL of the catalogue. Functions take the open transaction first and filter by team first.

One exception, on purpose: :func:`versions` reads one small row for each team, so that a process learns with one query
whose catalogue changed. Every write begins with :func:`bump`, which also makes a team's writers wait for one another.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)

from samovar.domains.catalog.model import Ability, Alias, Group, Override, PriceCard, Provider, ProviderSource, Strategy
from samovar.ports.database import Instant, Json, Tx, insert_new, metadata, upsert

MAX_PROVIDERS: Final = 100
MAX_ALIASES: Final = 1000
MAX_GROUPS: Final = 200
MAX_OVERRIDES: Final = 2000
_MAX_TEAMS: Final = 100_000

catalog_versions = Table(
    "catalog_versions",
    metadata,
    Column("team_id", String(64), ForeignKey("teams.id"), primary_key=True),
    Column("version", BigInteger, nullable=False),
)

providers = Table(
    "providers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team_id", String(64), ForeignKey("teams.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("vendor", String(64), nullable=False),
    Column("base_url", String(512), nullable=False),
    Column("sealed_key", LargeBinary, nullable=True),
    Column("models", Json, nullable=True),
    Column("enabled", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("team_id", "name"),
)

model_overrides = Table(
    "model_overrides",
    metadata,
    Column("team_id", String(64), ForeignKey("teams.id"), primary_key=True),
    Column("model_id", String(320), primary_key=True),
    Column("context_window", Integer, nullable=True),
    Column("max_output_tokens", Integer, nullable=True),
    Column("abilities", Json, nullable=True),
    Column("price", Json, nullable=True),
    Column("quality", Integer, nullable=True),
    Column("revision", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("team_id", String(64), ForeignKey("teams.id"), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("model_id", String(320), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

model_groups = Table(
    "model_groups",
    metadata,
    Column("team_id", String(64), ForeignKey("teams.id"), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("model_ids", Json, nullable=False),
    Column("strategy", String(16), nullable=True, comment="null: the order given"),
    Column("weights", Json, nullable=True, comment="member to weight, for the strategy weighted"),
    Column("revision", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
)


class StoredProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider without its key, and the key as it is stored."""

    provider: Provider
    sealed_key: bytes | None


# --- versions -------------------------------------------------------------------------------------------------------


async def versions(tx: Tx) -> Mapping[str, int]:
    """For each team that ever changed its catalogue, how often it did."""
    found = await tx.execute(select(catalog_versions.c.team_id, catalog_versions.c.version).limit(_MAX_TEAMS))
    return {row.team_id: row.version for row in found}


async def bump(tx: Tx, team_id: str) -> None:
    """Count a change. The row stays locked until the transaction ends: what is read after this is not changed by others."""
    await insert_new(tx, catalog_versions, [{"team_id": team_id, "version": 0}], keys=("team_id",))
    await tx.execute(
        update(catalog_versions)
        .where(catalog_versions.c.team_id == team_id)
        .values(version=catalog_versions.c.version + 1)
    )


# --- providers ------------------------------------------------------------------------------------------------------


async def team_providers(tx: Tx, team_id: str) -> tuple[StoredProvider, ...]:
    """All of a team's, by name."""
    found = await tx.execute(
        select(providers).where(providers.c.team_id == team_id).order_by(providers.c.name).limit(MAX_PROVIDERS)
    )
    return tuple(_provider(row) for row in found.mappings())


async def provider(tx: Tx, team_id: str, provider_id: str) -> StoredProvider | None:
    """One provider of the team."""
    found = await tx.execute(select(providers).where(providers.c.team_id == team_id, providers.c.id == provider_id))
    row = found.mappings().one_or_none()
    return None if row is None else _provider(row)


async def add_provider(tx: Tx, stored: StoredProvider, *, at: datetime) -> None:
    """Insert."""
    await tx.execute(
        insert(providers).values(**_provider_row(stored), id=stored.provider.id, created_at=at, updated_at=at)
    )


async def change_provider(tx: Tx, stored: StoredProvider, *, at: datetime) -> None:
    """Write all its columns."""
    team_id, provider_id = stored.provider.team_id, stored.provider.id
    await tx.execute(
        update(providers)
        .where(providers.c.team_id == team_id, providers.c.id == provider_id)
        .values(**_provider_row(stored), updated_at=at)
    )


async def drop_provider(tx: Tx, team_id: str, provider_id: str) -> None:
    """Delete."""
    await tx.execute(delete(providers).where(providers.c.team_id == team_id, providers.c.id == provider_id))


def _provider_row(stored: StoredProvider) -> dict[str, Any]:
    one = stored.provider
    return {
        "team_id": one.team_id,
        "name": one.name,
        "vendor": one.vendor,
        "base_url": one.base_url,
        "sealed_key": stored.sealed_key,
        "models": None if one.models is None else list(one.models),
        "enabled": one.enabled,
        "revision": one.revision,
    }


def _provider(row: Mapping[Any, Any]) -> StoredProvider:
    found = Provider(
        id=row["id"],
        team_id=row["team_id"],
        name=row["name"],
        vendor=row["vendor"],
        base_url=row["base_url"],
        source=ProviderSource.DATABASE,
        models=None if row["models"] is None else tuple(row["models"]),
        enabled=row["enabled"],
        revision=row["revision"],
    )
    return StoredProvider(provider=found, sealed_key=row["sealed_key"])


# --- names ----------------------------------------------------------------------------------------------------------


async def aliases(tx: Tx, team_id: str) -> tuple[Alias, ...]:
    """All of a team's, by name."""
    t = model_aliases
    found = await tx.execute(
        select(t.c.team_id, t.c.name, t.c.model_id, t.c.revision)
        .where(t.c.team_id == team_id)
        .order_by(t.c.name)
        .limit(MAX_ALIASES)
    )
    return tuple(Alias(**row) for row in found.mappings())


async def put_alias(tx: Tx, alias: Alias, *, at: datetime) -> None:
    """Insert or replace."""
    row = {"team_id": alias.team_id, "name": alias.name, "model_id": alias.model_id, "revision": alias.revision}
    await upsert(tx, model_aliases, {**row, "updated_at": at}, keys=("team_id", "name"))


async def groups(tx: Tx, team_id: str) -> tuple[Group, ...]:
    """All of a team's, by name."""
    t = model_groups
    found = await tx.execute(
        select(t.c.team_id, t.c.name, t.c.model_ids, t.c.strategy, t.c.weights, t.c.revision)
        .where(t.c.team_id == team_id)
        .order_by(t.c.name)
        .limit(MAX_GROUPS)
    )
    return tuple(
        Group(
            team_id=row.team_id,
            name=row.name,
            model_ids=tuple(row.model_ids),
            strategy=Strategy.ORDER if row.strategy is None else Strategy(row.strategy),
            weights=row.weights or {},
            revision=row.revision,
        )
        for row in found
    )


async def put_group(tx: Tx, group: Group, *, at: datetime) -> None:
    """Insert or replace."""
    row = {
        "team_id": group.team_id,
        "name": group.name,
        "model_ids": list(group.model_ids),
        "strategy": None if group.strategy is Strategy.ORDER else group.strategy.value,
        "weights": dict(group.weights) or None,
        "revision": group.revision,
    }
    await upsert(tx, model_groups, {**row, "updated_at": at}, keys=("team_id", "name"))


async def drop_name(tx: Tx, table: Table, team_id: str, name: str) -> None:
    """Delete an alias (``model_aliases``) or a group (``model_groups``)."""
    await tx.execute(delete(table).where(table.c.team_id == team_id, table.c.name == name))


# --- overrides ------------------------------------------------------------------------------------------------------


def _said(t: Table) -> tuple[Column[Any], ...]:
    figures = (t.c.context_window, t.c.max_output_tokens, t.c.abilities, t.c.price, t.c.quality)
    return (t.c.team_id, t.c.model_id, *figures, t.c.revision)


async def overrides(tx: Tx, team_id: str) -> tuple[Override, ...]:
    """All of a team's, by model."""
    t = model_overrides
    found = await tx.execute(
        select(*_said(t)).where(t.c.team_id == team_id).order_by(t.c.model_id).limit(MAX_OVERRIDES)
    )
    return tuple(_override(row) for row in found.mappings())


async def override(tx: Tx, team_id: str, model_id: str) -> Override | None:
    """What the team's admin says of one model."""
    t = model_overrides
    found = await tx.execute(select(*_said(t)).where(t.c.team_id == team_id, t.c.model_id == model_id))
    row = found.mappings().one_or_none()
    return None if row is None else _override(row)


async def count_overrides(tx: Tx, team_id: str) -> int:
    """How many there are."""
    query = select(func.count()).select_from(model_overrides).where(model_overrides.c.team_id == team_id)
    return int(await tx.scalar(query) or 0)


async def put_override(tx: Tx, one: Override, *, at: datetime) -> None:
    """Insert or replace."""
    row = {
        "team_id": one.team_id,
        "model_id": one.model_id,
        "context_window": one.context_window,
        "max_output_tokens": one.max_output_tokens,
        "abilities": None if one.abilities is None else sorted(one.abilities),
        "price": None if one.price is None else msgspec.to_builtins(one.price),
        "quality": one.quality,
        "revision": one.revision,
        "updated_at": at,
    }
    await upsert(tx, model_overrides, row, keys=("team_id", "model_id"))


async def drop_override(tx: Tx, team_id: str, model_id: str) -> None:
    """Delete."""
    t = model_overrides
    await tx.execute(delete(t).where(t.c.team_id == team_id, t.c.model_id == model_id))


def _override(row: Mapping[Any, Any]) -> Override:
    abilities, price = row["abilities"], row["price"]
    return Override(
        team_id=row["team_id"],
        model_id=row["model_id"],
        context_window=row["context_window"],
        max_output_tokens=row["max_output_tokens"],
        abilities=None if abilities is None else frozenset(Ability(one) for one in abilities),
        price=None if price is None else msgspec.convert(price, PriceCard),
        quality=row["quality"],
        revision=row["revision"],
    )
