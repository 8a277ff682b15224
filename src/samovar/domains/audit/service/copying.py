"""Copies of checkpoints, and of the records between them, in a place that the database's owner cannot rewrite."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from samovar.domains.audit import store
from samovar.domains.audit.model import Checkpoint, PublicKey
from samovar.domains.audit.model.exports import checkpoint_document
from samovar.domains.audit.model.records import canonical
from samovar.domains.audit.service.reading import Reading
from samovar.domains.audit.service.sealing import Report
from samovar.kernel.errors import SamovarError
from samovar.ports.blobs import Blobs
from samovar.ports.database import Database

_AT_ONCE: Final = 100
_DIGITS: Final = 12
_HASH_CHARS: Final = 16


class Copies:
    """Copies each checkpoint once, in order, under a name that no other content can have: what is there is never written over."""

    def __init__(
        self,
        *,
        database: Database,
        reading: Reading,
        blobs: Callable[[], Blobs],
        with_records: bool,
        report: Report,
        every_s: float,
    ) -> None:
        """``blobs`` is asked for at the first copy."""
        self._database = database
        self._reading = reading
        self._blobs = blobs
        self._with_records = with_records
        self._report = report
        self._every_s = every_s
        self.waiting = 0
        """Checkpoints that were to be copied and could not be, when last tried."""

    async def run(self) -> None:
        """Copy what is new, until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.copy()
            except SamovarError as error:
                self._report(error, f"{self.waiting} audit checkpoints are not copied yet; it is tried again")

    async def copy(self) -> int:
        """Copy all that was not copied yet; how many there were. Raises ``BlobsUnavailable``, ``Unavailable``."""
        done = 0
        while True:
            async with self._database.reading() as tx:
                head = await store.head(tx)
                if head is None:
                    return done
                after, end = head.copied_sequence, head.sequence
                found = await store.checkpoints(tx, after=after, up_to=end, limit=_AT_ONCE)
                keys = {key.public.id: key.public for key in await store.keys(tx)}
                anchor = await store.anchor(tx)
            pruned = 0 if anchor is None else anchor.sequence
            self.waiting = len(found)
            for checkpoint in found:
                await self._copy(checkpoint, keys[checkpoint.key_id], pruned)
                self.waiting -= 1
                done += 1
            if len(found) < _AT_ONCE:
                return done

    async def keep_records(self, *, after: int, up_to: int) -> None:
        """Copy the records of these checkpoints, where they are not yet. Raises as :meth:`copy`."""
        while after < up_to:
            async with self._database.reading() as tx:
                found = await store.checkpoints(tx, after=after, up_to=up_to, limit=_AT_ONCE)
            for checkpoint in found:
                await self._copy_records(checkpoint)
                after = checkpoint.sequence
            if not found:
                return

    async def _copy_records(self, checkpoint: Checkpoint) -> None:
        first = checkpoint.sequence - checkpoint.count + 1
        lines = self._reading.lines(checkpoint.chain, first=first, last=checkpoint.sequence)
        await self._put(f"{name_of(checkpoint)}.jsonl", lines)

    async def _copy(self, checkpoint: Checkpoint, key: PublicKey, pruned: int) -> None:
        name = name_of(checkpoint)
        # Pruned before there was a place for copies: only the checkpoint is left of them.
        if self._with_records and checkpoint.sequence > pruned:
            await self._copy_records(checkpoint)
        # The checkpoint last: where it is, its records are.
        await self._put(f"{name}.json", _one(canonical(checkpoint_document(checkpoint, key)) + b"\n"))
        async with self._database.transaction() as tx:
            await store.note_copied(tx, checkpoint.sequence)

    async def _put(self, name: str, content: AsyncIterator[bytes]) -> None:
        blobs = self._blobs()
        if await blobs.head(name) is None:
            await blobs.put(name, content)


def name_of(checkpoint: Checkpoint) -> str:
    """``chain/000000001000-<hash>``: sorts as the chain goes."""
    return f"{checkpoint.chain}/{checkpoint.sequence:0{_DIGITS}d}-{checkpoint.hash[:_HASH_CHARS]}"


async def _one(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
