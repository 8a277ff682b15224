"""How prompts are written: one transaction, in which the team's writers take turns; and everybody hears of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import msgspec
import structlog

from samovar.domains.identity.model import Permission, require
from samovar.domains.prompts.errors import BadPrompt, PromptNotFound
from samovar.domains.prompts.model.prompt import Prompt
from samovar.domains.prompts.service.cache import Change, PromptCache
from samovar.domains.prompts.store import rows
from samovar.kernel.errors import Flaw, StaleRevision, Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.database import Database, Tx
from samovar.ports.events import Bus

PROMPTS_CHANGED: Final = "prompts.changed"
"""Bus topic. The message is a :class:`~samovar.domains.prompts.service.cache.Change` as JSON."""

_MOST_IDS_TOLD: Final = 500


class Turn:
    """A write under way. What it changes is named with :meth:`touch`."""

    def __init__(self, tx: Tx, principal: Principal, *, at: datetime, number: int) -> None:
        self.tx = tx
        self.team_id = principal.team_id
        self.by = principal.id
        self.at = at
        self._number = number
        self._ids: set[int] = set()
        self._namespaces: set[str] = set()

    def touch(self, namespace: str, *prompt_ids: int) -> None:
        """These rows are answered differently from now on, or not at all, or for the first time."""
        self._namespaces.add(namespace)
        self._ids.update(prompt_ids)

    @property
    def change(self) -> Change:
        """What happened. A turn that changed nothing was one all the same: it was counted."""
        ids = tuple(sorted(self._ids)) if len(self._ids) <= _MOST_IDS_TOLD else None
        return Change(self.team_id, self._number, tuple(sorted(self._namespaces)), ids)

    async def prompt(self, prompt_id: int, *, expected: int | None = None) -> Prompt:
        """The row as it stands now; nobody else changes it in this turn. Raises ``PromptNotFound``, ``StaleRevision``."""
        found = await rows.one(self.tx, self.team_id, prompt_id)
        if found is None:
            raise not_found(prompt_id)
        if expected is not None and expected != found.revision:
            raise StaleRevision(current=found.revision)
        return found


class Turns:
    """Opens turns."""

    def __init__(self, *, database: Database, clock: Clock, bus: Bus, cache: PromptCache) -> None:
        self._log = structlog.get_logger("samovar.prompts")
        self._database = database
        self._clock = clock
        self._bus = bus
        self._cache = cache
        bus.subscribe(PROMPTS_CHANGED, self._on_changed)

    @asynccontextmanager
    async def open(self, principal: Principal) -> AsyncIterator[Turn]:
        """One transaction of writes by ``principal``; it ends with the block. Raises ``Forbidden``."""
        require(principal, Permission.PROMPTS_WRITE)
        async with self._database.transaction() as tx:
            number = await rows.take_turn(tx, principal.team_id)
            turn = Turn(tx, principal, at=self._clock.now(), number=number)
            yield turn
        change = turn.change
        self._cache.note(change)
        try:
            await self._bus.publish(PROMPTS_CHANGED, msgspec.json.encode(change))
        except Unavailable as error:
            # The write is committed; the others find it when they next compare.
            self._log.warning("a change of prompts was not announced", reason=error.detail)

    async def _on_changed(self, message: bytes) -> None:
        self._cache.note(msgspec.json.decode(message, type=Change))


def not_found(prompt_id: int) -> PromptNotFound:
    """The error for an id that the team does not have."""
    return PromptNotFound(f"There is no prompt with the id {prompt_id}; GET /v1/prompts lists those there are.")


def check(flaws: Sequence[Flaw]) -> None:
    """Raises ``BadPrompt`` where there are any."""
    if flaws:
        raise BadPrompt(flaws)
