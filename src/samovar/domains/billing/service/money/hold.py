"""Money set aside for one call, from before it goes out until its cost is known."""

from collections.abc import Awaitable
from datetime import datetime

import msgspec
from msgspec import Raw

from samovar.domains.billing.model.ledger import Mark
from samovar.domains.billing.model.prices import MOST_NANO_USD_A_CALL, Charge
from samovar.domains.billing.model.records import NO_MEMO, Intent, Outcome, OutcomeKind
from samovar.domains.billing.model.wallets import PurseState
from samovar.domains.billing.service.money.payers import WalletRef
from samovar.domains.billing.service.money.purse import Lease, Purse


class Tally(msgspec.Struct):
    """What happened, counted for the metrics. Amounts are nano-dollars."""

    holds: int = 0
    refused: int = 0
    settled: int = 0
    released: int = 0
    over_hold: int = 0
    over_hold_nano_usd: int = 0
    capped: int = 0
    unpriced: int = 0
    reported: int = 0
    reported_above_computed_nano_usd: int = 0
    reported_below_computed_nano_usd: int = 0
    adopted_calls: int = 0
    charges_set_aside: int = 0
    damaged_segments: int = 0


class Hold:
    """``state`` is what the wallet's budgets say of the call. End it with :meth:`settle` or :meth:`release`; what comes after
    the first end (then it ``is_over``) changes nothing, so a ``finally`` may release whatever was not settled."""

    __slots__ = ("_intent", "_is_sent", "_lease", "_purse", "_tally", "is_over", "state")

    def __init__(
        self,
        call_id: str,
        wallet: WalletRef,
        bound_nano_usd: int,
        principal_id: str,
        purse: Purse,
        lease: Lease,
        now: datetime,
        tally: Tally,
    ) -> None:
        """``bound_nano_usd`` was taken from the lease."""
        at = lease.moment(now)
        self._intent = Intent(call_id, wallet.team_id, wallet.id, lease.id, principal_id, bound_nano_usd, at)
        self._purse = purse
        self._lease = lease
        self._tally = tally
        self._is_sent = False
        self.is_over = False
        self.state: PurseState = purse.state
        tally.holds += 1

    @property
    def amount_nano_usd(self) -> int:
        """What is set aside."""
        return self._intent.hold_nano_usd

    @property
    def wallet_id(self) -> str:
        """Who pays."""
        return self._intent.wallet_id

    def sent(self) -> Awaitable[None] | None:
        """To be called before the request goes out to a provider, at each attempt: the first notes the intent. Await what
        comes back, if anything does. Raises ``SpoolFull``, also when awaited: then do not send, and :meth:`release`."""
        if self._is_sent or self.is_over:
            return None
        waiting = self._purse.journal.intend(self._intent)
        self._is_sent = True
        return waiting

    def settle(self, charge: Charge, memo: bytes | None = None) -> Awaitable[None] | None:
        """To be called before the answer ends. A cost that nobody knows is charged at the hold; one above the hold in full;
        both are marked. Await what comes back, if anything does."""
        if self.is_over:
            return None
        tally, hold, cost = self._tally, self._intent.hold_nano_usd, charge.nano_usd
        mark = None
        if cost is None:
            cost, mark = hold, Mark.UNPRICED
            tally.unpriced += 1
        elif cost > hold:
            mark = Mark.OVER_HOLD
            tally.over_hold += 1
            tally.over_hold_nano_usd += cost - hold
        if charge.capped:
            mark = Mark.CAPPED
            tally.capped += 1
        if charge.computed_nano_usd is not None:
            self._compare(cost - charge.computed_nano_usd)
        if not self._is_sent:
            # A cost without a request that was noted: noted now, so that it stands in the ledger.
            self._purse.journal.intend(self._intent)
            self._is_sent = True
        if cost < 0:
            cost = 0
        elif cost > MOST_NANO_USD_A_CALL:
            cost = MOST_NANO_USD_A_CALL
        kind: OutcomeKind = "estimated" if charge.estimated else "reported"
        waiting = self._end(cost, kind, charge.source[:64], mark, NO_MEMO if memo is None else Raw(memo))
        tally.settled += 1
        return waiting

    def release(self) -> Awaitable[None] | None:
        """Nobody worked on the call: it costs nothing. Await what comes back, if anything does."""
        if self.is_over:
            return None
        waiting = self._end(0, "released", "", None, NO_MEMO)
        self._tally.released += 1
        return waiting

    def _end(self, cost: int, kind: OutcomeKind, source: str, mark: Mark | None, memo: Raw) -> Awaitable[None] | None:
        self.is_over = True
        intent, purse, waiting = self._intent, self._purse, None
        if self._is_sent:
            waiting = purse.journal.conclude(intent, Outcome(intent.call_id, cost, kind, source, mark, memo))
        purse.put_back(self._lease, intent.hold_nano_usd - cost)
        return waiting

    def _compare(self, difference: int) -> None:
        self._tally.reported += 1
        if difference > 0:
            self._tally.reported_above_computed_nano_usd += difference
        else:
            self._tally.reported_below_computed_nano_usd -= difference
