"""Time, ids and randomness: what makes a program's run differ from the last one, so it arrives from outside."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Two clocks in one: the wall, which may jump, and the monotonic one, which may not."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an unknown start; for measuring spans and deadlines."""
        ...


class Ids(Protocol):
    """Makes identifiers and secrets."""

    def new(self, prefix: str, at: datetime | None = None) -> str:
        """``prefix_`` and a ULID of now, or of ``at``, which is for who has just asked the clock. Two ids made by one process one
        after the other sort in that order or are equal in their millisecond."""
        ...

    def token(self, size_bytes: int) -> str:
        """URL-safe text of ``size_bytes`` bytes from the operating system's secure source."""
        ...
