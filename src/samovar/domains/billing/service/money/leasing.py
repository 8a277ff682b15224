"""Taking money from wallets and giving it back: the transactions of a lease."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from samovar.domains.billing.errors import CreditSpent, WalletGone
from samovar.domains.billing.model.ledger import LeaseRow, LeaseState
from samovar.domains.billing.model.wallets import (
    BudgetUse,
    PurseState,
    allowance,
    day_of,
    lease_size,
    period_start,
    reach,
    share_of,
    state_of,
)
from samovar.domains.billing.store import budgets, leases, wallets
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Spender:
    """Who takes leases: a process on a host. A host is what shares a spool's disk."""

    id: str
    host_id: str


class Wish(NamedTuple):
    """What a process needs of a wallet: the bounds of the calls that wait, in their order; what it has at hand on the lease
    ``lease_id`` (``None``: it has none); and what it would take where there is plenty."""

    team_id: str
    wallet_id: str
    lease_id: str | None
    wanted: Sequence[int]
    free: int
    comfortable: int


class Grant(NamedTuple):
    """The lease as it is now. ``available`` is what the wallet can still give, ``None`` for no bound; ``reach`` what it could
    give if all calls under way cost nothing. ``ended`` where the lease that was named takes no more: ask for another."""

    lease_id: str
    day: int
    taken_at: datetime
    amount: int
    available: int | None
    state: PurseState
    reach: int | None = None
    ended: bool = False
    share: int | None = None
    """What a budget that marks calls would have at hand at most, so that it marks none much too early; ``None`` for no bound."""


class Leasing:
    """One for each process."""

    def __init__(self, *, database: Database, clock: Clock, ids: Ids, spender: Spender) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._known = False
        self.spender = spender

    async def seen(self) -> None:
        """Say that this process is there, if it ever took a lease. Raises ``Unavailable``."""
        if self._known:
            async with self._database.transaction() as tx:
                await leases.seen(tx, self.spender.id, host_id=self.spender.host_id, at=self._clock.now())

    async def take(self, wish: Wish) -> Grant:
        """Lease more. Raises :class:`WalletGone`, ``Unavailable``."""
        now = self._clock.now()
        day = day_of(now)
        async with self._database.transaction() as tx:
            if not self._known:
                await leases.seen(tx, self.spender.id, host_id=self.spender.host_id, at=now)
            wallet = await wallets.wallet(tx, wish.team_id, wish.wallet_id, lock=True)
            if wallet is None:
                raise WalletGone(
                    f"The key pays from wallet {wish.wallet_id}, which its team does not have. Make a key with another."
                )
            row = None if wish.lease_id is None else await leases.lease(tx, wish.team_id, wish.lease_id)
            if wish.lease_id is not None and (row is None or row.state is not LeaseState.OPEN or row.day != day):
                return Grant(wish.lease_id, day, now, 0, None, PurseState.OK, ended=True)
            uses = await budgets.uses(tx, wish.team_id, wish.wallet_id, day=day)
            available = allowance(wallet, uses)
            # What was spent beyond the lease the wallet has paid already: it need not be leased once more.
            free = wish.free if row is None else wish.free + row.overspent
            share = share_of(uses)
            comfortable = wish.comfortable if share is None else max(0, min(wish.comfortable, share - free))
            more = lease_size(wish.wanted, free=free, available=available, comfortable=comfortable)
            grant = await self._grow(tx, wish, row, more, day=day, now=now)
            if more:
                await wallets.add_sums(tx, [wallets.WalletSums(wallet.id, 0, more, 0)])
                await budgets.begin_counters(tx, _leased(uses, day, more))
        self._known = True
        left = None if available is None else available - more
        return grant._replace(
            share=share, available=left, reach=reach(wallet, uses), state=state_of(_after(uses, more))
        )

    async def _grow(self, tx: Tx, wish: Wish, row: LeaseRow | None, more: int, *, day: int, now: datetime) -> Grant:
        grant = Grant(wish.lease_id or "", day, now, 0, None, PurseState.OK)
        if row is None:
            if not more:
                return grant
            made = LeaseRow(self._ids.new("lse"), wish.wallet_id, wish.team_id, day, more, 0, LeaseState.OPEN)
            await leases.add_lease(tx, made, spender_id=self.spender.id, at=now)
            return grant._replace(lease_id=made.id, amount=more)
        # So that ``more``, which the wallet and its budgets count as leased, is what comes to be outstanding.
        amount = row.amount_nano_usd + row.overspent + more
        if amount != row.amount_nano_usd:
            await leases.set_lease(tx, wish.team_id, row.id, amount_nano_usd=amount, state=LeaseState.OPEN)
        return grant._replace(amount=amount)

    async def shrink(self, team_id: str, wallet_id: str, lease_id: str, *, keep: int) -> Grant:
        """Give back of a lease what its wallet and the wallet's budgets do not allow any more, down to ``keep``. Again is
        harmless. Raises ``Unavailable``."""
        now = self._clock.now()
        day = day_of(now)
        async with self._database.transaction() as tx:
            wallet = await wallets.wallet(tx, team_id, wallet_id, lock=True)
            row = await leases.lease(tx, team_id, lease_id)
            if wallet is None or row is None or row.state is not LeaseState.OPEN or row.day != day:
                return Grant(lease_id, day, now, 0, None, PurseState.OK, ended=True)
            before = allowance(wallet, await budgets.uses(tx, team_id, wallet_id, day=day))
            if before is not None and before < 0:
                await give_back(tx, team_id, lease_id, keep=max(keep, row.amount_nano_usd + before), close=False)
            # Read again: it says what processes are told, and nobody else changes it meanwhile.
            wallet = await wallets.wallet(tx, team_id, wallet_id)
            row = await leases.lease(tx, team_id, lease_id)
            assert wallet is not None
            assert row is not None
            uses = await budgets.uses(tx, team_id, wallet_id, day=day)
        left = allowance(wallet, uses)
        return Grant(
            lease_id,
            day,
            now,
            row.amount_nano_usd,
            left,
            state_of(uses),
            reach=reach(wallet, uses),
            share=share_of(uses),
        )

    async def give_back(self, team_id: str, lease_id: str, *, keep: int, close: bool) -> None:
        """Leave a lease with ``keep`` in all, spent or held, and let it end where ``close``. Again is harmless."""
        async with self._database.transaction() as tx:
            await give_back(tx, team_id, lease_id, keep=keep, close=close)


