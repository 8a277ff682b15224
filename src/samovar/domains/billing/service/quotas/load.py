"""What a process has on its hands, and whom it refuses when that is too much."""

import asyncio
import math
from typing import Final, TypeAlias

import msgspec

from samovar.domains.billing.errors import Overloaded
from samovar.domains.billing.model.quotas import sheds
from samovar.ports.clock import Clock

Caller: TypeAlias = tuple[str, str]
"""Team and principal."""

_LOOK_S: Final = 0.1
_FADES: Final = 0.8


class LoadBounds(msgspec.Struct, frozen=True, kw_only=True):
    """0 is no bound. ``lag_s`` is how late the event loop may be, ``in_flight`` how many calls it may have."""

    lag_s: float = 1.0
    in_flight: int = 10_000


class Load:
    """Counts calls in flight and feels the loop's lag (:meth:`watch`). When a bound is passed, the newest calls of those with
    the most in flight are refused before any work is done; it recovers as calls end and the lag fades."""

    def __init__(self, *, bounds: LoadBounds, clock: Clock) -> None:
        self._bounds = bounds
        # What no bound is, nothing reaches.
        self._most_lag_s = bounds.lag_s if bounds.lag_s > 0 else math.inf
        self._most_in_flight = bounds.in_flight if bounds.in_flight > 0 else math.inf
        self._clock = clock
        self._by_caller: dict[Caller, int] = {}
        self._lag_s = 0.0
        self.in_flight = 0
        self.shed = 0

    @property
    def lag_s(self) -> float:
        """How late the loop was lately."""
        return self._lag_s

    def enter(self, caller: Caller) -> None:
        """A call begins. Raises ``Overloaded``."""
        mine = self._by_caller.get(caller, 0)
        # Two comparisons where all is well.
        if self._lag_s > self._most_lag_s or self.in_flight >= self._most_in_flight:
            self._check(mine)
        self._by_caller[caller] = mine + 1
        self.in_flight += 1

    def leave(self, caller: Caller) -> None:
        """It ended."""
        left = self._by_caller[caller] - 1
        if left:
            self._by_caller[caller] = left
        else:
            del self._by_caller[caller]
        self.in_flight -= 1

    def felt(self, lag_s: float) -> None:
        """The loop was so late just now."""
        self._lag_s = max(lag_s, self._lag_s * _FADES)

    async def watch(self) -> None:
        """Feel the loop's lag until cancelled."""
        while True:
            due = self._clock.monotonic() + _LOOK_S
            await asyncio.sleep(_LOOK_S)
            self.felt(max(0.0, self._clock.monotonic() - due))

    def _check(self, mine: int) -> None:
        bounds = self._bounds
        strain = max(
            self._lag_s / bounds.lag_s if bounds.lag_s else 0.0,
            self.in_flight / bounds.in_flight if bounds.in_flight else 0.0,
        )
        if sheds(mine=mine, total=self.in_flight, callers=len(self._by_caller), strain=strain):
            self.shed += 1
            raise Overloaded(
                f"this process has {self.in_flight} calls in flight and is too busy; you have {mine} of them, so the newest of"
                " yours is refused first. Send fewer at once, or try again in a moment.",
                headers={"Retry-After": "1"},
            )
