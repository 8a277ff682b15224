"""Money set aside for one call, from before it goes out until its cost is known."""

from collections.abc import Awaitable
from typing import Final

import msgspec
from msgspec import Raw

from samovar.domains.billing.model.ledger import Mark
from samovar.domains.billing.model.prices import MOST_NANO_USD_A_CALL, Charge
from samovar.domains.billing.model.records import NO_MEMO, Intent, Outcome, OutcomeKind
from samovar.domains.billing.model.wallets import PurseState
from samovar.domains.billing.service.money.journal import Journal
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


# Stages. Plain numbers: a member of an enum, reached through its class, costs a call of a function.
_HELD: Final = 0
_SENT: Final = 1
_ENDED: Final = 2


class Hold:
    """``state`` is what the wallet's budgets say of the call. End it with :meth:`settle` or :meth:`release`; what comes after
    the first end changes nothing, so a ``finally`` may release whatever was not settled."""

    __slots__ = ("_intent", "_journal", "_lease", "_purse", "_stage", "_tally", "state")

    def __init__(self, intent: Intent, purse: Purse, lease: Lease, journal: Journal, tally: Tally) -> None:
        self._intent = intent
        self._purse = purse
        self._lease = lease
        self._journal = journal
        self._tally = tally
        self._stage = _HELD
        self.state: PurseState = purse.state

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
        if self._stage is not _HELD:
            return None
        waiting = self._journal.intend(self._intent)
        self._stage = _SENT
        return waiting

    @property
    def is_over(self) -> bool:
        """Whether it was settled or released."""
        return self._stage is _ENDED

    def settle(self, charge: Charge, memo: bytes | None = None) -> Awaitable[None] | None:
        """To be called before the answer ends. A cost that nobody knows is charged at the hold; one above the hold in full;
        both are marked. Await what comes back, if anything does."""
        if self._stage is _ENDED:
            return None
        hold, cost = self._intent.hold_nano_usd, charge.nano_usd
        mark = None
        if cost is None:
            cost, mark = hold, Mark.UNPRICED
            self._tally.unpriced += 1
        elif cost > hold:
            mark = Mark.OVER_HOLD
            self._tally.over_hold += 1
            self._tally.over_hold_nano_usd += cost - hold
        if charge.capped:
            mark = Mark.CAPPED
            self._tally.capped += 1
        if charge.computed_nano_usd is not None and cost is not None:
            self._compare(cost - charge.computed_nano_usd)
        return self._end(cost, "estimated" if charge.estimated else "reported", charge.source, mark, memo)

    def release(self) -> Awaitable[None] | None:
        """Nobody worked on the call: it costs nothing. Await what comes back, if anything does."""
        return self._end(0, "released", "", None, None)

    def _end(
        self, cost: int, kind: OutcomeKind, source: str, mark: Mark | None, memo: bytes | None
    ) -> Awaitable[None] | None:
        stage = self._stage
        if stage is _ENDED:
            return None
        if stage is _HELD and kind != "released":
            # A cost without a request that was noted: noted now, so that it stands in the ledger.
            self._journal.intend(self._intent)
            stage = _SENT
        self._stage = _ENDED
        cost, waiting = min(max(cost, 0), MOST_NANO_USD_A_CALL), None
        if stage is _SENT:
            noted = NO_MEMO if memo is None else Raw(memo)
            outcome = Outcome(self._intent.call_id, cost, kind, source[:64], mark, noted)
            waiting = self._journal.conclude(self._intent, outcome)
            self._lease.last_mark = self._journal.end
        if kind == "released":
            self._tally.released += 1
        else:
            self._tally.settled += 1
        self._purse.put_back(self._lease, self._intent.hold_nano_usd - cost)
        return waiting

    def _compare(self, difference: int) -> None:
        self._tally.reported += 1
        if difference > 0:
            self._tally.reported_above_computed_nano_usd += difference
        else:
            self._tally.reported_below_computed_nano_usd -= difference
