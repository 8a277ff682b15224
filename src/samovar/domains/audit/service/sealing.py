"""Signing keys and checkpoints."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from samovar.domains.audit import store
from samovar.domains.audit.model import Checkpoint, PublicKey, SigningKey
from samovar.domains.audit.model.checkpoints import SEED_BYTES
from samovar.domains.audit.model.records import Place, genesis
from samovar.domains.audit.store import Head, SealedKey
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx
from samovar.ports.outages import Outage
from samovar.ports.secrets import SealBroken, SecretBox

Report = Callable[[BaseException, str], None]

CHECKPOINT_RECORDS: Final = 1000
CHECKPOINT_S: Final = 60.0


class Sealing:
    """Puts a checkpoint after ``every_records`` records (and those of the same batch), and after ``every_s`` seconds where there
    are any new ones."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        box: SecretBox,
        report: Report,
        every_records: int = CHECKPOINT_RECORDS,
        every_s: float = CHECKPOINT_S,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._box = box
        self._report = report
        self._every_records = every_records
        self._every = timedelta(seconds=every_s)
        self._key: SigningKey | None = None
        self.sealed = 0
        """Checkpoints that this process made."""

    async def lock(self, tx: Tx) -> Head:
        """The head of the chain, which is begun where there is none; nobody else's until ``tx`` ends."""
        # Only the chain's first lock takes the name: any other finds one.
        name = self._ids.new("chain")
        return await store.lock_head(tx, chain=name, genesis=genesis(name), now=self._clock.now())

    async def after(self, tx: Tx, head: Head, place: Place) -> None:
        """Called under the lock, once the chain stands at ``place``: a checkpoint, where it is time for one."""
        now = self._clock.now()
        fresh = place.sequence - head.sealed_sequence
        if fresh >= self._every_records or (fresh and now - head.sealed_at >= self._every):
            await self._seal(tx, head, place, now)

    async def seal(self) -> None:
        """A checkpoint now, if there is anything new. Raises ``Unavailable``."""
        if not await self._has_new():
            return
        async with self._database.transaction() as tx:
            head = await self.lock(tx)
            if head.sequence > head.sealed_sequence:
                await self._seal(tx, head, Place(head.sequence, head.hash), self._clock.now())

    async def anchor(self, checkpoint: Checkpoint) -> bool:
        """Let the chain begin after the record of ``checkpoint``, which was verified; false where it does so already. Raises
        ``Unavailable``."""
        async with self._database.transaction() as tx:
            await self.lock(tx)
            before = await store.anchor(tx)
            pruned = 0 if before is None else before.sequence
            if checkpoint.sequence <= pruned:
                return False
            now = self._clock.now()
            key = await self.key(tx)
            anchor = key.anchor(
                chain=checkpoint.chain,
                sequence=checkpoint.sequence,
                hash=checkpoint.hash,
                count=checkpoint.sequence - pruned,
                at=now,
            )
            await store.add_anchor(tx, anchor, at=now)
        return True

    async def run(self) -> None:
        """Put the checkpoints that are due by time, until cancelled."""
        outage = Outage(
            "the audit chain's checkpoint waits: the database does not answer",
            logger="samovar.audit",
            report=self._report,
        )
        while True:
            await asyncio.sleep(self._every.total_seconds())
            try:
                await self._seal_what_is_due()
                outage.over()
            except Unavailable as error:
                outage.tell(error)

    async def key(self, tx: Tx) -> SigningKey:
        """The key that signs: the newest that opens under today's master key; a new one where none does."""
        stored = await store.keys(tx)
        # The one in memory counts only while it is stored: the transaction that made it may have failed, or a backup may have
        # been restored, and nobody could verify what it signs.
        if self._key is None or all(one.public.id != self._key.public.id for one in stored):
            self._key = self._opened(stored) or await self._made(tx)
        return self._key

    async def _has_new(self) -> bool:
        # Looked at first without the lock: an idle process shall not queue for it.
        async with self._database.reading() as tx:
            head = await store.head(tx)
        return head is not None and head.sequence > head.sealed_sequence

    async def _seal_what_is_due(self) -> None:
        if not await self._has_new():
            return
        async with self._database.transaction() as tx:
            head = await self.lock(tx)
            # Another process may have been faster.
            await self.after(tx, head, Place(head.sequence, head.hash))

    async def _seal(self, tx: Tx, head: Head, place: Place, now: datetime) -> None:
        key = await self.key(tx)
        checkpoint = key.checkpoint(
            chain=head.chain,
            sequence=place.sequence,
            hash=place.hash,
            count=place.sequence - head.sealed_sequence,
            at=now,
        )
        await store.add_checkpoint(tx, checkpoint, at=now)
        self.sealed += 1

    def _opened(self, stored: Sequence[SealedKey]) -> SigningKey | None:
        for one in stored:
            try:
                return SigningKey(self._box.open(one.sealed, bound_to=_bound_to(one.public)))
            except SealBroken as error:
                self._report(error, f"the audit signing key {one.public.id} does not open; another one signs")
        return None

    async def _made(self, tx: Tx) -> SigningKey:
        seed = base64.urlsafe_b64decode(self._ids.token(SEED_BYTES) + "=")
        key = SigningKey(seed)
        public = msgspec.structs.replace(key.public, created_at=self._clock.now())
        await store.add_key(tx, SealedKey(public=public, sealed=self._box.seal(seed, bound_to=_bound_to(public))))
        return key


def _bound_to(key: PublicKey) -> str:
    return f"audit_keys/{key.id}/sealed"
