"""Rate limits that count exactly, alone or over many processes.

The rule is one pure function, :func:`spend`, so that every adapter means the same: a bucket that fills evenly. Within any
span of ``t`` seconds it lets through at most ``capacity + t * amount / window_s``.
"""

import math
import re
from typing import Final, NamedTuple, Protocol

import msgspec

_UNITS_S: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_SHORT: Final = {"s": "second", "sec": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week"}
_LIMIT: Final = re.compile(
    r"(?P<amount>[0-9]{1,10}) ?(?:/|per) ?(?:(?P<count>[0-9]{1,6}) ?)?(?P<unit>[a-z]{1,20})(?: burst (?P<burst>[0-9]{1,10}))?"
)
_MOST_AMOUNT: Final = 1_000_000_000
_LONGEST_S: Final = 366 * 86_400
_MOST_LIMITS: Final = 8
_MICRO: Final = 1_000_000


class Limit(msgspec.Struct, frozen=True):
    """``amount`` within ``window_s`` seconds, as a bucket that refills evenly and holds at most ``burst`` (``amount`` if
    ``None``). All are at least 1. The price of refilling evenly: one window that begins with a full bucket sees up to
    ``capacity + amount``."""

    amount: int
    window_s: int
    burst: int | None = None

    def __post_init__(self) -> None:
        burst = 1 if self.burst is None else self.burst
        if not (1 <= self.amount <= _MOST_AMOUNT and 1 <= burst <= _MOST_AMOUNT):
            raise ValueError(f"a limit's amount and burst lie between 1 and {_MOST_AMOUNT}")
        if not 1 <= self.window_s <= _LONGEST_S:
            raise ValueError(f"a limit's window lies between 1 and {_LONGEST_S} seconds")

    @property
    def capacity(self) -> int:
        """What a full bucket holds."""
        return self.amount if self.burst is None else self.burst

    def __str__(self) -> str:
        """The text :func:`parse_limits` reads: ``100/minute burst 150``."""
        unit, seconds = next((u, s) for u, s in reversed(_UNITS_S.items()) if self.window_s % s == 0)
        count = self.window_s // seconds
        span = unit if count == 1 else f"{count}{unit}"
        return f"{self.amount}/{span}" if self.burst is None else f"{self.amount}/{span} burst {self.burst}"


class Verdict(NamedTuple):
    """``remaining`` is what is left now; ``retry_after_s`` is 0 when allowed; ``reset_s`` is when the bucket is full.
    What the bucket can never hold (a cost above ``capacity``) is told to come back when it is full, and refused again."""

    allowed: bool
    remaining: int
    retry_after_s: float
    reset_s: float


class Level(NamedTuple):
    """A bucket: how much of it was ``used`` (0 is full, fractions are time) at ``at_us``, microseconds of some clock."""

    used: float
    at_us: int


FULL: Final = Level(0.0, 0)


def spend(level: Level, limit: Limit, *, cost: int, now_us: int) -> tuple[Level, Verdict]:
    """Take ``cost`` (0 only looks) if it is there. A clock that steps back counts as standing still.

    Redis runs the same arithmetic in Lua, on the same IEEE doubles: change both or neither.
    """
    rate_per_us = limit.amount / (limit.window_s * _MICRO)
    at_us = max(level.at_us, now_us)
    used = max(0.0, level.used - (at_us - level.at_us) * rate_per_us)
    allowed = used + cost <= limit.capacity
    if allowed:
        used += cost
    reset_us = math.ceil(used / rate_per_us)
    # Rounded up and one more: whoever waits exactly this long must not meet a bucket that lacks a rounding error.
    wait_us = 0 if allowed else min(reset_us, math.ceil((used + cost - limit.capacity) / rate_per_us)) + 1
    remaining = max(0, math.floor(limit.capacity - used))
    return Level(used, at_us), Verdict(allowed, remaining, wait_us / _MICRO, reset_us / _MICRO)


def correct(level: Level, limit: Limit, *, by: int, now_us: int) -> Level:
    """Add what was used beyond what was taken (above the capacity too: it is a debt that time pays), or with a negative
    ``by`` take back what was taken and not used. In Lua as well, as :func:`spend` is."""
    level, _ = spend(level, limit, cost=0, now_us=now_us)
    return Level(max(0.0, level.used + by), level.at_us)


def parse_limits(text: str) -> tuple[Limit, ...]:
    """``"100/minute burst 150; 1000/hour"`` as limits; an empty text is none.

    Limits are separated by ``;`` or ``,``. Each is ``<amount>/<unit>`` or ``<amount> per <count> <unit>``, with the unit
    second, minute, hour, day or week (or s, min, h, d, w; plurals too) and an optional ``burst``. Raises ``ValueError``
    in words for whoever wrote the setting.
    """
    items = [item.strip() for item in re.split("[;,]", text)]
    if items == [""]:
        return ()
    if len(items) > _MOST_LIMITS:
        raise ValueError(f"at most {_MOST_LIMITS} limits can stand together, here are {len(items)}")
    return tuple(_limit(item) for item in items)


def _limit(item: str) -> Limit:
    match = _LIMIT.fullmatch(" ".join(item.lower().split()))
    if match is None:
        raise ValueError(f"{item!r} is not a limit; write it like '100/minute' or '1000/hour burst 50'")
    word = match["unit"]
    singular = word.removesuffix("s") if len(word) > 1 else word
    seconds = _UNITS_S.get(_SHORT.get(singular, singular))
    if seconds is None:
        raise ValueError(f"{word!r} in {item!r} is no unit of time; use second, minute, hour, day or week")
    burst = None if match["burst"] is None else int(match["burst"])
    try:
        return Limit(int(match["amount"]), int(match["count"] or 1) * seconds, burst)
    except ValueError as error:
        raise ValueError(f"{item!r}: {error}") from error


class Limiter(Protocol):
    """Check and take are one atomic operation. A limiter that cannot be reached raises ``Unavailable``."""

    async def hit(self, key: str, limit: Limit, *, cost: int = 1) -> Verdict:
        """Take ``cost`` (at least 0) from the bucket ``key`` if it is there; take nothing if it is not. The same key
        under another limit is another bucket."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Held(NamedTuple):
    """``granted`` places are held; ``owners`` hold some, whoever asked among them."""

    granted: int
    owners: int


class SharedLimits(Limiter, Protocol):
    """What several processes need to keep limits together: buckets that can be corrected, and places that are held."""

    async def correct(self, key: str, limit: Limit, *, by: int) -> None:
        """See :func:`correct`. Raises ``Unavailable``."""
        ...

    async def hold(self, key: str, *, owner: str, wanted: int, most: int, ttl_s: float) -> Held:
        """From now on ``owner`` holds up to ``wanted`` (at least 0) of the ``most`` places of ``key``, in place of those
        it held: as many as the others leave. After ``ttl_s`` they are free, unless they are held anew. Raises
        ``Unavailable``."""
        ...
