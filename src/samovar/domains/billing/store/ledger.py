"""The ledger: rows are added and read, and nothing else."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, func, insert, literal, or_, select, union_all
from sqlalchemy.engine import Row
from sqlalchemy.exc import DBAPIError, IntegrityError

from samovar.domains.billing.errors import ChargesKnown, ChargesRefused, TransferTaken
from samovar.domains.billing.model.ledger import (
    LeaseState,
    Transfer,
    TransferKind,
    TransferRow,
    instant_of,
    spend_account,
)
from samovar.domains.billing.store.tables import budget_counters, budgets, leases, ledger, wallets
from samovar.ports.database import Tx, among
from samovar.ports.scripts import insert_rows

_MAX_FLAWS = 1000
_HALF = 2**32
_SHOWN = [column for column in ledger.c if column.name not in ("team_id", "lease_id")]


class Difference(NamedTuple):
    """A figure that is kept beside the ledger and does not agree with it."""

    what: str
    id: str
    kept: int
    found: int


class Counter(NamedTuple):
    """What a budget has counted in the period that begins on ``start_day``."""

    budget_id: str
    start_day: int
    spent: int
    leased: int
    team_id: str
    wallet_id: str
    period: str


async def append(tx: Tx, rows: Sequence[TransferRow]) -> None:
    """Add rows. Raises :class:`ChargesKnown` where one is there already (see :func:`known`): the caller must not commit then;
    :class:`ChargesRefused` where the database is well and does not take a row: the transaction is then lost."""
    try:
        new = await insert_rows(tx, ledger, rows, keys=("id",))
    except DBAPIError as error:
        # Without the statement, which holds what callers wrote.
        raise ChargesRefused(f"{type(error.orig).__name__}: {error.orig}"[:500]) from error
    if new != len(rows):
        raise ChargesKnown("Some charges of the batch stand in the ledger already. Write the others alone.")


async def add(tx: Tx, row: TransferRow) -> None:
    """Add one row. Raises :class:`TransferTaken` where its id is there; the transaction is then lost."""
    try:
        await tx.execute(insert(ledger).values(**row._asdict() | {"at": instant_of(row.at)}))
    except IntegrityError as error:
        raise TransferTaken("Another request with the same Idempotency-Key is under way. Send it again.") from error


async def known(tx: Tx, ids: Iterable[str]) -> set[str]:
    """Which of these ids stand in the ledger."""
    ids = list(ids)
    found = await tx.execute(select(ledger.c.id).where(among(tx, ledger.c.id, ids)).limit(len(ids)))
    return {row.id for row in found}


async def transfer(tx: Tx, team_id: str, transfer_id: str) -> Transfer | None:
    """One of the team's."""
    found = await tx.execute(select(*_SHOWN).where(ledger.c.team_id == team_id, ledger.c.id == transfer_id))
    row = found.one_or_none()
    return None if row is None else _transfer(row)


async def list_transfers(
    tx: Tx, team_id: str, wallet_id: str, *, before: tuple[datetime, str] | None, limit: int
) -> list[Transfer]:
    """A wallet's, the newest first, from the one after ``before``."""
    query = select(*_SHOWN).where(ledger.c.team_id == team_id, ledger.c.wallet_id == wallet_id)
    if before is not None:
        at, last = before
        query = query.where(or_(ledger.c.at < at, and_(ledger.c.at == at, ledger.c.id < last)))
    found = await tx.execute(query.order_by(ledger.c.at.desc(), ledger.c.id.desc()).limit(limit))
    return [_transfer(row) for row in found]


async def charged(tx: Tx, team_id: str, wallet_id: str, *, since: datetime, until: datetime | None = None) -> int:
    """What calls from ``since`` on, and before ``until``, were charged to a wallet."""
    account = spend_account(team_id)
    query = select(_sum(ledger.c.amount_nano_usd)).where(
        ledger.c.team_id == team_id,
        ledger.c.wallet_id == wallet_id,
        ledger.c.at >= since,
        ledger.c.credit == account,
        ledger.c.debit != account,
    )
    return int(await tx.scalar(query if until is None else query.where(ledger.c.at < until)) or 0)


