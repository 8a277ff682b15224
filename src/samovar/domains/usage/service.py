"""Takes the event of each call in memory and writes them in batches."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from samovar.domains.gateway.model import CallFinished
from samovar.domains.usage import store
from samovar.domains.usage.errors import EventsRefused
from samovar.domains.usage.model import UsageRow, row_of
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database

BATCH: Final = 1_000


class UsageService:
    """``record`` is called on the path of each call and only makes a row and appends it; :meth:`run` writes until it is
    cancelled, and then writes what is left.

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
        self.dropped = 0
        self.written = 0

    @property
    def waiting(self) -> int:
        """Events not written yet (a queue depth, for the metrics)."""
        return len(self._waiting)

    def record(self, event: CallFinished) -> None:
        """Take one event. Never waits, never raises."""
        if len(self._waiting) >= self._max_waiting:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(row_of(event))

    async def run(self) -> None:
        """Write batches until cancelled; call :meth:`flush` after the last call has ended."""
        pause_s = self._every_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.flush()
                pause_s = self._every_s
            except (Unavailable, EventsRefused) as error:
                # Keep them and come back later; the bound above holds meanwhile.
                self._report(error, "usage events wait: the database does not take them")
                pause_s = min(pause_s * 2, 10.0)

    async def flush(self) -> None:
        """Write everything that waits. Raises ``Unavailable`` or ``EventsRefused``; what was not taken still waits."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                async with self._database.transaction() as tx:
                    await store.add_rows(tx, batch)
            except EventsRefused as error:
                await self._write_singly(batch, error)
            except BaseException:
                # Perhaps it was written and only the word of it was lost: the row's key makes the second time harmless.
                self._put_back(batch)
                raise
            else:
                self.written += len(batch)

    async def _write_singly(self, batch: list[UsageRow], refusal: EventsRefused) -> None:
        """One event that the database refuses must not hold up all others for ever: it alone is dropped. Where none is
        taken the fault is not the events' (a disk that is full, say): then all wait, and ``refusal`` is raised again."""
        refused: list[UsageRow] = []
        position = 0
        try:
            for position, row in enumerate(batch):  # noqa: B007  # read in `finally`
                try:
                    async with self._database.transaction() as tx:
                        await store.add_rows(tx, [row])
                except EventsRefused:
                    refused.append(row)
            position = len(batch)
        finally:
            self.written += position - len(refused)
            self._put_back(batch[position:] if len(refused) < position else batch)
        if len(refused) == len(batch):
            raise refusal
        self.dropped += len(refused)
        for row in refused:
            self._report(refusal, f"the usage event of call {row.id} is refused and lost")

    def _put_back(self, batch: list[UsageRow]) -> None:
        room = self._max_waiting - len(self._waiting)
        self.dropped += max(0, len(batch) - room)
        self._waiting.extendleft(reversed(batch[max(0, len(batch) - room) :]))
