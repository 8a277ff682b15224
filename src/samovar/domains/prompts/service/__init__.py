"""The use cases of prompts."""

import asyncio
from typing import Final

from samovar.domains.prompts.service.cache import CacheBounds, PromptCache
from samovar.domains.prompts.service.exchange import PromptExchange
from samovar.domains.prompts.service.gate import GateRules, WriteGate
from samovar.domains.prompts.service.reading import Filled, Found, PromptReads, no_default
from samovar.domains.prompts.service.turns import PROMPTS_CHANGED, Turn, Turns, not_found
from samovar.domains.prompts.service.writing import Pointing, PromptWrites
from samovar.domains.prompts.store import rows
from samovar.ports.cache import Cache
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.events import Bus
from samovar.ports.limits import Limiter
from samovar.ports.outages import Outage

__all__ = [
    "PROMPTS_CHANGED",
    "CacheBounds",
    "Filled",
    "Found",
    "GateRules",
    "Pointing",
    "PromptExchange",
    "PromptReads",
    "PromptService",
    "PromptWrites",
    "Turn",
    "Turns",
    "WriteGate",
    "no_default",
    "not_found",
]

COMPARE_EVERY_S: Final = 10.0
"""How old an answer from memory may be where no bus message came through."""


class PromptService:
    """The face of prompts. Make it before ``bus.start()``: it subscribes to the news of other processes.

    ``reads`` and ``writes`` hold the use cases, ``gate`` what stands before a write over HTTP, ``turns`` opens a transaction for
    several writes, ``exchange`` takes them in and out as files; ``resolve`` is what other domains ask.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        bus: Bus,
        cache: Cache,
        limiter: Limiter,
        bounds: CacheBounds | None = None,
        rules: GateRules | None = None,
    ) -> None:
        self._database = database
        self.memory = PromptCache(bounds or CacheBounds(), monotonic=clock.monotonic)
        self.turns = Turns(database=database, clock=clock, bus=bus, cache=self.memory)
        self.reads = PromptReads(database=database, cache=self.memory)
        self.writes = PromptWrites(turns=self.turns)
        self.exchange = PromptExchange(database=database, turns=self.turns, clock=clock)
        self.gate = WriteGate(rules=rules or GateRules(), limiter=limiter, cache=cache, clock=clock)
        self.resolve = self.reads.resolve
        bus.on_gap(self._on_gap)

    async def compare(self) -> None:
        """Ask the database whether a write was missed. Raises ``Unavailable``."""
        teams = self.memory.teams
        if teams:
            async with self._database.reading() as tx:
                numbers = await rows.writes(tx, teams)
            self.memory.compare(numbers)

    async def watch(self, *, every_s: float = COMPARE_EVERY_S) -> None:
        """:meth:`compare` for ever: one small query each ``every_s``. A failure is logged and tried again."""
        outage = Outage("prompts in memory not compared with the database", logger="samovar.prompts")
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.compare()
                outage.over()
            except Exception as error:  # noqa: BLE001 a loop: it must outlive whatever the database does
                outage.tell(error)

    async def _on_gap(self) -> None:
        self.memory.clear()