async def list_differences(tx: Tx, team_id: str | None) -> list[Difference]:
    """Wallets of a team, or of all, whose kept figures are not what ledger and leases say, a bounded number. Reads the whole
    ledger."""
    flows = union_all(
        select(ledger.c.credit.label("account"), ledger.c.amount_nano_usd.label("amount")),
        select(ledger.c.debit.label("account"), (-ledger.c.amount_nano_usd).label("amount")),
    ).subquery()
    balances = select(flows.c.account, _sum(flows.c.amount).label("found")).group_by(flows.c.account).subquery()
    charges = (
        select(ledger.c.wallet_id, _sum(ledger.c.amount_nano_usd).label("found"))
        .where(ledger.c.credit.startswith("spend:"), ledger.c.debit != ledger.c.credit)
        .group_by(ledger.c.wallet_id)
        .subquery()
    )
    held = (
        select(leases.c.wallet_id, _sum(leases.c.amount_nano_usd - leases.c.spent_nano_usd).label("found"))
        .where(leases.c.state == LeaseState.OPEN, leases.c.amount_nano_usd > leases.c.spent_nano_usd)
        .group_by(leases.c.wallet_id)
        .subquery()
    )
    kept = (
        (
            "balance",
            wallets.c.balance_nano_usd,
            balances,
            literal("wallet:").concat(wallets.c.id) == balances.c.account,
        ),
        ("leased", wallets.c.leased_nano_usd, held, wallets.c.id == held.c.wallet_id),
        ("spent", wallets.c.spent_nano_usd, charges, wallets.c.id == charges.c.wallet_id),
    )
    flaws: list[Difference] = []
    for what, column, truth, same in kept:
        found = func.coalesce(truth.c.found, 0)
        query = select(wallets.c.id, column, found).select_from(wallets.outerjoin(truth, same)).where(column != found)
        if team_id is not None:
            query = query.where(wallets.c.team_id == team_id)
        rows = await tx.execute(query.order_by(wallets.c.id).limit(_MAX_FLAWS))
        flaws.extend(Difference(what, wallet_id, int(has), int(true)) for wallet_id, has, true in rows)
    return flaws


async def list_counters(tx: Tx, team_id: str | None, *, after: tuple[str, int], limit: int) -> list[Counter]:
    """Budgets' counters of a team, or of all, by budget and day from the one after ``after``: for the check."""
    budget_id, start_day = after
    query = (
        select(
            budget_counters.c.budget_id,
            budget_counters.c.start_day,
            budget_counters.c.spent_nano_usd,
            budget_counters.c.leased_nano_usd,
            budgets.c.team_id,
            budgets.c.wallet_id,
            budgets.c.period,
        )
        .join(budgets, budgets.c.id == budget_counters.c.budget_id)
        .where(
            or_(
                budget_counters.c.budget_id > budget_id,
                and_(budget_counters.c.budget_id == budget_id, budget_counters.c.start_day > start_day),
            )
        )
        .order_by(budget_counters.c.budget_id, budget_counters.c.start_day)
        .limit(limit)
    )
    if team_id is not None:
        query = query.where(budgets.c.team_id == team_id)
    found = await tx.execute(query)
    return [Counter(*row) for row in found]


def _sum(amount: ColumnElement[int]) -> ColumnElement[int]:
    """A sum in two halves: SQLite's own fails where it passes 64 bits, and this becomes inexact there."""
    return func.sum(amount // _HALF) * _HALF + func.sum(amount % _HALF)


def _transfer(row: Row[Any]) -> Transfer:
    return Transfer(
        id=row.id,
        at=row.at,
        wallet_id=row.wallet_id,
        debit=row.debit,
        credit=row.credit,
        amount_nano_usd=row.amount_nano_usd,
        kind=TransferKind(row.kind),
        principal_id=row.principal_id,
        source=row.source,
        estimated=row.estimated,
        mark=row.mark,
        memo=row.memo,
    )
