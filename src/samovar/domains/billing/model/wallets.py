"""Wallets, budgets and how much of them may be leased. Pure; amounts are whole nano-dollars.

A *lease* is money that one process took from a wallet and may spend without asking again. What a wallet may still give is
its balance less what is leased and not spent; a hard budget gives its amount less what was spent and is leased in its
period. A lease ends with its UTC day, and so all of its spending lies in one period of every budget.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final

SHARE: Final = 8
"""A lease takes at most this part of what a wallet has left, so that several processes share the end of it."""

WARN_PERCENT: Final = 80
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class OwnerKind(StrEnum):
    """Whose calls a wallet pays for where their key names none."""

    TEAM = "team"
    PROJECT = "project"
    USER = "user"
    KEY = "key"


class BudgetPeriod(StrEnum):
    """In UTC; a week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class BudgetMode(StrEnum):
    """What happens when the amount is reached: no further call, a mark, or cheaper models."""

    HARD_STOP = "hard_stop"
    WARN = "warn"
    DEGRADE = "degrade"


class PurseState(IntEnum):
    """What a wallet's budgets say of a call; the worst of them counts."""

    OK = 0
    WARNED = 1
    DEGRADE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """``balance_nano_usd`` is the sum of its ledger account, ``leased_nano_usd`` what processes hold of it,
    ``spent_nano_usd`` all that was ever charged. An ``unlimited`` wallet is paid for later: its balance goes below zero.
    ``call_ceiling_nano_usd`` is what a call is held at whose cost has no other bound; ``None`` is the installation's.
    """

    id: str
    team_id: str
    name: str
    owner_kind: OwnerKind | None
    owner_id: str | None
    unlimited: bool
    call_ceiling_nano_usd: int | None
    balance_nano_usd: int
    leased_nano_usd: int
    spent_nano_usd: int
    revision: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``warn_percent`` of ``amount_nano_usd`` spent or leased in a period marks calls as warned."""

    id: str
    team_id: str
    wallet_id: str
    period: BudgetPeriod
    amount_nano_usd: int
    mode: BudgetMode
    warn_percent: int
    revision: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget in its period of now."""

    budget: Budget
    spent_nano_usd: int
    leased_nano_usd: int

    @property
    def rest(self) -> int:
        """What it may still give; below zero where a call cost more than its hold."""
        return self.budget.amount_nano_usd - self.spent_nano_usd - self.leased_nano_usd


def day_of(at: datetime) -> int:
    """Days since 1970, in UTC."""
    return at.astimezone(UTC).date().toordinal() - _EPOCH_DAY


def midnight_after(day: int) -> datetime:
    """The instant at which ``day`` (days since 1970) is over."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day + 1)


def period_start(period: BudgetPeriod, day: int) -> int:
    """The first day of the period that ``day`` lies in; both are days since 1970."""
    match period:
        case BudgetPeriod.DAY:
            return day
        case BudgetPeriod.WEEK:
            return day - (day + 3) % 7  # 1 January 1970 was a Thursday.
        case BudgetPeriod.MONTH:
            return day - date.fromordinal(day + _EPOCH_DAY).day + 1
        case BudgetPeriod.TOTAL:
            return 0


def period_end(period: BudgetPeriod, start: int) -> int | None:
    """The first day after the period that begins on ``start``; ``None`` where it has no end."""
    match period:
        case BudgetPeriod.DAY:
            return start + 1
        case BudgetPeriod.WEEK:
            return start + 7
        case BudgetPeriod.MONTH:
            return period_start(period, start + 31)  # No month is longer.
        case BudgetPeriod.TOTAL:
            return None


def allowance(wallet: Wallet, uses: Iterable[BudgetUse]) -> int | None:
    """The most that may be leased now; ``None`` for no bound."""
    bounds = [use.rest for use in uses if use.budget.mode is BudgetMode.HARD_STOP]
    if not wallet.unlimited:
        bounds.append(wallet.balance_nano_usd - wallet.leased_nano_usd)
    return min(bounds) if bounds else None


def reach(wallet: Wallet, uses: Iterable[BudgetUse]) -> int | None:
    """What could be leased if every call under way cost nothing; ``None`` for no bound. Who needs more need not wait."""
    bounds = [use.rest + use.leased_nano_usd for use in uses if use.budget.mode is BudgetMode.HARD_STOP]
    if not wallet.unlimited:
        bounds.append(wallet.balance_nano_usd)
    return min(bounds) if bounds else None


def share_of(uses: Iterable[BudgetUse]) -> int | None:
    """The most to have at hand for calls to come, as what is leased brings marks early; ``None`` for no bound. A budget that
    only marks and is used up bounds nothing."""
    bounds = [use.rest // SHARE for use in uses if use.budget.mode is not BudgetMode.HARD_STOP and use.rest > 0]
    return min(bounds) if bounds else None


def state_of(uses: Iterable[BudgetUse]) -> PurseState:
    """What the budgets say. What is leased counts as spent: it is promised."""
    state = PurseState.OK
    for use in uses:
        gone, amount = use.spent_nano_usd + use.leased_nano_usd, use.budget.amount_nano_usd
        if use.budget.mode is BudgetMode.DEGRADE and gone >= amount:
            return PurseState.DEGRADE
        if gone * 100 >= amount * use.budget.warn_percent:
            state = PurseState.WARNED
    return state


def lease_size(wanted: Sequence[int], *, free: int, available: int | None, comfortable: int) -> int:
    """How much more to lease for calls that want ``wanted`` each, in their order, of which ``free`` is at hand.

    ``comfortable`` where there is plenty; near the end an eighth of what is left; at the end exactly what the first of
    the calls need whose bounds can still be met. Never more than ``available``.
    """
    need = sum(wanted) - free
    if available is None:
        return max(need, comfortable)
    size = max(need, min(comfortable, available // SHARE))
    if size <= available:
        return max(size, 0)
    exact = -free
    for bound in wanted:
        if exact + bound <= available:
            exact += bound
    return max(exact, 0)
