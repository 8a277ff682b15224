"""Reading the chain: pages for people, the whole of it for proof."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final, NamedTuple

import msgspec

from samovar.domains.audit import store
from samovar.domains.audit.errors import ChainBroken
from samovar.domains.audit.model import Anchor, Checkpoint, Place, PublicKey, Record, Report, Writing
from samovar.domains.audit.model.records import canonical, document, genesis
from samovar.domains.audit.model.walking import Walk
from samovar.domains.audit.service.sealing import Sealing
from samovar.domains.audit.store import Head, Wanted
from samovar.kernel.errors import Flaw, Forbidden, Invalid
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.database import Database

READ: Final = "audit:read"
"""The permission, as identity's table names it: that domain stands above this one."""

MAX_PAGE: Final = 100
_AT_ONCE: Final = 500
_MAX_CURSOR_CHARS: Final = 19


class RecordPage(NamedTuple):
    """The newest first; ``next_cursor`` leads on, ``None`` at the end."""

    items: Sequence[Record]
    next_cursor: str | None


class CheckpointPage(NamedTuple):
    """The newest first; ``next_cursor`` leads on, ``None`` at the end."""

    items: Sequence[Checkpoint]
    next_cursor: str | None


class Reading:
    """All methods take ``audit:read``. A principal of the installation's own team reads everything; one of another team reads
    its team's records, and not the chain, which tells of all."""

    def __init__(self, *, database: Database, clock: Clock, sealing: Sealing, installation_team_id: str) -> None:
        self._database = database
        self._clock = clock
        self._sealing = sealing
        self._team_id = installation_team_id

    async def page(self, principal: Principal, wanted: Wanted, *, cursor: str | None, limit: int) -> RecordPage:
        """Raises ``Forbidden``, ``Invalid``. The ``team_id`` of ``wanted`` is set here."""
        self._require(principal)
        if principal.team_id != self._team_id:
            wanted = msgspec.structs.replace(wanted, team_id=principal.team_id)
        before = _before(cursor)
        async with self._database.reading() as tx:
            found = await store.page(tx, wanted, before=before, limit=_checked(limit) + 1)
        shown = found[:limit]
        return RecordPage(shown, str(shown[-1].sequence) if len(found) > limit else None)

    async def checkpoints(self, principal: Principal, *, cursor: str | None, limit: int) -> CheckpointPage:
        """Raises ``Forbidden``, ``Invalid``."""
        self._require_all(principal)
        before = _before(cursor)
        async with self._database.reading() as tx:
            found = await store.checkpoints_before(tx, before=before, limit=_checked(limit) + 1)
        shown = found[:limit]
        return CheckpointPage(shown, str(shown[-1].sequence) if len(found) > limit else None)

    async def keys(self, principal: Principal) -> list[PublicKey]:
        """The public halves of all keys that ever signed, the newest first. Raises ``Forbidden``."""
        self._require_all(principal)
        return await self._keys()

    async def export(
        self, principal: Principal, *, first: int | None = None, last: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The file (docs/audit.md) of the records ``first`` (else the first that is kept) to ``last``, made while it is read;
        where it reaches to the end, a new checkpoint is put there first. Raises ``Forbidden``, ``Invalid``, before the first
        piece."""
        self._require_all(principal)
        if last is None:
            await self._sealing.seal()
        head, anchor = await self._head(), await self._anchor()
        pruned = 0 if anchor is None else anchor.sequence
        first = pruned + 1 if first is None else first
        up_to = head.sequence if last is None else min(last, head.sequence)
        if 1 <= first <= pruned:
            raise Invalid(
                f"Records up to {pruned} were pruned. The chain begins with {pruned + 1}.",
                flaws=[Flaw("from", f"must be at least {pruned + 1}")],
            )
        if not 1 <= first <= up_to + 1:
            raise Invalid(
                f"There are no such records: the chain has {head.sequence}.",
                flaws=[Flaw("from", "must not be after the last record")],
            )
        return self.lines(head.chain, first=first, last=up_to)

    async def lines(self, chain: str, *, first: int, last: int) -> AsyncGenerator[bytes, None]:
        """The file's pieces. Raises :class:`ChainBroken` where the record before ``first`` is not there."""
        anchor = await self._anchor()
        if anchor is not None and anchor.sequence != first - 1:
            anchor = None
        async with self._database.reading() as tx:
            previous = genesis(chain) if first == 1 else await store.hash_of(tx, first - 1)
        if anchor is not None:
            previous = anchor.hash
        if previous is None:
            raise ChainBroken(f"Record {first - 1} is missing in the database.", sequence=first - 1)
        async with self._database.transaction() as tx:
            # Also makes the key where nothing was ever signed: the file's head must have it.
            key = await self._sealing.key(tx)
        writing = Writing(chain=chain, start=Place(first - 1, previous))
        yield writing.head(await self._keys(), anchor)
        done = first - 1
        while done < last:
            records, checkpoints = await self._some(done, last)
            await self._require_unpruned(done, records[0].sequence if records else None)
            if not records:
                break
            yield await asyncio.to_thread(writing.body, records, checkpoints)
            done = records[-1].sequence
        yield writing.end(key, self._clock.now())

    async def verify(self, principal: Principal) -> Report:
        """Go along the chain in the database, all of it. Raises ``Forbidden``; what is wrong stands in the report."""
        self._require_all(principal)
        anchor = await self._anchor()
        while True:
            report = await self._verified(anchor)
            now = await self._anchor()
            if report.is_good or now == anchor:
                return report
            # What was not found may have been pruned meanwhile.
            anchor = now

    async def require_anchor(self, anchor: Anchor) -> None:
        """Raises :class:`ChainBroken` where nobody who has the signing key said so."""
        keys = {key.id: key for key in await self._keys()}
        Walk(chain=anchor.chain, start=Place(anchor.sequence, anchor.hash), keys=keys, anchor=anchor)

    async def require_good(self, *, up_to: Checkpoint) -> None:
        """Raises :class:`ChainBroken` where the chain is not good from where it begins to this checkpoint."""
        anchor = await self._anchor()
        start = Place(0, genesis(up_to.chain)) if anchor is None else Place(anchor.sequence, anchor.hash)
        keys = {key.id: key for key in await self._keys()}
        walk = Walk(chain=up_to.chain, start=start, keys=keys, anchor=anchor, known=[up_to])
        await self._go(walk, up_to.sequence)
        walk.end()

    async def _verified(self, anchor: Anchor | None) -> Report:
        head = await self._head()
        keys = {key.id: key for key in await self._keys()}
        start = Place(0, genesis(head.chain)) if anchor is None else Place(anchor.sequence, anchor.hash)
        walk: Walk | None = None
        fault: ChainBroken | None = None
        try:
            walk = Walk(chain=head.chain, start=start, keys=keys, anchor=anchor)
            await self._walk(walk, head)
        except ChainBroken as broken:
            fault = broken
        return Report(
            chain=head.chain,
            first=start.sequence + 1,
            pruned_at=anchor.time if anchor else None,
            last=walk.place.sequence if walk else 0,
            records=walk.records if walk else 0,
            checkpoints=walk.checkpoints if walk else 0,
            unsealed=walk.unsealed if walk else 0,
            keys=tuple(sorted(keys)),
            sequence=fault.sequence if fault else None,
            why=fault.detail if fault else None,
        )

    async def _go(self, walk: Walk, last: int) -> None:
        while walk.place.sequence < last:
            after = walk.place.sequence
            try:
                records, checkpoints = await self._some(after, last)
                await asyncio.to_thread(_step, walk, records, checkpoints)
            except (ValueError, TypeError, OverflowError, msgspec.DecodeError) as error:
                # A value that no record of ours can hold.
                raise ChainBroken(
                    f"Record {walk.place.sequence + 1} or one of the {_AT_ONCE} after {after} was changed: {error}.",
                    sequence=walk.place.sequence + 1,
                ) from error
            if not records:
                missing = walk.place.sequence + 1
                raise ChainBroken(
                    f"Record {missing} is missing: the head says that there are {last}.", sequence=missing
                )

    async def _walk(self, walk: Walk, head: Head) -> None:
        await self._go(walk, head.sequence)
        if walk.place.hash != head.hash:
            raise ChainBroken(
                f"The head was changed: it does not know record {head.sequence} as it is.", sequence=head.sequence
            )
        async with self._database.reading() as tx:
            last = await store.last_sequence(tx)
            now = await store.head(tx)
            behind = await store.checkpoints_before(tx, before=None, limit=1)
        # Others may append meanwhile: the head moves with its records, in one transaction.
        if now is None or now.sequence < max(last, head.sequence):
            raise ChainBroken(
                f"Record {last} was added past the head, or the head was set back.", sequence=head.sequence + 1
            )
        if now.sealed_sequence and (not behind or behind[0].sequence != now.sealed_sequence):
            raise ChainBroken(
                f"The checkpoint of record {now.sealed_sequence} is missing.", sequence=now.sealed_sequence
            )

    async def _some(self, after: int, up_to: int) -> tuple[list[Record], list[Checkpoint]]:
        async with self._database.reading() as tx:
            records = await store.records(tx, after=after, up_to=up_to, limit=_AT_ONCE)
            end = records[-1].sequence if records else after
            return records, await store.checkpoints(tx, after=after, up_to=end, limit=_AT_ONCE)

    async def _head(self) -> Head:
        async with self._database.reading() as tx:
            found = await store.head(tx)
        if found is None:
            # Nothing was ever recorded. An empty chain is a chain.
            async with self._database.transaction() as tx:
                found = await self._sealing.lock(tx)
        return found

    async def _anchor(self) -> Anchor | None:
        async with self._database.reading() as tx:
            return await store.anchor(tx)

    async def _require_unpruned(self, done: int, found: int | None) -> None:
        """A gap that pruning made under a reader is no gap in the chain."""
        if found == done + 1:
            return
        anchor = await self._anchor()
        if anchor is not None and anchor.sequence > done:
            raise ChainBroken(
                f"Records up to {anchor.sequence} were pruned meanwhile: export again.", sequence=done + 1
            )

    async def _keys(self) -> list[PublicKey]:
        async with self._database.reading() as tx:
            return [key.public for key in await store.keys(tx)]

    def _require(self, principal: Principal) -> None:
        if READ not in principal.permissions:
            raise Forbidden(f"{principal.name!r} lacks the permission {READ!r}: ask an admin of the team for it.")

    def _require_all(self, principal: Principal) -> None:
        self._require(principal)
        if principal.team_id != self._team_id:
            raise Forbidden("The chain tells of all teams: it is for those of the installation's own team.")


def _step(walk: Walk, records: Sequence[Record], checkpoints: Sequence[Checkpoint]) -> None:
    of = {checkpoint.sequence: checkpoint for checkpoint in checkpoints}
    for record in records:
        walk.record(record.sequence, canonical(document(record.sequence, record.entry)), record.hash)
        checkpoint = of.get(record.sequence)
        if checkpoint is not None:
            walk.checkpoint(checkpoint)


def _checked(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(f"limit must be from 1 to {MAX_PAGE}.", flaws=[Flaw("limit", f"must be from 1 to {MAX_PAGE}")])
    return limit


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) >= _MAX_CURSOR_CHARS:
        raise Invalid("The cursor is none that this list gave.", flaws=[Flaw("cursor", "is not known")])
    return int(cursor)
