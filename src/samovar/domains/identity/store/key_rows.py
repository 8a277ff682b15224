"""Teams, gateway keys, and facts of the installation."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    false,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Row

from samovar.domains.identity.model import Key, Scope, Team
from samovar.kernel.answer_cache import KeyCache
from samovar.kernel.guard import Guard
from samovar.ports.database import Instant, Json, Tx, insert_new, metadata

teams = Table(
    "teams",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("created_at", Instant, nullable=False),
)

gateway_keys = Table(
    "gateway_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team_id", String(64), ForeignKey("teams.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("hint", String(32), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("allowed_models", Json, nullable=True),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("expires_at", Instant, nullable=True),
    Column("revoked_at", Instant, nullable=True),
    Column("grace_until", Instant, nullable=True),
    Column("replaced_by", String(64), ForeignKey("gateway_keys.id"), nullable=True),
    Column("last_used_at", Instant, nullable=True),
    Column("wallet_id", String(64), nullable=True),
    Column("guard", Json, nullable=True),
    Column("drop_params", Boolean, nullable=False, server_default=false()),
    Column("cache", Json, nullable=True),
    Column("project_id", String(128), nullable=True),
    Column("user_id", String(128), nullable=True),
    Column("revision", Integer, nullable=False, server_default="1"),
    Index(None, "team_id", "id"),
)

installation = Table(
    "installation",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(1000), nullable=False),
)

_SHOWN = [column for column in gateway_keys.c if column.name != "key_hash"]


async def settle_fact(tx: Tx, name: str, value: str) -> str:
    """Write the installation's fact ``name`` unless it is there; the value that now stands.

    Of processes that start together the first one's value wins and the others wait for it, on both engines.
    """
    await insert_new(tx, installation, [{"name": name, "value": value}], keys=("name",))
    return str(await tx.scalar(select(installation.c.value).where(installation.c.name == name)))


async def read_fact(tx: Tx, name: str) -> str | None:
    """The installation's fact ``name``."""
    found: str | None = await tx.scalar(select(installation.c.value).where(installation.c.name == name))
    return found


async def add_team(tx: Tx, team: Team) -> None:
    """Insert, unless a team with this id is there."""
    row = {"id": team.id, "name": team.name, "created_at": team.created_at}
    await insert_new(tx, teams, [row], keys=("id",))


async def add_key(tx: Tx, key: Key, *, key_hash: str) -> None:
    """Insert. ``key_hash`` is the secret's SHA-256 in hexadecimal."""
    await tx.execute(
        insert(gateway_keys).values(
            team_id=key.team_id,
            id=key.id,
            name=key.name,
            key_hash=key_hash,
            hint=key.hint,
            scopes=[scope.value for scope in key.scopes],
            allowed_models=None if key.allowed_models is None else list(key.allowed_models),
            created_at=key.created_at,
            created_by=key.created_by,
            expires_at=key.expires_at,
            wallet_id=key.wallet_id,
            guard=_guard_row(key),
            drop_params=key.drop_params,
            cache=_cache_row(key),
            project_id=key.project_id,
            user_id=key.user_id,
            revision=key.revision,
        )
    )


async def key(tx: Tx, team_id: str, key_id: str) -> Key | None:
    """One key of the team."""
    found = await tx.execute(select(*_SHOWN).where(gateway_keys.c.team_id == team_id, gateway_keys.c.id == key_id))
    row = found.one_or_none()
    return None if row is None else _key(row)


async def keys(tx: Tx, team_id: str, *, before_id: str | None, limit: int) -> list[Key]:
    """The team's keys, the newest first, from the one after ``before_id``."""
    query = select(*_SHOWN).where(gateway_keys.c.team_id == team_id)
    if before_id is not None:
        query = query.where(gateway_keys.c.id < before_id)
    found = await tx.execute(query.order_by(gateway_keys.c.id.desc()).limit(limit))
    return [_key(row) for row in found]


async def keys_by_hash(tx: Tx, hashes: Sequence[str]) -> dict[str, Key]:
    """The keys with these hashes, whatever their team and state: this is how a caller's team becomes known."""
    found = await tx.execute(
        select(gateway_keys.c.key_hash, *_SHOWN).where(gateway_keys.c.key_hash.in_(hashes)).limit(len(hashes))
    )
    return {row.key_hash: _key(row) for row in found}


async def revoke(tx: Tx, team_id: str, key_id: str, *, at: datetime) -> None:
    """Set ``revoked_at`` unless it is set: the first revocation is the one that counts."""
    await tx.execute(
        update(gateway_keys)
        .where(gateway_keys.c.team_id == team_id, gateway_keys.c.id == key_id, gateway_keys.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )


async def replace(tx: Tx, team_id: str, key_id: str, *, by: str, grace_until: datetime) -> bool:
    """Mark the key as replaced. Of callers that race, one gets ``True``; a revoked key is not replaced."""
    found = await tx.execute(
        update(gateway_keys)
        .where(
            gateway_keys.c.team_id == team_id,
            gateway_keys.c.id == key_id,
            gateway_keys.c.replaced_by.is_(None),
            gateway_keys.c.revoked_at.is_(None),
        )
        .values(replaced_by=by, grace_until=grace_until)
    )
    return found.rowcount == 1


async def change(tx: Tx, key: Key, *, from_revision: int) -> bool:
    """Write what a person may change of a key. Of callers that race, one gets ``True``; a revoked key is not changed."""
    found = await tx.execute(
        update(gateway_keys)
        .where(
            gateway_keys.c.team_id == key.team_id,
            gateway_keys.c.id == key.id,
            gateway_keys.c.revision == from_revision,
            gateway_keys.c.revoked_at.is_(None),
        )
        .values(
            name=key.name,
            allowed_models=None if key.allowed_models is None else list(key.allowed_models),
            expires_at=key.expires_at,
            guard=_guard_row(key),
            drop_params=key.drop_params,
            cache=_cache_row(key),
            project_id=key.project_id,
            user_id=key.user_id,
            revision=key.revision,
        )
    )
    return found.rowcount == 1


async def note_uses(tx: Tx, uses: Sequence[tuple[str, str, datetime]]) -> None:
    """Set ``last_used_at`` for each ``(team_id, key_id, at)``, never backwards: processes write in any order."""
    if not uses:
        return
    later = or_(gateway_keys.c.last_used_at.is_(None), gateway_keys.c.last_used_at < bindparam("used_at"))
    statement = (
        update(gateway_keys)
        .where(gateway_keys.c.team_id == bindparam("of_team"), gateway_keys.c.id == bindparam("of_key"), later)
        .values(last_used_at=bindparam("used_at"))
    )
    await tx.execute(statement, [{"of_team": team, "of_key": id_, "used_at": at} for team, id_, at in uses])


def _guard_row(key: Key) -> Any:
    return None if key.guard is None else msgspec.to_builtins(key.guard)


def _cache_row(key: Key) -> Any:
    return None if key.cache is None else msgspec.to_builtins(key.cache)


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        team_id=row.team_id,
        name=row.name,
        hint=row.hint,
        scopes=tuple(Scope(scope) for scope in row.scopes),
        allowed_models=None if row.allowed_models is None else tuple(row.allowed_models),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        grace_until=row.grace_until,
        replaced_by=row.replaced_by,
        last_used_at=row.last_used_at,
        wallet_id=row.wallet_id,
        guard=None if row.guard is None else msgspec.convert(row.guard, Guard),
        drop_params=row.drop_params,
        cache=None if row.cache is None else msgspec.convert(row.cache, KeyCache),
        project_id=row.project_id,
        user_id=row.user_id,
        revision=row.revision,
    )
