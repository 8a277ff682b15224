"""Proving that the figures agree with the ledger, and deciding what became of a lost host's leases."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Literal, TypeAlias

from samovar.domains.billing.errors import LeaseNotFound, LeaseNotLost
from samovar.domains.billing.model.ledger import (
    HeldLease,
    LeaseRow,
    LeaseState,
    TransferKind,
    TransferRow,
    microseconds_of,
    spend_account,
    suspense_account,
    wallet_account,
)
from samovar.domains.billing.model.wallets import BudgetPeriod, midnight_after, period_end
from samovar.domains.billing.service.conventions import check_page
from samovar.domains.billing.service.money.leasing import count
from samovar.domains.billing.store import leases, ledger, wallets
from samovar.domains.billing.store.ledger import Counter, Difference
from samovar.domains.identity.model import Permission, require
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx, as_of_now

Verdict: TypeAlias = Literal["settle", "release", "charge"]
"""``settle`` moves a lost lease's rest to the suspense account; ``release`` gives it back from there, ``charge`` spends it."""

_COUNTERS_AT_ONCE = 500
_NEXT = {
    "settle": (LeaseState.OPEN, LeaseState.SUSPENSE, TransferKind.SUSPENSE),
    "release": (LeaseState.SUSPENSE, LeaseState.RELEASED, TransferKind.RELEASE),
    "charge": (LeaseState.SUSPENSE, LeaseState.CHARGED, TransferKind.WRITE_OFF),
}


class Books:
    """``lost_after_s``: a lease whose process was not seen for so long is lost."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        changed: Callable[[str], Awaitable[None]],
        lost_after_s: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._changed = changed
        self._lost_after = timedelta(seconds=lost_after_s)

    async def check(self, principal: Principal) -> list[Difference]:
        """Every figure of the team (for the administrator: of all teams) that does not agree with the ledger; none where all
        is well. What is written meanwhile it does not see. Raises ``Forbidden``."""
        require(principal, Permission.WALLETS_READ)
        team_id = None if principal.kind is PrincipalKind.ADMIN else principal.team_id
        async with self._database.reading() as tx:
            await as_of_now(tx)
            flaws = await ledger.list_differences(tx, team_id)
            after = ("", -1)
            while True:
                some = await ledger.list_counters(tx, team_id, after=after, limit=_COUNTERS_AT_ONCE)
                for counter in some:
                    flaws.extend(await self._counter_flaws(tx, counter))
                if len(some) < _COUNTERS_AT_ONCE:
                    return flaws
                after = some[-1].budget_id, some[-1].start_day

    async def page(
        self,
        principal: Principal,
        *,
        wallet_id: str | None,
        states: Sequence[LeaseState],
        limit: int,
        cursor: str | None,
    ) -> tuple[list[HeldLease], str | None]:
        """The team's leases, the newest first, and the cursor of the next page. Raises ``Forbidden``, ``Invalid``."""
        require(principal, Permission.WALLETS_READ)
        check_page(limit)
        async with self._database.reading() as tx:
            found = await leases.list_leases(
                tx, principal.team_id, wallet_id=wallet_id, states=states, before_id=cursor, limit=limit + 1
            )
        return found[:limit], found[limit - 1].lease.id if len(found) > limit else None

    def is_lost(self, held: HeldLease) -> bool:
        """Whether nobody but an admin will settle it."""
        return held.lease.state is LeaseState.OPEN and self._clock.now() - held.seen_at >= self._lost_after

    async def decide(self, principal: Principal, lease_id: str, verdict: Verdict) -> HeldLease:
        """What became of a lost lease's rest. Raises ``Forbidden``, ``LeaseNotFound``, ``LeaseNotLost``."""
        require(principal, Permission.WALLETS_WRITE)
        async with self._database.transaction() as tx:
            wallet_id = (await _mine(tx, principal, lease_id)).lease.wallet_id
            await wallets.wallet(tx, principal.team_id, wallet_id, lock=True)
            held = await _mine(tx, principal, lease_id)
            self._check_state(held, verdict)
            await self._move(tx, principal, held.lease, verdict)
            decided = await _mine(tx, principal, lease_id)
        await self._changed(wallet_id)
        return decided

    def _check_state(self, held: HeldLease, verdict: Verdict) -> None:
        wanted = _NEXT[verdict][0]
        if held.lease.state is not wanted:
            raise LeaseNotLost(
                f"Only a lease that is {wanted.value} can be dealt with so; it is {held.lease.state.value}."
            )
        if verdict == "settle" and not self.is_lost(held):
            raise LeaseNotLost(
                f"Its process was seen at {held.seen_at.isoformat()}. A lease is lost when that was"
                f" {self._lost_after.total_seconds():g} s ago."
            )

    async def _move(self, tx: Tx, principal: Principal, lease: LeaseRow, verdict: Verdict) -> None:
        _, state, kind = _NEXT[verdict]
        rest = lease.outstanding
        wallet, suspense = wallet_account(lease.wallet_id), suspense_account(lease.team_id)
        debit, credit = {
            "settle": (wallet, suspense),
            "release": (suspense, wallet),
            "charge": (suspense, spend_account(lease.team_id)),
        }[verdict]
        # Within the lease's day: a budget that counts it counts it there.
        at = min(self._clock.now(), midnight_after(lease.day) - timedelta(microseconds=1))
        row = TransferRow(
            self._ids.new("txn"),
            microseconds_of(at),
            lease.team_id,
            lease.wallet_id,
            debit,
            credit,
            rest,
            kind,
            principal.id,
            lease.id,
            None,
            False,
            None,
            None,
        )
        await ledger.add(tx, row)
        await leases.set_lease(tx, lease.team_id, lease.id, amount_nano_usd=lease.amount_nano_usd, state=state)
        if verdict == "settle":
            # In its budgets it stays leased: whether it was spent is not known yet.
            await wallets.add_sums(tx, [wallets.WalletSums(lease.wallet_id, -rest, -rest, 0)])
            return
        spent = rest if verdict == "charge" else 0
        await wallets.add_sums(tx, [wallets.WalletSums(lease.wallet_id, rest - spent, 0, spent)])
        await count(tx, lease, spent=spent, leased=-rest)

    async def _counter_flaws(self, tx: Tx, counter: Counter) -> list[Difference]:
        end = period_end(BudgetPeriod(counter.period), counter.start_day)
        spent = await ledger.charged(
            tx,
            counter.team_id,
            counter.wallet_id,
            since=midnight_after(counter.start_day - 1),
            until=None if end is None else midnight_after(end - 1),
        )
        held = await leases.list_open_of_wallet(tx, counter.team_id, counter.wallet_id)
        leased = sum(
            lease.outstanding for lease in held if lease.day >= counter.start_day and (end is None or lease.day < end)
        )
        kept = (("budget spent", counter.spent, spent), ("budget leased", counter.leased, leased))
        return [Difference(what, counter.budget_id, has, true) for what, has, true in kept if has != true]


async def _mine(tx: Tx, principal: Principal, lease_id: str) -> HeldLease:
    found = await leases.list_leases(
        tx, principal.team_id, wallet_id=None, states=tuple(LeaseState), before_id=None, limit=1, lease_id=lease_id
    )
    if not found:
        raise LeaseNotFound("Your team has no lease with this id. GET /api/leases lists those it has.")
    return found[0]
