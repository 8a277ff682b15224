"""The ledger: transfers between accounts, appended and never changed. Pure.

Each row takes an amount from one account and gives it to another, so all accounts together are always zero. An account's
balance is what it was given less what was taken from it.

=====================  ==============================================================================================
``funding:<team>``     where credits come from: what was put into the team's wallets, negated
``wallet:<id>``        a wallet
``spend:<team>``       what calls cost
``suspense:<team>``    what a lost host had leased, until an admin says what became of it
=====================  ==============================================================================================
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

MICROSECONDS_A_DAY: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class TransferKind(StrEnum):
    """Why money moved."""

    FUNDING = "funding"
    CHARGE = "charge"
    SUSPENSE = "suspense"
    RELEASE = "release"
    WRITE_OFF = "write_off"


class Mark(StrEnum):
    """What is odd about a charge: no outcome was found and the hold was charged; nobody knew the price and the hold was
    charged; the cost was above the hold; it was above what any call is charged, and cut to that; it came after an admin had
    settled its lease."""

    AT_HOLD = "at_hold"
    UNPRICED = "unpriced"
    OVER_HOLD = "over_hold"
    CAPPED = "capped"
    LATE = "late"


class LeaseState(StrEnum):
    """``open``: a process spends from it. ``suspense``: an admin moved its rest to the suspense account, and then either
    ``released`` it to the wallet or ``charged`` it. ``closed``: its process gave the rest back."""

    OPEN = "open"
    CLOSED = "closed"
    SUSPENSE = "suspense"
    RELEASED = "released"
    CHARGED = "charged"


# A member reached through its class costs a call of a function, and every charge comes by here. As text, which SQLite's
# driver takes without asking what it is.
_CHARGE: Final = TransferKind.CHARGE.value
_LATE: Final = Mark.LATE.value
_OPEN: Final = LeaseState.OPEN
_SUSPENSE: Final = LeaseState.SUSPENSE
_CHARGED: Final = LeaseState.CHARGED


def microseconds_of(at: datetime) -> int:
    """Since 1970, exact."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant_of(at: int) -> datetime:
    """``at`` is microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=at)


def funding_account(team_id: str) -> str:
    """Where credits come from."""
    return f"funding:{team_id}"


def wallet_account(wallet_id: str) -> str:
    """A wallet's own."""
    return f"wallet:{wallet_id}"


def spend_account(team_id: str) -> str:
    """Where charges go."""
    return f"spend:{team_id}"


def suspense_account(team_id: str) -> str:
    """Where a lost host's leases wait."""
    return f"suspense:{team_id}"


class TransferRow(NamedTuple):
    """The columns of ``ledger`` in their order. ``at`` is microseconds since 1970; ``id`` is the call's for a charge, so that
    one call is charged once."""

    id: str
    at: int
    team_id: str
    wallet_id: str
    debit: str
    credit: str
    amount_nano_usd: int
    kind: str
    principal_id: str | None
    lease_id: str | None
    source: str | None
    estimated: bool
    mark: str | None
    memo: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A row as people see it. ``memo`` is JSON: what a charge was made of, so that it can be computed again."""

    id: str
    at: datetime
    wallet_id: str
    debit: str
    credit: str
    amount_nano_usd: int
    kind: TransferKind
    principal_id: str | None
    source: str | None
    estimated: bool
    mark: str | None
    memo: str | None


class Settled(msgspec.Struct, frozen=True, gc=False):
    """A call that ended and is to stand in the ledger."""

    call_id: str
    at: int
    team_id: str
    wallet_id: str
    lease_id: str
    principal_id: str
    amount_nano_usd: int
    source: str
    estimated: bool
    mark: str | None
    memo: str | None


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A lease as the database has it. ``outstanding`` is what it still keeps from the wallet. In suspense it is what lies
    in the suspense account."""

    id: str
    wallet_id: str
    team_id: str
    day: int
    amount_nano_usd: int
    spent_nano_usd: int
    state: LeaseState

    @property
    def outstanding(self) -> int:
        """Leased and not spent."""
        return max(0, self.amount_nano_usd - self.spent_nano_usd)

    @property
    def overspent(self) -> int:
        """Spent beyond what was leased, by calls that cost more than their holds."""
        return max(0, self.spent_nano_usd - self.amount_nano_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLease:
    """A lease and the process that took it. ``seen_at`` is when that last said that it is there."""

    lease: LeaseRow
    host_id: str
    spender_id: str
    taken_at: datetime
    seen_at: datetime


@dataclass(slots=True)
class LeaseDelta:
    """What a batch does to a lease and to the budgets of its day."""

    lease: LeaseRow
    spent: int = 0
    from_wallet: int = 0
    counted: int = 0
    """Charged anew: what a budget counts."""

    @property
    def freed(self) -> int:
        """How much less is outstanding."""
        return self.lease.outstanding - max(0, self.lease.amount_nano_usd - self.lease.spent_nano_usd - self.spent)


@dataclass(frozen=True, slots=True)
class Posting:
    """A batch, ready to be written."""

    rows: Sequence[TransferRow]
    leases: Sequence[LeaseDelta]


def post(batch: Sequence[Settled], *, leases: Mapping[str, LeaseRow], known: Collection[str]) -> Posting:
    """The rows and sums of a batch without the calls that stand in the ledger (``known``): what came twice counts once."""
    rows: list[TransferRow] = []
    deltas: dict[str, LeaseDelta] = {}
    seen = set(known)
    for call in batch:
        if call.call_id in seen:
            continue
        seen.add(call.call_id)
        delta = deltas.get(call.lease_id)
        if delta is None:
            delta = deltas[call.lease_id] = LeaseDelta(leases.get(call.lease_id) or _forgotten(call))
        rows.append(_row(call, _debit(call, delta)))
    return Posting(rows, list(deltas.values()))


def _forgotten(call: Settled) -> LeaseRow:
    """For a lease that the database does not know (it was restored from before): the wallet pays all the same."""
    day = call.at // MICROSECONDS_A_DAY
    return LeaseRow(call.lease_id, call.wallet_id, call.team_id, day, 0, 0, LeaseState.CLOSED)


def _debit(call: Settled, delta: LeaseDelta) -> str | None:
    """The account that pays, where it is not the wallet. A call of a lease in suspense is paid from there as far as that
    reaches; one of a lease that was charged whole is paid already, and only noted."""
    amount, lease = call.amount_nano_usd, delta.lease
    state = lease.state
    if state is _OPEN:
        delta.spent += amount
    elif (state is _CHARGED or state is _SUSPENSE) and delta.spent + amount <= lease.outstanding:
        delta.spent += amount
        if state is _CHARGED:
            return spend_account(call.team_id)
        delta.counted += amount
        return suspense_account(call.team_id)
    delta.counted += amount
    delta.from_wallet += amount
    return None


def _row(call: Settled, debit: str | None) -> TransferRow:
    return TransferRow(
        call.call_id,
        call.at,
        call.team_id,
        call.wallet_id,
        wallet_account(call.wallet_id) if debit is None else debit,
        spend_account(call.team_id),
        call.amount_nano_usd,
        _CHARGE,
        call.principal_id,
        call.lease_id,
        call.source,
        call.estimated,
        call.mark if debit is None else _LATE,
        call.memo,
    )
