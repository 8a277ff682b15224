"""Service accounts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    delete,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Row

from samovar.domains.identity.model import SecretHashes, ServiceAccount, ServiceRole
from samovar.ports.database import Instant, Tx, insert_new, metadata

service_accounts = Table(
    "service_accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team_id", String(64), ForeignKey("teams.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("client_id", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("secret_hash", String(200), nullable=False, comment="Argon2, in its PHC string format"),
    Column("hint", String(32), nullable=False),
    Column("secret_version", Integer, nullable=False),
    Column("secret_made_at", Instant, nullable=False),
    Column("secret_expires_at", Instant, nullable=False),
    Column("former_hash", String(200), nullable=True),
    Column("former_hint", String(32), nullable=True),
    Column("former_version", Integer, nullable=True),
    Column("former_until", Instant, nullable=True),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("disabled_at", Instant, nullable=True),
    Column("last_used_at", Instant, nullable=True),
    Column("revision", Integer, nullable=False, server_default="1"),
    Index(None, "team_id", "id"),
)

_t = service_accounts.c
_SHOWN = [column for column in service_accounts.c if column.name not in ("secret_hash", "former_hash")]


async def add_account(tx: Tx, account: ServiceAccount, *, secret_hash: str) -> bool:
    """Insert; ``False`` where another account of the installation has this client id."""
    row = {
        "id": account.id,
        "team_id": account.team_id,
        "client_id": account.client_id,
        "created_at": account.created_at,
        "created_by": account.created_by,
        "secret_hash": secret_hash,
        **_changing(account),
    }
    await insert_new(tx, service_accounts, [row], keys=("client_id",))
    return await tx.scalar(select(_t.id).where(_t.client_id == account.client_id)) == account.id


async def account(tx: Tx, team_id: str, account_id: str) -> ServiceAccount | None:
    """One account of the team."""
    found = await tx.execute(select(*_SHOWN).where(_t.team_id == team_id, _t.id == account_id))
    row = found.one_or_none()
    return None if row is None else _account(row)


async def accounts(tx: Tx, team_id: str, *, before_id: str | None, limit: int) -> list[ServiceAccount]:
    """The team's accounts, the newest first, from the one after ``before_id``."""
    query = select(*_SHOWN).where(_t.team_id == team_id)
    if before_id is not None:
        query = query.where(_t.id < before_id)
    return [_account(row) for row in await tx.execute(query.order_by(_t.id.desc()).limit(limit))]


async def accounts_by_id(tx: Tx, ids: Sequence[str]) -> dict[str, ServiceAccount]:
    """The accounts that tokens name, whatever their team and state: this is how a caller's team becomes known."""
    found = await tx.execute(select(*_SHOWN).where(_t.id.in_(ids)).limit(len(ids)))
    return {row.id: _account(row) for row in found}


async def account_of_client(tx: Tx, client_id: str) -> tuple[ServiceAccount, SecretHashes] | None:
    """Who signs in under this client id, and the hashes of its secrets."""
    columns: list[ColumnElement[Any]] = [*_SHOWN, _t.secret_hash, _t.former_hash]
    row = (await tx.execute(select(*columns).where(_t.client_id == client_id))).one_or_none()
    if row is None:
        return None
    return _account(row), SecretHashes(current=row.secret_hash, former=row.former_hash)


async def change_account(tx: Tx, changed: ServiceAccount, *, from_revision: int) -> bool:
    """Write what a person may change, but no secret. Of callers that race, one gets ``True``."""
    found = await tx.execute(
        update(service_accounts)
        .where(_t.team_id == changed.team_id, _t.id == changed.id, _t.revision == from_revision)
        .values(_changing(changed))
    )
    return found.rowcount == 1


async def rotate_secret(tx: Tx, rotated: ServiceAccount, *, secret_hash: str, from_revision: int) -> bool:
    """The current secret becomes the former one and ``secret_hash`` the current. Of callers that race, one gets ``True``."""
    found = await tx.execute(
        update(service_accounts)
        .where(_t.team_id == rotated.team_id, _t.id == rotated.id, _t.revision == from_revision)
        .values({**_changing(rotated), "former_hash": _t.secret_hash, "secret_hash": secret_hash})
    )
    return found.rowcount == 1


async def delete_account(tx: Tx, team_id: str, account_id: str) -> bool:
    """Whether it was there."""
    found = await tx.execute(delete(service_accounts).where(_t.team_id == team_id, _t.id == account_id))
    return found.rowcount == 1


async def note_account_uses(tx: Tx, uses: Sequence[tuple[str, str, datetime]]) -> None:
    """As ``note_uses`` of keys, for each ``(team_id, account_id, at)``."""
    if not uses:
        return
    later = or_(_t.last_used_at.is_(None), _t.last_used_at < bindparam("used_at"))
    statement = (
        update(service_accounts)
        .where(_t.team_id == bindparam("of_team"), _t.id == bindparam("of_account"), later)
        .values(last_used_at=bindparam("used_at"))
    )
    await tx.execute(statement, [{"of_team": team, "of_account": id_, "used_at": at} for team, id_, at in uses])


def _changing(account: ServiceAccount) -> dict[str, Any]:
    return {
        "name": account.name,
        "role": account.role.value,
        "hint": account.hint,
        "secret_version": account.secret_version,
        "secret_made_at": account.secret_made_at,
        "secret_expires_at": account.secret_expires_at,
        "former_hint": account.former_hint,
        "former_version": account.former_version,
        "former_until": account.former_until,
        "disabled_at": account.disabled_at,
        "revision": account.revision,
    }


def _account(row: Row[Any]) -> ServiceAccount:
    return ServiceAccount(
        id=row.id,
        team_id=row.team_id,
        name=row.name,
        client_id=row.client_id,
        role=ServiceRole(row.role),
        hint=row.hint,
        secret_version=row.secret_version,
        secret_made_at=row.secret_made_at,
        secret_expires_at=row.secret_expires_at,
        created_at=row.created_at,
        created_by=row.created_by,
        former_hint=row.former_hint,
        former_version=row.former_version,
        former_until=row.former_until,
        disabled_at=row.disabled_at,
        last_used_at=row.last_used_at,
        revision=row.revision,
    )
