"""Beside the serving of calls: sums the events up, and deletes those that are past the retention."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from samovar.domains.usage.store import events, sums
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock
from samovar.ports.database import Database

_PRUNED: Final = 200
"""Events deleted in one transaction: a few milliseconds."""
_PRUNE_EVERY_S: Final = 600.0
_BREATH_S: Final = 0.02


class UsageUpkeep:
    """Any number of processes may run it on one database. ``report`` takes failures, to log them."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        retention: timedelta,
        report: Callable[[BaseException, str], None],
        every_s: float = 2.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention
        self._report = report
        self._every_s = every_s

    async def run(self) -> None:
        """Sum up every few seconds and prune every few minutes, until cancelled."""
        prune_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.sum_up()
                if self._clock.monotonic() >= prune_at:
                    await self.prune()
                    prune_at = self._clock.monotonic() + _PRUNE_EVERY_S
            except Unavailable as error:
                self._report(error, "usage is not summed up: the database does not answer")

    async def sum_up(self) -> int:
        """Add the events that wait to the sums of their hours and days; how many. Raises ``Unavailable``."""
        added = 0
        while True:
            async with self._database.reading() as tx:
                if not await events.any_unsummed(tx):
                    return added
            async with self._database.transaction() as tx:
                # A batch is at most five thousand events: some fifty milliseconds of SQLite's write lock.
                ids = await events.take_unsummed(tx)
                if ids:
                    await sums.add(tx, ids)
            added += len(ids)

    async def prune(self) -> int:
        """Delete the events that are older than the retention and stand in the sums; how many. Raises ``Unavailable``."""
        before = self._clock.now() - self._retention
        deleted = 0
        team_id = ""
        while True:
            async with self._database.reading() as tx:
                found = await events.next_team(tx, team_id)
            if found is None:
                return deleted
            team_id = found
            deleted += await self._prune_team(team_id, before=before)

    async def _prune_team(self, team_id: str, *, before: datetime) -> int:
        deleted = 0
        while True:
            async with self._database.transaction() as tx:
                count = await events.prune(tx, team_id, before=before, limit=_PRUNED)
            deleted += count
            if count < _PRUNED:
                return deleted
            # Whoever else wants to write goes first.
            await asyncio.sleep(_BREATH_S)