async def give_back(tx: Tx, team_id: str, lease_id: str, *, keep: int, close: bool) -> None:
    """See :meth:`Leasing.give_back`."""
    row = await leases.lease(tx, team_id, lease_id)
    if row is None:
        return
    await wallets.lock_wallets(tx, [row.wallet_id])
    row = await leases.lease(tx, team_id, lease_id)
    if row is None or row.state is not LeaseState.OPEN:
        return
    amount = max(row.spent_nano_usd, min(row.amount_nano_usd, keep))
    freed = row.outstanding - max(0, amount - row.spent_nano_usd)
    await leases.set_lease(
        tx, team_id, lease_id, amount_nano_usd=amount, state=LeaseState.CLOSED if close else LeaseState.OPEN
    )
    if freed:
        await wallets.add_sums(tx, [wallets.WalletSums(row.wallet_id, 0, -freed, 0)])
        await count(tx, row, spent=0, leased=-freed)


async def count(tx: Tx, lease: LeaseRow, *, spent: int, leased: int) -> None:
    """Add to the counters of the budgets of a lease's wallet, in the periods of its day."""
    found = (await budgets.budgets_of(tx, [lease.wallet_id])).get(lease.wallet_id, [])
    await budgets.add_to_counters(
        tx, [budgets.CounterSums(one.id, period_start(one.period, lease.day), spent, leased) for one in found]
    )


def spent_out(wallet_id: str, needed: int, available: int) -> CreditSpent:
    """The refusal of a call that needs ``needed``."""
    return CreditSpent(wallet_id=wallet_id, needed_nano_usd=needed, available_nano_usd=available)


def _leased(uses: Sequence[BudgetUse], day: int, more: int) -> list[budgets.CounterSums]:
    return [budgets.CounterSums(use.budget.id, period_start(use.budget.period, day), 0, more) for use in uses]


def _after(uses: Sequence[BudgetUse], more: int) -> list[BudgetUse]:
    return [BudgetUse(use.budget, use.spent_nano_usd, use.leased_nano_usd + more) for use in uses]
