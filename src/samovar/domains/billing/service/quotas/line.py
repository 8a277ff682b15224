"""The line to what processes share: whether it answers, how many processes there are, and what holds while it does not."""

from enum import StrEnum
from typing import Final

import msgspec
import structlog

from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock
from samovar.ports.limits import SharedLimits

LIFE_S: Final = 10.0
"""How long a process, or a place it holds, counts when nothing more is heard of it."""
_PROCESSES: Final = "quota:processes"
_MOST_PROCESSES: Final = 100_000


class Away(StrEnum):
    """What a limit is while the line is down."""

    SHARE = "share"
    """The limit divided by the processes known: kept, if calls come evenly."""
    LOCAL = "local"
    """The whole limit in each process."""
    OPEN = "open"
    """No limit."""
    CLOSED = "closed"
    """Nothing passes."""


class AwayRules(msgspec.Struct, frozen=True, kw_only=True):
    """For each kind of limit."""

    requests: Away = Away.SHARE
    tokens: Away = Away.SHARE
    concurrency: Away = Away.LOCAL


class Line:
    """One for a process. After one failure nobody on a call's path asks again before :meth:`look`, done beside the path, got
    an answer: a slow Redis hurts more than a dead one."""

    def __init__(self, *, limits: SharedLimits, clock: Clock, owner: str, processes: int = 1) -> None:
        self._log = structlog.get_logger("samovar.quotas")
        self.limits = limits
        self.owner = owner
        self.now = clock.monotonic
        self.processes = self._started = max(1, processes)
        self.is_away = False
        self.outages = 0

    def failed(self, error: Unavailable) -> None:
        """Something shared did not answer."""
        if not self.is_away:
            self.is_away = True
            self.outages += 1
            self._log.warning("limits are kept without Redis", reason=error.detail, processes=self.processes)

    async def look(self) -> bool:
        """Say that we are there and count who is; whether it answered."""
        try:
            held = await self.limits.hold(_PROCESSES, owner=self.owner, wanted=1, most=_MOST_PROCESSES, ttl_s=LIFE_S)
        except Unavailable as error:
            self.failed(error)
            return False
        # At least as many as were started together: they may not all have said so yet.
        self.processes = max(self._started, held.owners)
        if self.is_away:
            self.is_away = False
            self._log.info("limits are kept together again", processes=self.processes)
        return True

    async def leave(self) -> None:
        """We are gone."""
        try:
            await self.limits.hold(_PROCESSES, owner=self.owner, wanted=0, most=_MOST_PROCESSES, ttl_s=LIFE_S)
        except Unavailable as error:
            self.failed(error)
