"""Quotas: who may ask how much. Rows and their order, and the arithmetic of buckets, blocks and load. Pure.

A bucket shared by many processes would cost a round trip a call. So each process takes *blocks* from it and spends them by
itself. A block lives ``life_s`` and what is left of it then is lost, and the shared bucket holds ``rate * life_s`` less than
the limit allows. What is spent within any ``t`` seconds was taken within those or within ``life_s`` before them, and the
shared bucket gave at most ``capacity - rate * life_s + rate * (t + life_s)`` there: the limit is never passed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from samovar.ports.limits import Limit, parse_limits

EVERY: Final = "*"
"""The subject id of a row that speaks for every subject of its kind, each by itself, that has no row of its own."""

OFF: Final = "off"
"""Written in place of limits: no limit, whatever would stand here else."""

MAX_CONCURRENCY: Final = 1_000_000
_LONGEST_LIFE_S: Final = 1.0
_SHORTEST_LIFE_S: Final = 0.1
_FEWEST_TO_LEASE: Final = 10
_WORST_STRAIN: Final = 4.0


class Subject(StrEnum):
    """What is limited."""

    TEAM = "team"
    KEY = "key"
    PERSON = "person"
    SERVICE = "service"
    PROJECT = "project"
    PROVIDER = "provider"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What an admin said of one subject, or of :data:`EVERY` one of its kind.

    ``limits`` (requests) and ``tokens`` are texts of :func:`~samovar.ports.limits.parse_limits`; :data:`OFF` is no limit;
    an empty one leaves the word to the row of every subject, and then to the installation's default. Of ``concurrency``
    (calls at once) ``None`` does so, and 0 is no limit.
    """

    id: str
    team_id: str
    subject: Subject
    subject_id: str
    limits: str
    tokens: str
    concurrency: int | None
    revision: int
    updated_at: datetime


class Allowance(NamedTuple):
    """What holds for one subject, shortest window first. ``concurrency`` 0 is no limit."""

    limits: tuple[Limit, ...] = ()
    tokens: tuple[Limit, ...] = ()
    concurrency: int = 0


Rows: TypeAlias = Mapping[tuple[Subject, str], Quota]
"""A team's rows by subject and id."""


def allowance(rows: Rows, subject: Subject, subject_id: str, *, default: str = "") -> Allowance:
    """The subject's own row first, then the one for all of its kind, then ``default`` (limits on requests)."""
    said = [row for name in (subject_id, EVERY) if (row := rows.get((subject, name))) is not None]
    limits = next((row.limits for row in said if row.limits), default)
    tokens = next((row.tokens for row in said if row.tokens), "")
    places = next((row.concurrency for row in said if row.concurrency is not None), 0)
    return Allowance(in_order(limits), in_order(tokens), places)


def check_limits(text: str) -> None:
    """Raises ``ValueError`` in words for what is neither limits nor :data:`OFF` nor empty."""
    in_order(text)


def in_order(text: str) -> tuple[Limit, ...]:
    """The limits of a text, each once, none where it is :data:`OFF`. The shortest first: where it refuses, nothing was taken from
    the longer ones, which take longer to recover. Raises ``ValueError``."""
    # One that is written twice has one bucket all the same, which would be asked twice for each request.
    return () if text == OFF else tuple(sorted(dict.fromkeys(parse_limits(text)), key=lambda limit: limit.window_s))


# --- buckets of one process -----------------------------------------------------------------------------------------


class Bucket:
    """:func:`samovar.ports.limits.spend` with state, for the path of a call. Times are monotonic seconds; one that steps back
    counts as standing still."""

    __slots__ = ("at", "capacity", "rate", "used")

    def __init__(self, *, capacity: float, rate: float, used: float = 0.0, at: float = 0.0) -> None:
        self.capacity = capacity
        self.rate = rate
        self.used = used
        self.at = at

    def take(self, cost: float, now: float) -> bool:
        """Take all of ``cost``, or nothing."""
        # As :meth:`_flow`, written out: each gateway call takes this path.
        used = self.used
        if now > self.at:
            used -= (now - self.at) * self.rate
            if used < 0.0:
                used = 0.0
            self.at = now
        if used + cost > self.capacity:
            self.used = used
            return False
        self.used = used + cost
        return True

    def correct(self, by: float, now: float) -> None:
        """Add what was used beyond what was taken, or take back."""
        used = self._flow(now) + by
        self.used = used if used > 0.0 else 0.0

    def remaining(self, now: float) -> int:
        """What could be taken now."""
        return self.stand(now)[0]

    def stand(self, now: float) -> tuple[int, float]:
        """What could be taken now, and :meth:`reset_s`."""
        # As :meth:`_flow`, written out: the headers of each answer ask this of each limit.
        used = self.used
        if now > self.at:
            used -= (now - self.at) * self.rate
            if used < 0.0:
                used = 0.0
        left = self.capacity - used
        return int(left) if left > 0.0 else 0, used / self.rate

    def wait_s(self, cost: float, now: float) -> float:
        """How long until ``cost`` could be taken; until it is full for what it never holds."""
        used = self._flow(now)
        return max(0.0, min(used, used + cost - self.capacity) / self.rate)

    def reset_s(self, now: float) -> float:
        """How long until it is full."""
        return self._flow(now) / self.rate

    def _flow(self, now: float) -> float:
        if now > self.at:
            used = self.used - (now - self.at) * self.rate
            self.used = used if used > 0.0 else 0.0
            self.at = now
        return self.used


