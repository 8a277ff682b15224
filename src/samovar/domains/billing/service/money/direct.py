"""The journal of a process that has no disk to keep one on: each charge is written to the database before the answer ends.

Charges that come together share a transaction. Were the process to die, its leases stay taken until an admin settles them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from samovar.domains.billing.errors import ChargesRefused, SpoolFull
from samovar.domains.billing.model.ledger import Settled
from samovar.domains.billing.model.records import Intent, Outcome, settled
from samovar.domains.billing.service.money.hold import Tally
from samovar.domains.billing.service.money.journal import Place
from samovar.domains.billing.service.money.mover import LONGEST_PAUSE_S, REFUSED_TOGETHER
from samovar.domains.billing.service.money.posting import charge_all
from samovar.domains.billing.service.money.refused import RefusedLog
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database

_BATCH: Final = 500
_WAITING: Final = 10_000
_ANSWER_WAITS_S: Final = 5.0
_AGAIN_AFTER_S: Final = 0.5


class DirectJournal:
    """A :class:`Journal`. :meth:`run` writes until cancelled. An answer waits five seconds for its charge at most: with the
    database away charges wait in memory, and past ten thousand of them no call is taken."""

    def __init__(self, *, database: Database, report: Callable[[str], None], tally: Tally) -> None:
        self._database = database
        self._report = report
        self._set_aside = RefusedLog(tally)
        self._waiting: list[tuple[Settled, asyncio.Future[None]]] = []
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self._taken = 0
        self._done = 0

    def intend(self, intent: Intent) -> Awaitable[None] | None:
        """See :class:`Journal`."""
        if len(self._waiting) >= _WAITING:
            raise SpoolFull(
                "The database does not take the charges that wait for it. Try again.", headers={"Retry-After": "5"}
            )
        return None

    def conclude(self, intent: Intent, outcome: Outcome) -> Awaitable[None] | None:
        """See :class:`Journal`."""
        call = settled(intent, outcome)
        if call is None:
            return None
        self._taken += 1
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, place))
        self._news.set()
        return self._written(place)

    @property
    def end(self) -> Place:
        """See :class:`Journal`."""
        return 0, self._taken

    @property
    def moved(self) -> Place:
        """See :class:`Journal`."""
        return 0, self._done

    @property
    def waiting_bytes(self) -> int:
        """See :class:`Journal`: nothing lies on a disk."""
        return 0

    async def run(self) -> None:
        """Write until cancelled; then call :meth:`drain`."""
        pause_s = _AGAIN_AFTER_S
        while True:
            await self._news.wait()
            try:
                await self.drain()
                pause_s = _AGAIN_AFTER_S
            except (Unavailable, ChargesRefused) as error:
                self._report(f"charges wait in memory: {error.detail}")
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def drain(self) -> None:
        """Write what waits. Raises ``Unavailable``, and ``ChargesRefused`` where the database takes none of it; what was not
        written still waits."""
        async with self._writing:
            most = _BATCH
            while self._waiting:
                some = self._waiting[:most]
                try:
                    await charge_all(self._database, [call for call, _ in some], self._set_aside)
                except ChargesRefused:
                    if most >= REFUSED_TOGETHER or len(self._waiting) <= len(some):
                        raise
                    # Whose fault it is shows when one that came later is taken.
                    most = REFUSED_TOGETHER
                    continue
                most = _BATCH
                del self._waiting[: len(some)]
                self._done += len(some)
                for _, place in some:
                    if not place.done():
                        place.set_result(None)
            self._news.clear()

    async def close(self) -> None:
        """What was not written until now would be lost with the process: the log has it."""
        left, self._waiting = self._waiting, []
        await self._set_aside([call for call, _ in left])
        for _, place in left:
            if not place.done():
                place.set_result(None)

    async def _written(self, place: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(_ANSWER_WAITS_S):
                await asyncio.shield(place)
        except TimeoutError:
            self._report("an answer ended before its charge was written: the database does not take it")
