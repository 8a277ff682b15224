"""Several keys of one provider: calls take turns over those that are well, and one that the vendor limits or refuses rests.

Pure: times are monotonic seconds, given by the caller.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

LIMITED_S: Final = 60.0
"""How long a key rests whose vendor does not say for how long: they count by the minute."""
REFUSED_S: Final = 600.0
"""How long a key rests that the vendor does not take. An admin will mend it; until then it is tried now and then."""
LONGEST_S: Final = 3600.0


class KeyState(StrEnum):
    """How a key stands with its vendor."""

    WELL = "well"
    LIMITED = "limited"
    REFUSED = "refused"


class KeyHealth(NamedTuple):
    """A key as an admin may see it: ``hint`` is the end of it. ``calls`` and ``limited`` count since the process began."""

    hint: str
    state: KeyState
    rests_for_s: float
    calls: int
    limited: int
    refused: int


class _Seat:
    __slots__ = ("calls", "limited", "refused", "rests_until", "state")

    def __init__(self) -> None:
        self.state = KeyState.WELL
        self.rests_until = 0.0
        self.calls = 0
        self.limited = 0
        self.refused = 0


class KeyPool:
    """``size`` keys, known by their place. One event loop owns it."""

    __slots__ = ("_next", "_seats")

    def __init__(self, size: int) -> None:
        self._seats = [_Seat() for _ in range(size)]
        self._next = 0

    def take(self, now: float) -> int:
        """Whose turn it is. When all rest, the one that is well again first: the vendor has the last word."""
        seats = self._seats
        for step in range(len(seats)):
            place = (self._next + step) % len(seats)
            if seats[place].rests_until <= now:
                break
        else:
            place = min(range(len(seats)), key=lambda one: seats[one].rests_until)
        self._next = (place + 1) % len(seats)
        seats[place].calls += 1
        return place

    def has_other(self, place: int, now: float) -> bool:
        """Whether a key besides this one is well."""
        return any(seat.rests_until <= now for other, seat in enumerate(self._seats) if other != place)

    def answered(self, place: int) -> None:
        """The vendor took the key."""
        seat = self._seats[place]
        if seat.state is not KeyState.WELL:
            seat.state, seat.rests_until = KeyState.WELL, 0.0

    def limited(self, place: int, now: float, *, for_s: float | None) -> None:
        """The vendor wants no more calls with it now; ``for_s`` is its own word on how long."""
        seat = self._seats[place]
        seat.limited += 1
        self._rest(seat, KeyState.LIMITED, now, LIMITED_S if for_s is None else for_s)

    def refused(self, place: int, now: float) -> None:
        """The vendor does not know the key, or has blocked it."""
        seat = self._seats[place]
        seat.refused += 1
        self._rest(seat, KeyState.REFUSED, now, REFUSED_S)

    def health(self, hints: Sequence[str], now: float) -> tuple[KeyHealth, ...]:
        """Of each key, in order."""
        return tuple(
            KeyHealth(
                hint,
                seat.state if seat.rests_until > now else KeyState.WELL,
                max(0.0, seat.rests_until - now),
                seat.calls,
                seat.limited,
                seat.refused,
            )
            for hint, seat in zip(hints, self._seats, strict=True)
        )

    @staticmethod
    def _rest(seat: _Seat, state: KeyState, now: float, for_s: float) -> None:
        seat.state = state
        seat.rests_until = max(seat.rests_until, now + min(for_s, LONGEST_S))
