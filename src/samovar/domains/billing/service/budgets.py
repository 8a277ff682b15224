"""Setting bounds on what a wallet may spend in a day, week, month or ever."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from samovar.domains.billing.errors import BudgetNotFound, TooManyBudgets
from samovar.domains.billing.model.wallets import (
    WARN_PERCENT,
    Budget,
    BudgetMode,
    BudgetPeriod,
    BudgetUse,
    day_of,
    midnight_after,
    period_start,
)
from samovar.domains.billing.service.conventions import check_amount, check_page, check_revision, invalid
from samovar.domains.billing.service.wallets import mine
from samovar.domains.billing.store import budgets, leases, ledger, wallets
from samovar.domains.identity.model import Permission, require
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx


class BudgetOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The budget that is wanted."""

    wallet_id: str
    period: BudgetPeriod
    nano_usd: int
    mode: BudgetMode = BudgetMode.HARD_STOP
    warn_percent: int = WARN_PERCENT


class BudgetChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; a period stays what it is, for its counter would mean nothing."""

    nano_usd: int | UnsetType = UNSET
    mode: BudgetMode | UnsetType = UNSET
    warn_percent: int | UnsetType = UNSET


class Budgets:
    """``changed`` is told the id of each wallet whose budgets changed."""

    def __init__(
        self, *, database: Database, clock: Clock, ids: Ids, changed: Callable[[str], Awaitable[None]]
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._changed = changed

    async def create(self, principal: Principal, order: BudgetOrder) -> BudgetUse:
        """A new budget. What its period has already seen counts. Raises ``Forbidden``, ``Invalid``, ``WalletNotFound``,
        ``TooManyBudgets``."""
        require(principal, Permission.WALLETS_WRITE)
        _check(order.nano_usd, order.warn_percent)
        made = Budget(
            id=self._ids.new("bud"),
            team_id=principal.team_id,
            wallet_id=order.wallet_id,
            period=order.period,
            amount_nano_usd=order.nano_usd,
            mode=order.mode,
            warn_percent=order.warn_percent,
            revision=1,
            created_at=self._clock.now(),
        )
        most = budgets.MAX_BUDGETS_A_WALLET
        async with self._database.transaction() as tx:
            await mine(tx, principal, order.wallet_id, lock=True)
            known = await budgets.list_budgets(
                tx, principal.team_id, wallet_id=order.wallet_id, before_id=None, limit=most
            )
            if len(known) >= most:
                raise TooManyBudgets(f"A wallet has at most {most} budgets. Delete one, or change one.")
            await budgets.add_budget(tx, made)
            await wallets.touch(tx, principal.team_id, order.wallet_id, at=made.created_at)
            use = await self._begin(tx, made)
        await self._changed(order.wallet_id)
        return use

    async def page(
        self, principal: Principal, *, wallet_id: str | None, limit: int, cursor: str | None
    ) -> tuple[list[BudgetUse], str | None]:
        """The team's, the newest first, and the cursor of the next page. Raises ``Forbidden``, ``Invalid``."""
        require(principal, Permission.WALLETS_READ)
        check_page(limit)
        async with self._database.reading() as tx:
            found = await budgets.list_budgets(
                tx, principal.team_id, wallet_id=wallet_id, before_id=cursor, limit=limit + 1
            )
            shown = [await self._use(tx, one) for one in found[:limit]]
        return shown, found[limit - 1].id if len(found) > limit else None

    async def get(self, principal: Principal, budget_id: str) -> BudgetUse:
        """Raises ``Forbidden``, ``BudgetNotFound``."""
        require(principal, Permission.WALLETS_READ)
        async with self._database.reading() as tx:
            return await self._use(tx, await _mine(tx, principal, budget_id))

    async def history(self, principal: Principal, budget_id: str, *, days: int) -> tuple[BudgetUse, dict[int, int]]:
        """The budget in its period of now, and what calls were charged to its wallet on each of the last ``days`` (by the day
        since 1970, today's too). Raises ``Forbidden``, ``BudgetNotFound``."""
        require(principal, Permission.WALLETS_READ)
        since = day_of(self._clock.now()) - days
        async with self._database.reading() as tx:
            use = await self._use(tx, await _mine(tx, principal, budget_id))
            spent = await leases.spent_by_day(tx, principal.team_id, use.budget.wallet_id, since_day=since)
        return use, spent

    async def change(
        self, principal: Principal, budget_id: str, change: BudgetChange, *, expected: int | None = None
    ) -> BudgetUse:
        """Raises ``Forbidden``, ``Invalid``, ``BudgetNotFound``, ``StaleRevision``."""
        require(principal, Permission.WALLETS_WRITE)
        values: dict[str, Any] = {
            name: value
            for name, value in (
                ("amount_nano_usd", change.nano_usd),
                ("mode", change.mode),
                ("warn_percent", change.warn_percent),
            )
            if value is not UNSET
        }
        _check(values.get("amount_nano_usd", 1), values.get("warn_percent", WARN_PERCENT))
        async with self._database.transaction() as tx:
            found = await _mine(tx, principal, budget_id)
            await mine(tx, principal, found.wallet_id, lock=True)
            found = await _mine(tx, principal, budget_id)
            check_revision(found.revision, expected)
            await budgets.change_budget(tx, principal.team_id, budget_id, values=values, revision=found.revision + 1)
            await wallets.touch(tx, principal.team_id, found.wallet_id, at=self._clock.now())
            use = await self._use(tx, await _mine(tx, principal, budget_id))
        await self._changed(found.wallet_id)
        return use

    async def delete(self, principal: Principal, budget_id: str) -> None:
        """Raises ``Forbidden``, ``BudgetNotFound``."""
        require(principal, Permission.WALLETS_WRITE)
        async with self._database.transaction() as tx:
            found = await _mine(tx, principal, budget_id)
            await mine(tx, principal, found.wallet_id, lock=True)
            await budgets.delete_budget(tx, principal.team_id, budget_id)
            await wallets.touch(tx, principal.team_id, found.wallet_id, at=self._clock.now())
        await self._changed(found.wallet_id)

    async def _begin(self, tx: Tx, budget: Budget) -> BudgetUse:
        start = period_start(budget.period, day_of(self._clock.now()))
        since = midnight_after(start) - timedelta(days=1)
        spent = await ledger.charged(tx, budget.team_id, budget.wallet_id, since=since)
        held = await leases.list_open_of_wallet(tx, budget.team_id, budget.wallet_id)
        leased = sum(lease.outstanding for lease in held if lease.day >= start)
        await budgets.begin_counters(tx, [budgets.CounterSums(budget.id, start, spent, leased)])
        return BudgetUse(budget, spent, leased)

    async def _use(self, tx: Tx, budget: Budget) -> BudgetUse:
        day = day_of(self._clock.now())
        found = await budgets.uses(tx, budget.team_id, budget.wallet_id, day=day)
        return next((use for use in found if use.budget.id == budget.id), BudgetUse(budget, 0, 0))


async def _mine(tx: Tx, principal: Principal, budget_id: str) -> Budget:
    found = await budgets.budget(tx, principal.team_id, budget_id)
    if found is None:
        raise BudgetNotFound("Your team has no budget with this id. GET /api/budgets lists those it has.")
    return found


def _check(nano_usd: int, warn_percent: int) -> None:
    check_amount("credits", nano_usd)
    if not 1 <= warn_percent <= 100:
        raise invalid("warn_percent", "must be from 1 to 100")
