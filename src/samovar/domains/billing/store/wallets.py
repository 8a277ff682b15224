"""Wallets."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from samovar.domains.billing.errors import OwnerTaken
from samovar.domains.billing.model.wallets import OwnerKind, Wallet
from samovar.domains.billing.store.tables import wallets
from samovar.ports.database import Tx, among

_SHOWN = [column for column in wallets.c if column.name != "changed_at"]


class WalletSums(NamedTuple):
    """What is added to a wallet's figures."""

    wallet_id: str
    balance: int
    leased: int
    spent: int


async def add_wallet(tx: Tx, wallet: Wallet) -> None:
    """Insert. Raises :class:`OwnerTaken`; the transaction is then lost."""
    await _unless_taken(
        tx,
        insert(wallets).values(
            team_id=wallet.team_id,
            id=wallet.id,
            name=wallet.name,
            owner_kind=wallet.owner_kind,
            owner_id=wallet.owner_id,
            unlimited=wallet.unlimited,
            call_ceiling_nano_usd=wallet.call_ceiling_nano_usd,
            balance_nano_usd=wallet.balance_nano_usd,
            leased_nano_usd=wallet.leased_nano_usd,
            spent_nano_usd=wallet.spent_nano_usd,
            revision=wallet.revision,
            created_at=wallet.created_at,
            changed_at=wallet.created_at,
        ),
    )


async def wallet(tx: Tx, team_id: str, wallet_id: str, *, lock: bool = False) -> Wallet | None:
    """One of the team's. ``lock`` keeps all others from changing its money until the transaction ends."""
    query = select(*_SHOWN).where(wallets.c.team_id == team_id, wallets.c.id == wallet_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else _wallet(row)


async def list_wallets(tx: Tx, team_id: str, *, before_id: str | None, limit: int) -> list[Wallet]:
    """The team's, the newest first, from the one after ``before_id``."""
    query = select(*_SHOWN).where(wallets.c.team_id == team_id)
    if before_id is not None:
        query = query.where(wallets.c.id < before_id)
    return [_wallet(row) for row in await tx.execute(query.order_by(wallets.c.id.desc()).limit(limit))]


async def owned_by(tx: Tx, team_id: str, kind: OwnerKind, owner_id: str) -> str | None:
    """The id of the wallet that somebody of the team owns."""
    query = select(wallets.c.id).where(
        wallets.c.team_id == team_id, wallets.c.owner_kind == kind, wallets.c.owner_id == owner_id
    )
    found: str | None = await tx.scalar(query)
    return found


async def list_changed(tx: Tx, *, since: datetime, after_id: str, limit: int) -> list[tuple[Wallet, datetime]]:
    """Those of all teams that an admin made or changed (their credits and budgets too) at or after ``since``, by id, each
    with when that was: what processes remember of wallets."""
    found = await tx.execute(
        select(wallets)
        .where(wallets.c.changed_at >= since, wallets.c.id > after_id)
        .order_by(wallets.c.id)
        .limit(limit)
    )
    return [(_wallet(row), row.changed_at) for row in found]


async def change_wallet(
    tx: Tx, team_id: str, wallet_id: str, *, values: Mapping[str, Any], revision: int, at: datetime
) -> None:
    """Set columns and the revision. The caller has locked the row. Raises :class:`OwnerTaken`."""
    await _unless_taken(
        tx,
        update(wallets)
        .where(wallets.c.team_id == team_id, wallets.c.id == wallet_id)
        .values(**values, revision=revision, changed_at=at),
    )


async def touch(tx: Tx, team_id: str, wallet_id: str, *, at: datetime) -> None:
    """Its credits or budgets changed: processes that are not told find it by :func:`list_changed`. The caller has locked it."""
    await tx.execute(
        update(wallets).where(wallets.c.team_id == team_id, wallets.c.id == wallet_id).values(changed_at=at)
    )


async def lock_wallets(tx: Tx, wallet_ids: Iterable[str]) -> None:
    """Lock some wallets of any team, in one order for all, so that no two writers wait for each other."""
    query = select(wallets.c.id).where(among(tx, wallets.c.id, wallet_ids)).order_by(wallets.c.id)
    await tx.execute(query.with_for_update())


async def add_sums(tx: Tx, sums: Sequence[WalletSums]) -> None:
    """Add to the figures of wallets that are locked."""
    if not sums:
        return
    statement = (
        update(wallets)
        .where(wallets.c.id == bindparam("of_wallet"))
        .values(
            balance_nano_usd=wallets.c.balance_nano_usd + bindparam("more_balance"),
            leased_nano_usd=wallets.c.leased_nano_usd + bindparam("more_leased"),
            spent_nano_usd=wallets.c.spent_nano_usd + bindparam("more_spent"),
        )
    )
    await tx.execute(
        statement,
        [
            {
                "of_wallet": one.wallet_id,
                "more_balance": one.balance,
                "more_leased": one.leased,
                "more_spent": one.spent,
            }
            for one in sums
        ],
    )


async def _unless_taken(tx: Tx, statement: Any) -> None:
    try:
        await tx.execute(statement)
    except IntegrityError as error:
        raise OwnerTaken("This owner has a wallet already. Change that one, or give this one another owner.") from error


def _wallet(row: Row[Any]) -> Wallet:
    return Wallet(
        id=row.id,
        team_id=row.team_id,
        name=row.name,
        owner_kind=None if row.owner_kind is None else OwnerKind(row.owner_kind),
        owner_id=row.owner_id,
        unlimited=row.unlimited,
        call_ceiling_nano_usd=row.call_ceiling_nano_usd,
        balance_nano_usd=row.balance_nano_usd,
        leased_nano_usd=row.leased_nano_usd,
        spent_nano_usd=row.spent_nano_usd,
        revision=row.revision,
        created_at=row.created_at,
    )
