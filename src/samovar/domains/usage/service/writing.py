"""Takes the event of each call in memory and writes them in batches, their sums with them."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from samovar.domains.gateway.model import CallFinished
from samovar.domains.usage.errors import EventsKnown, EventsRefused
from samovar.domains.usage.model import UsageRow, row_of
from samovar.domains.usage.model.sums import Sums, slices
from samovar.domains.usage.model.users import Labels
from samovar.domains.usage.store import events, sums
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database
from samovar.ports.outages import Outage

BATCH: Final = 5_000
_TRIES: Final = 200
"""Transactions that may look for the events at fault in one batch: some ten are found."""
_TRIES_OF_NONE: Final = 24
"""The same as long as none was taken."""
_TRIES_OF_KNOWN: Final = 5
_AT_ONCE: Final = 250


class UsageService:
    """``record`` is called at the end of each call and only keeps its row; :meth:`run` writes until it is cancelled, and then
    writes what is left.

    Bounded: past ``max_waiting`` events (the database has been away for long) the oldest are dropped and counted in
    ``dropped``. ``report`` takes failures, to log them.
    """

    def __init__(
        self,
        *,
        database: Database,
        report: Callable[[BaseException, str], None],
        max_waiting: int = 200_000,
        every_s: float = 0.5,
    ) -> None:
        self._database = database
        self._report = report
        self._max_waiting = max_waiting
        self._every_s = every_s
        self._waiting: deque[UsageRow] = deque()
        self._labels = Labels()
        self.dropped = 0
        self.written = 0

    @property
    def waiting(self) -> int:
        """Events not written yet (a queue depth, for the metrics)."""
        return len(self._waiting)

    def record(self, event: CallFinished) -> None:
        """Take one event. Never waits, never raises."""
        try:
            # At once: a row is a fraction of what hangs on its event, which so is let go of while it is in the caches.
            row = row_of(event, self._labels)
        except (TypeError, ValueError, OverflowError) as error:
            # Text that is no Unicode, say. It must not come back for ever.
            self.dropped += 1
            self._report(error, f"the usage event of call {event.id} cannot be written and is lost")
            return
        if len(self._waiting) >= self._max_waiting:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(row)

    async def run(self) -> None:
        """Write batches until cancelled; call :meth:`flush` after the last call has ended."""
        pause_s = self._every_s
        outage = Outage(
            "usage events wait: the database does not take them", logger="samovar.usage", report=self._report
        )
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.flush()
                pause_s = self._every_s
                outage.over()
            except (Unavailable, EventsRefused) as error:
                # Keep them and come back later; the bound above holds meanwhile.
                outage.tell(error)
                pause_s = min(pause_s * 2, 10.0)

    async def flush(self) -> None:
        """Write everything that waits. Raises ``Unavailable`` or ``EventsRefused``; what was not taken still waits."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                await self._write(batch)
            except EventsRefused as error:
                await self._sift(batch, error)
            except BaseException:
                # Perhaps it was written and only the word of it was lost: the row's key makes the second time harmless.
                self._put_back(batch)
                raise
            else:
                self.written += len(batch)

    async def _write(self, batch: list[UsageRow]) -> None:
        try:
            await self._write_new(batch)
        except EventsKnown as error:
            await self._write_unknown(batch, error)

    async def _write_new(self, batch: list[UsageRow]) -> None:
        summed = Sums()
        for piece in slices(batch, _AT_ONCE):
            summed.add(piece)
            await asyncio.sleep(0)
        async with self._database.transaction() as tx:
            await events.add_rows(tx, batch)
            # Last: other processes add to the same rows, and wait for the end of this.
            await sums.add(tx, summed)

    async def _write_unknown(self, batch: list[UsageRow], known: EventsKnown) -> None:
        """Some were written, and their answer was lost: only the others may go to the sums. Seldom, so it may cost more.
        On PostgreSQL the first commit may still be under way; then the next try waits for it and sees it."""
        for _ in range(_TRIES_OF_KNOWN):
            try:
                async with self._database.reading() as tx:
                    fresh = await events.unknown(tx, batch)
                if fresh:
                    await self._write_new(fresh)
                return
            except EventsKnown:
                continue
        raise EventsRefused("Events of the batch are written by somebody else over and over.") from known

    async def _sift(self, batch: list[UsageRow], refusal: EventsRefused) -> None:
        """One event that the database refuses must not hold up all others for ever: halves of the batch are tried, halves
        of those that are refused, and an event that is refused alone is dropped. Where none is taken the fault is not the
        events' (no right to write, say): then all wait, and ``refusal`` is raised again. It is also when the tries are
        used up; what was not tried waits."""
        refused: list[UsageRow] = []
        # The largest first: where any event is good, one of them is soon taken.
        pieces = deque([(0, len(batch))])
        taken = tries = 0
        try:
            while pieces and tries < (_TRIES if taken else _TRIES_OF_NONE):
                start, end = pieces[0]
                tries += 1
                try:
                    await self._write(batch[start:end])
                    taken += end - start
                except EventsRefused:
                    middle = (start + end) // 2
                    if start == middle:
                        refused.append(batch[start])
                    else:
                        pieces += ((start, middle), (middle, end))
                pieces.popleft()
        finally:
            self.written += taken
            rest = [row for start, end in sorted(pieces) for row in batch[start:end]]
            self._put_back(rest if taken else refused + rest)
        if taken:
            self.dropped += len(refused)
            for row in refused:
                self._report(refusal, f"the usage event of call {row.id} is refused and lost")
        if pieces or not taken:
            raise refusal

    def _put_back(self, batch: list[UsageRow]) -> None:
        room = self._max_waiting - len(self._waiting)
        self.dropped += max(0, len(batch) - room)
        self._waiting.extendleft(reversed(batch[max(0, len(batch) - room) :]))
