"""Beside the serving of calls: deletes the events that are past the retention. Their sums stay."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Final

from samovar.domains.usage.store import events
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.outages import Outage

_PRUNED: Final = 200
"""Events deleted in one transaction: a few milliseconds."""
_PRUNE_EVERY_S: Final = 600.0
_BREATH_S: Final = 0.02


class UsageUpkeep:
    """Any number of processes may run it on one database. ``report`` takes failures, to log them; ``pruned`` hears before when
    events were deleted, and how many, where there were any."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        retention: timedelta,
        pruned: Callable[[datetime, int], None],
        report: Callable[[BaseException, str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention
        self._pruned = pruned
        self._report = report

    async def run(self) -> None:
        """Prune every few minutes, until cancelled."""
        outage = Outage(
            "usage is not pruned: the database does not answer", logger="samovar.usage", report=self._report
        )
        while True:
            try:
                await self.prune()
                outage.over()
            except Unavailable as error:
                outage.tell(error)
            await asyncio.sleep(_PRUNE_EVERY_S)

    async def prune(self) -> int:
        """Delete the events that are older than the retention; how many. Raises ``Unavailable``."""
        before = self._clock.now() - self._retention
        deleted = 0
        team_id: str | None = ""
        try:
            while team_id is not None:
                async with self._database.reading() as tx:
                    team_id = await events.next_team(tx, team_id)
                if team_id is not None:
                    async for count in self._prune_team(team_id, before=before):
                        deleted += count
        finally:
            # What is gone is gone, though the database went away in the middle.
            if deleted:
                self._pruned(before, deleted)
        return deleted

    async def _prune_team(self, team_id: str, *, before: datetime) -> AsyncIterator[int]:
        while True:
            async with self._database.transaction() as tx:
                count = await events.prune(tx, team_id, before=before, limit=_PRUNED)
            yield count
            if count < _PRUNED:
                return
            # Whoever else wants to write goes first.
            await asyncio.sleep(_BREATH_S)
