"""Buckets in a dictionary."""

from collections import OrderedDict
from typing import Final

from samovar.ports.clock import Clock
from samovar.ports.limits import FULL, Held, Level, Limit, Verdict, correct, spend

_MICRO: Final = 1_000_000
# How many of the longest untouched buckets each hit looks at, to forget those that are full again.
_SWEPT: Final = 2


class MemoryLimiter:
    """A :class:`samovar.ports.limits.SharedLimits`. No method waits, so each is atomic on its event loop.

    A bucket that is full again is forgotten: it says nothing. Above ``max_buckets`` those longest untouched go, full or
    not, because memory is bounded before limits are.
    """

    def __init__(self, *, clock: Clock, max_buckets: int = 200_000) -> None:
        self._clock = clock
        self._max = max_buckets
        # Value: the level, and when it will be full again.
        self._buckets: OrderedDict[tuple[str, Limit], tuple[Level, float]] = OrderedDict()
        # Value: owner to the places it holds, and when they are free.
        self._held: dict[str, dict[str, tuple[int, float]]] = {}

    def __len__(self) -> int:
        """How many buckets are remembered."""
        return len(self._buckets)

    async def hit(self, key: str, limit: Limit, *, cost: int = 1) -> Verdict:
        """See the port."""
        if cost < 0:
            raise ValueError("a cost cannot be negative")
        now = self._clock.monotonic()
        name = (key, limit)
        level, _ = self._buckets.get(name, (FULL, 0.0))
        level, verdict = spend(level, limit, cost=cost, now_us=int(now * _MICRO))
        self._buckets[name] = (level, now + verdict.reset_s)
        self._buckets.move_to_end(name)
        self._sweep(now)
        return verdict

    async def correct(self, key: str, limit: Limit, *, by: int) -> None:
        """See the port."""
        now = self._clock.monotonic()
        level, _ = self._buckets.get((key, limit), (FULL, 0.0))
        level = correct(level, limit, by=by, now_us=int(now * _MICRO))
        self._buckets[key, limit] = (level, now + level.used * limit.window_s / limit.amount)

    async def hold(self, key: str, *, owner: str, wanted: int, most: int, ttl_s: float) -> Held:
        """See the port."""
        if wanted < 0:
            raise ValueError("places cannot be negative")
        now = self._clock.monotonic()
        held = {name: place for name, place in self._held.pop(key, {}).items() if place[1] > now and name != owner}
        granted = max(0, min(wanted, most - sum(places for places, _ in held.values())))
        if granted:
            held[owner] = (granted, now + ttl_s)
        if held:
            self._held[key] = held
        return Held(granted, len(held))

    async def close(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._held.clear()

    def _sweep(self, now: float) -> None:
        for _ in range(_SWEPT):
            name, (_, full_at) = next(iter(self._buckets.items()), (None, (FULL, 0.0)))
            if name is None:
                return
            if full_at <= now or len(self._buckets) > self._max:
                del self._buckets[name]
            else:
                # Not yet: look at the next one another time, else one long-lived bucket would shield all behind it.
                self._buckets.move_to_end(name)
