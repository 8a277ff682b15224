"""A clock that moves only when told."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """A :class:`samovar.ports.clock.Clock`; both clocks move together."""

    def __init__(self, at: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)) -> None:
        self._at = at
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """The instant it was set to."""
        return self._at

    def monotonic(self) -> float:
        """Seconds, moved by :meth:`advance` alone."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._at += timedelta(seconds=seconds)
        self._monotonic += seconds