# --- blocks of a shared bucket --------------------------------------------------------------------------------------


class Lease(NamedTuple):
    """How a limit is kept by several processes: ``limit`` is what the shared bucket follows, ``life_s`` how long a block
    may be spent. 0 is no blocks: each take is shared by itself."""

    limit: Limit
    life_s: float


def lease_of(limit: Limit) -> Lease:
    """Every process comes to the same answer, so all meet at one bucket.

    At most a quarter of the capacity is given up for blocks. Limits of a few, and those so fast that a block would be dead
    when it arrives, have none.
    """
    rate = limit.amount / limit.window_s
    life_s = min(_LONGEST_LIFE_S, limit.capacity / (4 * rate))
    if limit.capacity < _FEWEST_TO_LEASE or life_s < _SHORTEST_LIFE_S:
        return Lease(Limit(limit.amount, limit.window_s, limit.capacity), 0.0)
    # A hair more than rate * life: what rounding of doubles could hide must not be let through.
    lowered = limit.capacity - math.ceil(rate * life_s * (1 + 1e-9))
    return Lease(Limit(limit.amount, limit.window_s, lowered), life_s)


class Blocks:
    """What a process took from a shared bucket and may still spend: at most two blocks, the older one first.

    The next block's ``size`` doubles while blocks are spent before they die, and falls to what was spent of one that was not.
    """

    __slots__ = ("_amount", "_dies_at", "_next", "_next_dies_at", "size", "spent")

    def __init__(self) -> None:
        self._amount = 0
        self._dies_at = -math.inf
        self._next = 0
        self._next_dies_at = -math.inf
        self.size = 1
        self.spent = 0

    def take(self, cost: int, now: float) -> bool:
        """Spend all of ``cost``, or nothing."""
        if cost <= self._amount and now < self._dies_at:
            self._amount -= cost
            self.spent += cost
            return True
        return self._take_from_both(cost, now)

    def left(self, now: float) -> int:
        """What could be spent now."""
        return (self._amount if now < self._dies_at else 0) + (self._next if now < self._next_dies_at else 0)

    def pay(self, debt: int, now: float) -> int:
        """Spend up to ``debt``; how much it was."""
        paid = min(debt, self.left(now))
        self.take(paid, now)
        return paid

    def is_low(self, cost: int, now: float) -> bool:
        """Whether it is time to take the next block: only where blocks serve several takes, since what is taken ahead of a
        rare one dies unspent."""
        return self.size >= 4 * cost and 4 * self.left(now) < self.size

    def wanted(self, needed: int, remaining: int) -> int:
        """How much to ask for when ``needed`` is waited for and the shared bucket was last seen with ``remaining``: less
        and less near the limit, down to what is needed."""
        self.size = 2 * self.size if self.spent >= self.size else max(1, self.spent)
        self.spent = 0
        return max(needed, min(self.size, remaining // 4))

    def add(self, amount: int, dies_at: float) -> None:
        """A block came."""
        self.size = max(1, amount)
        # The elder of two goes: it has less of its life left than any, and two are what refilling ahead needs.
        if self._next > 0 or self._amount == 0:
            self._amount, self._dies_at = self._next, self._next_dies_at
        self._next, self._next_dies_at = amount, dies_at

    def clear(self) -> None:
        """Nothing may be spent any more."""
        self._amount = self._next = 0

    def _take_from_both(self, cost: int, now: float) -> bool:
        if now >= self._dies_at:
            self._amount = 0
        if now >= self._next_dies_at:
            self._next = 0
        if cost > self._amount + self._next:
            return False
        rest = cost - self._amount
        if rest <= 0:
            self._amount -= cost
        else:
            self._amount, self._dies_at = self._next - rest, self._next_dies_at
            self._next = 0
        self.spent += cost
        return True


# --- load -----------------------------------------------------------------------------------------------------------


def sheds(*, mine: int, total: int, callers: int, strain: float) -> bool:
    """Whether a new call is refused under load. ``mine`` are its caller's calls in flight, ``total`` those of all
    ``callers`` that have any; ``strain`` is how far a bound is used up, 1 being reached.

    A caller may have its even share, less as the strain grows, and always one; at four times a bound nothing comes in.
    """
    if strain < 1.0 or total == 0:
        return False
    if strain >= _WORST_STRAIN:
        return True
    share = total / (max(1, callers) * strain)
    return mine >= max(1.0, share)
