"""The calls that ended lately, kept in memory, so that the mover need not read back what was just written."""

from collections import deque
from typing import NamedTuple

from samovar.domains.billing.model.ledger import Settled
from samovar.domains.billing.model.records import Intent, Outcome, settled
from samovar.domains.billing.service.money.journal import Place


class Batch(NamedTuple):
    """Calls that ended, and the place before which there are no others."""

    calls: list[Settled]
    end: Place


class Ended:
    """In the order of their records. Bounded: past ``most`` calls (the database has been away) it forgets them all, and what it
    is told until it begins anew; they stand on the disk."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls: deque[tuple[Intent, Outcome, int, int]] = deque()
        self.is_whole = True

    def note(self, intent: Intent, outcome: Outcome, number: int, offset: int) -> None:
        """A call ended; its record ends at this place."""
        calls = self._calls
        if self.is_whole:
            # Made into charges later, many in a row: on a call's path each would take three times as long.
            calls.append((intent, outcome, number, offset))
            if len(calls) > self._most:
                self.forget()

    def forget(self) -> None:
        """Something stands on the disk that was not told here, or too much to be kept."""
        self._calls.clear()
        self.is_whole = False

    def begin(self) -> None:
        """From now on whole again; what came before is somebody else's to read."""
        self._calls.clear()
        self.is_whole = True

    def take(self, at_once: int, written: Place) -> Batch | None:
        """The next ones; ``written`` is where the last record ends. ``None`` where they must be read from the disk."""
        if not self.is_whole:
            return None
        calls = self._calls
        taken: list[Settled] = []
        for _ in range(min(at_once, len(calls))):
            intent, outcome, number, offset = calls.popleft()
            call = settled(intent, outcome)
            if call is not None:
                taken.append(call)
        if not calls:
            return Batch(taken, written)
        return Batch(taken, (number, offset))
