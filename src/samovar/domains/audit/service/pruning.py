"""Letting the chain begin later: what is older than it must be kept is proven, copied, said, and only then deleted."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import msgspec

from samovar.domains.audit import store
from samovar.domains.audit.errors import ChainBroken
from samovar.domains.audit.model import Checkpoint
from samovar.domains.audit.service.copying import Copies
from samovar.domains.audit.service.reading import Reading
from samovar.domains.audit.service.sealing import Sealing
from samovar.ports.clock import Clock
from samovar.ports.database import Database

_DELETED: Final = 500
"""Records deleted in one transaction: some milliseconds of SQLite's write lock."""
_BREATH_S: Final = 0.02


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """Records ``first`` to ``last`` are to go, or gone."""

    first: int
    last: int


Say = Callable[[Pruned], Awaitable[None]]


class Pruning:
    """Any number of processes may run it at once. ``copies`` is where records go first, ``None`` for nowhere."""

    def __init__(
        self, *, database: Database, clock: Clock, reading: Reading, sealing: Sealing, copies: Copies | None
    ) -> None:
        self._database = database
        self._clock = clock
        self._reading = reading
        self._sealing = sealing
        self._copies = copies

    async def prune(self, *, keep: timedelta | None, say: Say) -> Pruned | None:
        """Prune what a checkpoint older than ``keep`` has sealed, ``None`` for nothing but what an earlier run left; what was
        pruned. ``say`` is called before anything is.

        Raises ``ChainBroken`` where the records that would go are not what was recorded: they are the proof of it, and stay.
        Raises ``BlobsUnavailable``, ``Unavailable`` and what ``say`` raises."""
        await self._sweep()
        found = None if keep is None else await self._target(keep)
        if found is None:
            return None
        checkpoint, after = found
        try:
            await self._reading.require_good(up_to=checkpoint)
            if self._copies is not None:
                await self._copies.keep_records(after=after, up_to=checkpoint.sequence)
        except ChainBroken:
            # What is missing may have been pruned by somebody else meanwhile, who proved it first.
            if await self._begins_after() == after:
                raise
            return None
        pruned = Pruned(first=after + 1, last=checkpoint.sequence)
        await say(pruned)
        # The anchor is the commit point: from here on the chain begins later, whoever deletes what lies before.
        if not await self._sealing.anchor(checkpoint):
            return None
        await self._sweep()
        return pruned

    async def _target(self, keep: timedelta) -> tuple[Checkpoint, int] | None:
        """The checkpoint to prune up to, and the record after which the chain begins now."""
        async with self._database.reading() as tx:
            head, anchor = await store.head(tx), await store.anchor(tx)
            if head is None:
                return None
            up_to = head.sealed_sequence if self._copies is None else head.copied_sequence
            checkpoint = await store.last_checkpoint_before(tx, self._clock.now() - keep, up_to=up_to)
        after = 0 if anchor is None else anchor.sequence
        return None if checkpoint is None or checkpoint.sequence <= after else (checkpoint, after)

    async def _begins_after(self) -> int:
        async with self._database.reading() as tx:
            anchor = await store.anchor(tx)
        return 0 if anchor is None else anchor.sequence

    async def _sweep(self) -> None:
        """Delete what lies before the anchor. The anchor's own checkpoint stays: copies and exports that were kept meet it."""
        async with self._database.reading() as tx:
            anchor = await store.anchor(tx)
        if anchor is None:
            return
        # Who forged it has not the right to have the proof of it deleted.
        await self._reading.require_anchor(anchor)
        while True:
            async with self._database.transaction() as tx:
                count = await store.prune_records(tx, up_to=anchor.sequence, limit=_DELETED)
                count = max(count, await store.prune_checkpoints(tx, before=anchor.sequence, limit=_DELETED))
            if count < _DELETED:
                return
            # Whoever else wants to write goes first.
            await asyncio.sleep(_BREATH_S)
