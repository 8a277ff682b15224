"""Leases, and the processes that hold them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from samovar.domains.billing.model.ledger import HeldLease, LeaseRow, LeaseState
from samovar.domains.billing.store.tables import leases, spenders
from samovar.ports.database import Tx, among, upsert

_MAX_LEASES = 100_000
_ROW = [leases.c[name] for name in ("id", "wallet_id", "team_id", "day", "amount_nano_usd", "spent_nano_usd", "state")]


async def seen(tx: Tx, spender_id: str, *, host_id: str, at: datetime) -> None:
    """A process is there."""
    await upsert(tx, spenders, {"id": spender_id, "host_id": host_id, "seen_at": at}, keys=("id",))


async def add_lease(tx: Tx, lease: LeaseRow, *, spender_id: str, at: datetime) -> None:
    """Insert."""
    await tx.execute(
        insert(leases).values(
            team_id=lease.team_id,
            id=lease.id,
            wallet_id=lease.wallet_id,
            spender_id=spender_id,
            day=lease.day,
            amount_nano_usd=lease.amount_nano_usd,
            spent_nano_usd=lease.spent_nano_usd,
            state=lease.state,
            taken_at=at,
        )
    )


async def spent_by_day(tx: Tx, team_id: str, wallet_id: str, *, since_day: int) -> dict[int, int]:
    """What calls were charged to a wallet on each day (since 1970, UTC) that saw any."""
    found = await tx.execute(
        select(leases.c.day, func.sum(leases.c.spent_nano_usd).label("spent"))
        .where(leases.c.team_id == team_id, leases.c.wallet_id == wallet_id, leases.c.day >= since_day)
        .group_by(leases.c.day)
        .limit(_MAX_LEASES)
    )
    return {row.day: int(row.spent) for row in found}


async def set_lease(tx: Tx, team_id: str, lease_id: str, *, amount_nano_usd: int, state: LeaseState) -> None:
    """Set what is leased and the state. The caller has locked the wallet."""
    await tx.execute(
        update(leases)
        .where(leases.c.team_id == team_id, leases.c.id == lease_id)
        .values(amount_nano_usd=amount_nano_usd, state=state)
    )


async def lease(tx: Tx, team_id: str, lease_id: str) -> LeaseRow | None:
    """One of the team's."""
    found = await tx.execute(select(*_ROW).where(leases.c.team_id == team_id, leases.c.id == lease_id))
    row = found.one_or_none()
    return None if row is None else _lease(row)


async def leases_of(tx: Tx, lease_ids: Iterable[str]) -> dict[str, LeaseRow]:
    """Some leases of any team, by id."""
    found = await tx.execute(select(*_ROW).where(among(tx, leases.c.id, lease_ids)).limit(_MAX_LEASES))
    return {row.id: _lease(row) for row in found}


async def list_open_of_wallet(tx: Tx, team_id: str, wallet_id: str) -> list[LeaseRow]:
    """Those that keep money of a wallet from others."""
    found = await tx.execute(
        select(*_ROW)
        .where(
            leases.c.team_id == team_id,
            leases.c.wallet_id == wallet_id,
            leases.c.state.in_((LeaseState.OPEN, LeaseState.SUSPENSE)),
        )
        .limit(_MAX_LEASES)
    )
    return [_lease(row) for row in found]


async def list_open_of_spender(tx: Tx, spender_id: str, *, after_id: str, limit: int) -> list[LeaseRow]:
    """What a process has not given back, of any team, by id from the one after ``after_id``."""
    found = await tx.execute(
        select(*_ROW)
        .where(leases.c.spender_id == spender_id, leases.c.state == LeaseState.OPEN, leases.c.id > after_id)
        .order_by(leases.c.id)
        .limit(limit)
    )
    return [_lease(row) for row in found]


async def list_leases(
    tx: Tx,
    team_id: str,
    *,
    wallet_id: str | None,
    states: Sequence[LeaseState],
    before_id: str | None,
    limit: int,
    lease_id: str | None = None,
) -> list[HeldLease]:
    """The team's in some states, the newest first, each with when its process was last seen."""
    query = (
        select(*_ROW, leases.c.taken_at, leases.c.spender_id, spenders.c.host_id, spenders.c.seen_at)
        .join(spenders, spenders.c.id == leases.c.spender_id)
        .where(leases.c.team_id == team_id, leases.c.state.in_(states))
    )
    if wallet_id is not None:
        query = query.where(leases.c.wallet_id == wallet_id)
    if lease_id is not None:
        query = query.where(leases.c.id == lease_id)
    if before_id is not None:
        query = query.where(leases.c.id < before_id)
    found = await tx.execute(query.order_by(leases.c.id.desc()).limit(limit))
    return [
        HeldLease(
            lease=_lease(row),
            host_id=row.host_id,
            spender_id=row.spender_id,
            taken_at=row.taken_at,
            seen_at=row.seen_at,
        )
        for row in found
    ]


async def add_spent(tx: Tx, spent: Sequence[tuple[str, int]]) -> None:
    """Add to what was spent of leases: each a lease's id and nano-dollars."""
    if not spent:
        return
    statement = (
        update(leases)
        .where(leases.c.id == bindparam("of_lease"))
        .values(spent_nano_usd=leases.c.spent_nano_usd + bindparam("more"))
    )
    await tx.execute(statement, [{"of_lease": lease_id, "more": more} for lease_id, more in spent])


def _lease(row: Any) -> LeaseRow:
    return LeaseRow(
        row.id, row.wallet_id, row.team_id, row.day, row.amount_nano_usd, row.spent_nano_usd, LeaseState(row.state)
    )
