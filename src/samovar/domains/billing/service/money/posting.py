"""Writing a batch of charges: the ledger's rows, and every figure that is kept beside it, in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from samovar.domains.billing.errors import ChargesKnown, ChargesRefused
from samovar.domains.billing.model.ledger import LeaseDelta, LeaseState, Settled, post
from samovar.domains.billing.model.wallets import Budget, period_start
from samovar.domains.billing.service.money.refused import SetAside
from samovar.domains.billing.store import budgets, leases, ledger, wallets
from samovar.domains.billing.store.budgets import CounterSums
from samovar.domains.billing.store.wallets import WalletSums
from samovar.ports.database import Database, Tx


async def charge(tx: Tx, batch: Sequence[Settled], *, known: Collection[str]) -> int:
    """Charge each call that is not ``known`` to be charged; how many those were. Raises ``ChargesKnown`` where another one is:
    the caller must not commit then."""
    wallet_ids = {call.wallet_id for call in batch}
    await wallets.lock_wallets(tx, wallet_ids)
    found = await leases.leases_of(tx, {call.lease_id for call in batch})
    # Thousands of rows take longer than a call on the loop may wait.
    posting = await asyncio.to_thread(post, batch, leases=found, known=known)
    await ledger.append(tx, posting.rows)
    await leases.add_spent(tx, [(delta.lease.id, delta.spent) for delta in posting.leases if delta.spent])
    await wallets.add_sums(tx, _wallet_sums(posting.leases))
    of_wallets = await budgets.budgets_of(tx, wallet_ids)
    await budgets.add_to_counters(tx, _counter_sums(posting.leases, of_wallets))
    return len(posting.rows)


async def charge_all(
    database: Database,
    batch: Sequence[Settled],
    set_aside: SetAside,
    *,
    is_well: Callable[[], Awaitable[bool]] | None = None,
) -> int:
    """As :func:`charge`, in a transaction of its own. A call that the database refuses must not hold up all others for ever:
    it alone is handed to ``set_aside``. Where none is written the fault may not be the calls': then, unless ``is_well`` says
    that the database takes charges, :class:`ChargesRefused` is raised and nothing is set aside. Raises ``Unavailable``, and
    what ``set_aside`` raises."""
    try:
        return await _charged(database, batch)
    except ChargesRefused:
        refused, written = [], 0
        for call in batch:
            try:
                written += await _charged(database, [call])
            except ChargesRefused:
                refused.append(call)
        if refused and not written and (is_well is None or not await is_well()):
            raise
        if refused:
            await set_aside(refused)
        return written


class _Undone(Exception):
    """Ends a transaction that is to leave nothing."""


async def takes_charges(database: Database, *, name: str) -> bool:
    """Whether the database takes a charge of nothing, under an id that nobody has; it is undone at once. Raises
    ``Unavailable``."""
    probe = Settled(name, 0, name, name, name, name, 0, "probe", estimated=False, mark=None, memo=None)
    try:
        async with database.transaction() as tx:
            await charge(tx, [probe], known=())
            raise _Undone
    except _Undone:
        return True
    except ChargesRefused:
        return False


async def _charged(database: Database, batch: Sequence[Settled]) -> int:
    try:
        async with database.transaction() as tx:
            return await charge(tx, batch, known=())
    except ChargesKnown:
        # Its end was not noted when it was written: that is seldom, so nobody asks before.
        async with database.transaction() as tx:
            known = await ledger.known(tx, [call.call_id for call in batch])
            return await charge(tx, batch, known=known)


def _wallet_sums(deltas: Sequence[LeaseDelta]) -> list[WalletSums]:
    sums: dict[str, WalletSums] = {}
    for delta in deltas:
        wallet_id = delta.lease.wallet_id
        before = sums.get(wallet_id, WalletSums(wallet_id, 0, 0, 0))
        # What lies in suspense was taken off the wallet's leased money when it was moved there.
        freed = delta.freed if delta.lease.state is LeaseState.OPEN else 0
        sums[wallet_id] = WalletSums(
            wallet_id,
            before.balance - delta.from_wallet,
            before.leased - freed,
            before.spent + delta.counted,
        )
    return list(sums.values())


def _counter_sums(deltas: Sequence[LeaseDelta], of_wallets: Mapping[str, Sequence[Budget]]) -> list[CounterSums]:
    sums: dict[tuple[str, int], CounterSums] = {}
    for delta in deltas:
        lease = delta.lease
        freed = delta.freed if lease.state in (LeaseState.OPEN, LeaseState.SUSPENSE) else 0
        for budget in of_wallets.get(lease.wallet_id, ()):
            key = (budget.id, period_start(budget.period, lease.day))
            before = sums.get(key, CounterSums(*key, 0, 0))
            sums[key] = CounterSums(*key, before.spent + delta.counted, before.leased - freed)
    return list(sums.values())
