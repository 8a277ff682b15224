"""Budgets and what was spent and leased of them in each period."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from samovar.domains.billing.model.wallets import Budget, BudgetMode, BudgetPeriod, BudgetUse, period_start
from samovar.domains.billing.store.tables import budget_counters, budgets
from samovar.ports.database import Tx, among

MAX_BUDGETS_A_WALLET = 20
_MAX_BUDGETS_A_BATCH = 100_000


class CounterSums(NamedTuple):
    """What is added to a budget's counters in the period that begins on ``start_day``."""

    budget_id: str
    start_day: int
    spent: int
    leased: int


async def add_budget(tx: Tx, budget: Budget) -> None:
    """Insert."""
    await tx.execute(
        insert(budgets).values(
            team_id=budget.team_id,
            id=budget.id,
            wallet_id=budget.wallet_id,
            period=budget.period,
            amount_nano_usd=budget.amount_nano_usd,
            mode=budget.mode,
            warn_percent=budget.warn_percent,
            revision=budget.revision,
            created_at=budget.created_at,
        )
    )


async def budget(tx: Tx, team_id: str, budget_id: str) -> Budget | None:
    """One of the team's."""
    found = await tx.execute(select(budgets).where(budgets.c.team_id == team_id, budgets.c.id == budget_id))
    row = found.one_or_none()
    return None if row is None else _budget(row)


async def list_budgets(
    tx: Tx, team_id: str, *, wallet_id: str | None, before_id: str | None, limit: int
) -> list[Budget]:
    """The team's, the newest first, from the one after ``before_id``; ``wallet_id`` alone or all."""
    query = select(budgets).where(budgets.c.team_id == team_id)
    if wallet_id is not None:
        query = query.where(budgets.c.wallet_id == wallet_id)
    if before_id is not None:
        query = query.where(budgets.c.id < before_id)
    return [_budget(row) for row in await tx.execute(query.order_by(budgets.c.id.desc()).limit(limit))]


async def change_budget(tx: Tx, team_id: str, budget_id: str, *, values: Mapping[str, Any], revision: int) -> None:
    """Set columns and the revision. The caller has locked the wallet."""
    await tx.execute(
        update(budgets)
        .where(budgets.c.team_id == team_id, budgets.c.id == budget_id)
        .values(**values, revision=revision)
    )


async def delete_budget(tx: Tx, team_id: str, budget_id: str) -> None:
    """Delete with its counters."""
    await tx.execute(delete(budgets).where(budgets.c.team_id == team_id, budgets.c.id == budget_id))


async def budgets_of(tx: Tx, wallet_ids: Iterable[str]) -> dict[str, list[Budget]]:
    """Those of some wallets of any team, by wallet."""
    found = await tx.execute(
        select(budgets).where(among(tx, budgets.c.wallet_id, wallet_ids)).limit(_MAX_BUDGETS_A_BATCH)
    )
    by_wallet: dict[str, list[Budget]] = {}
    for row in found:
        by_wallet.setdefault(row.wallet_id, []).append(_budget(row))
    return by_wallet


async def uses(tx: Tx, team_id: str, wallet_id: str, *, day: int) -> list[BudgetUse]:
    """A wallet's budgets, each in the period of ``day``."""
    starts = {period: period_start(period, day) for period in BudgetPeriod}
    counted = and_(
        budget_counters.c.budget_id == budgets.c.id, budget_counters.c.start_day.in_(sorted(set(starts.values())))
    )
    found = await tx.execute(
        select(
            *budgets.c, budget_counters.c.start_day, budget_counters.c.spent_nano_usd, budget_counters.c.leased_nano_usd
        )
        .select_from(budgets.outerjoin(budget_counters, counted))
        .where(budgets.c.team_id == team_id, budgets.c.wallet_id == wallet_id)
        .limit(MAX_BUDGETS_A_WALLET * len(starts))
    )
    known: dict[str, BudgetUse] = {}
    for row in found:
        budget = _budget(row)
        known.setdefault(budget.id, BudgetUse(budget, 0, 0))
        # On some days two periods begin together, on others a budget has a counter of another period's start.
        if row.start_day == starts[budget.period]:
            known[budget.id] = BudgetUse(budget, row.spent_nano_usd, row.leased_nano_usd)
    return list(known.values())


async def begin_counters(tx: Tx, sums: Sequence[CounterSums]) -> None:
    """Add, and begin a period that has no counter yet."""
    make = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    for one in sums:
        statement = make(budget_counters).values(
            budget_id=one.budget_id, start_day=one.start_day, spent_nano_usd=one.spent, leased_nano_usd=one.leased
        )
        added = {
            name: budget_counters.c[name] + statement.excluded[name] for name in ("spent_nano_usd", "leased_nano_usd")
        }
        await tx.execute(statement.on_conflict_do_update(index_elements=["budget_id", "start_day"], set_=added))


async def add_to_counters(tx: Tx, sums: Sequence[CounterSums]) -> None:
    """Add to the counters that there are; a period that a budget does not count has none."""
    if not sums:
        return
    statement = (
        update(budget_counters)
        .where(budget_counters.c.budget_id == bindparam("of_budget"), budget_counters.c.start_day == bindparam("since"))
        .values(
            spent_nano_usd=budget_counters.c.spent_nano_usd + bindparam("more_spent"),
            leased_nano_usd=budget_counters.c.leased_nano_usd + bindparam("more_leased"),
        )
    )
    await tx.execute(
        statement,
        [
            {"of_budget": one.budget_id, "since": one.start_day, "more_spent": one.spent, "more_leased": one.leased}
            for one in sums
        ],
    )


def _budget(row: Any) -> Budget:
    return Budget(
        id=row.id,
        team_id=row.team_id,
        wallet_id=row.wallet_id,
        period=BudgetPeriod(row.period),
        amount_nano_usd=row.amount_nano_usd,
        mode=BudgetMode(row.mode),
        warn_percent=row.warn_percent,
        revision=row.revision,
        created_at=row.created_at,
    )
