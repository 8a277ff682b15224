"""A circuit breaker for one target: closed, open after a run of failures, half open for one probe (Nygard, *Release It!*)."""

from enum import StrEnum
from typing import Final


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


# A member reached through its class costs a call of a function, and each gateway call takes this path.
_CLOSED: Final = BreakerState.CLOSED
_OPEN: Final = BreakerState.OPEN
_HALF_OPEN: Final = BreakerState.HALF_OPEN


class Breaker:
    """Times are monotonic seconds, given by the caller. Not thread safe: one event loop owns it.

    Invariant: while half open, exactly one probe is out; a probe whose outcome is never reported (its task was cancelled)
    is written off after ``rest_s``, so that a lost probe cannot keep a target out for ever.
    """

    __slots__ = ("_failures", "_opened_at", "_probe_at", "_rest_s", "_threshold", "state")

    def __init__(self, *, failures: int, rest_s: float) -> None:
        self._threshold = failures
        self._rest_s = rest_s
        self._failures = 0
        self._opened_at = 0.0
        self._probe_at: float | None = None
        self.state = _CLOSED

    def admits(self, now: float) -> bool:
        """Whether a call may go out. Saying yes to a probe counts as sending it."""
        if self.state is _CLOSED:
            return True
        if self.state is _OPEN and now - self._opened_at < self._rest_s:
            return False
        if self._probe_at is not None and now - self._probe_at < self._rest_s:
            return False
        self.state = _HALF_OPEN
        self._probe_at = now
        return True

    def rests_for_s(self, now: float) -> float:
        """Seconds until a call may go out again."""
        since = self._opened_at if self._probe_at is None else self._probe_at
        return max(0.0, self._rest_s - (now - since))

    def succeeded(self) -> None:
        """A call ended well (or in a way that shows the target to be alive)."""
        if self.state is not _CLOSED or self._failures:
            self.state = _CLOSED
            self._failures = 0
            self._probe_at = None

    def abandoned(self) -> None:
        """A call ended without showing anything about the target (its caller left): another may probe at once."""
        if self.state is _HALF_OPEN:
            self._probe_at = None

    def failed(self, now: float) -> None:
        """A call failed by the target's fault."""
        self._failures += 1
        if self.state is _HALF_OPEN or self._failures >= self._threshold:
            self.state = _OPEN
            self._opened_at = now
            self._probe_at = None
