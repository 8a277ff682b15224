"""Rows made anew from what stands on an element. Open uploads, links and news that waits to be told are left as they are."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from samovar.domains.files.model.records import CopyState, FileEvent, FileHappened, StoredFile
from samovar.domains.files.model.rounds import (
    Extent,
    Fault,
    Finding,
    Outcome,
    Round,
    RoundKind,
    begun,
    fault_of_row,
    fault_of_thing,
    not_there,
    reported,
    with_mended,
    with_met,
)
from samovar.domains.files.service.care.rounds import ElementRounds, is_gone, read_ahead
from samovar.domains.files.service.changes import FileChanges
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.telling import Teller
from samovar.domains.files.store import rebuilding, rounds, rows
from samovar.domains.files.store.rebuilding import KnownCopy
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, DamagedFile, FileNotThere, Found, StorageElement

_BATCH: Final = 500
_AT_ONCE: Final = 32
_SKEW: Final = timedelta(hours=1)
"""What the clocks of machines that took files in may differ by, and a good deal more."""


class Rebuilder:
    """Makes rows from attributes, an element at a time. It may be done again at any moment, and beside everything else."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        element_rounds: ElementRounds,
        changes: FileChanges,
        teller: Teller,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._rounds = element_rounds
        self._changes = changes
        self._teller = teller
        self._clock = clock

    async def run(self, element_id: str, extent: Extent) -> Round:
        """Rows for all that stands there, and none for what does not. A file whose content cannot be read keeps its row. While it
        runs some 150 bytes of memory are taken for each file. Raises ``ElementUnknown``, ``ElementUnavailable``,
        ``Unavailable``."""
        self._registry.registered(element_id)
        element = self._registry.serving(element_id)
        one = begun(element_id, RoundKind.REBUILD, self._clock.now())
        async with self._database.reading() as tx:
            had_rows = bool(await rebuilding.on_element(tx, element_id, after="", limit=1))
        met: set[str] = set()
        async with read_ahead(element, size=_BATCH) as batches:
            async for batch in batches:
                met.update(found.attributes.file_id for found in batch if found.attributes is not None)
                one = await self._take(element, one, batch, extent, had_rows=had_rows)
        if met:
            one = await self._remove(element, one, met)
        elif had_rows:
            detail = "The element is empty, and the rows know of files on it: nothing was removed. Is its disk mounted?"
            finding = reported(Fault.FILE_MISSING, path="", file_id=None, detail=detail)
            one = self._rounds.noted(one, finding)
        async with self._database.transaction() as tx:
            await rebuilding.recount(tx)
            one = msgspec.structs.replace(one, updated_at=self._clock.now(), finished_at=self._clock.now())
            await rounds.keep(tx, one)
        return one

    async def _take(
        self, element: StorageElement, one: Round, batch: Sequence[Found], extent: Extent, *, had_rows: bool
    ) -> Round:
        """Rows for what was met."""
        for found in batch:
            fault = fault_of_thing(found)
            if fault is not None:
                one = self._rounds.noted(one, fault)
        told = {found.attributes.file_id: found.attributes for found in batch if found.attributes is not None}
        one = msgspec.structs.replace(
            one,
            cursor=batch[-1].path,
            report=with_met(one.report, things=len(batch)),
            updated_at=self._clock.now(),
        )
        async with self._database.transaction() as tx:
            known = await rebuilding.known(tx, [*told])
            faults = {file_id: fault_of_row(known.get(file_id), attributes) for file_id, attributes in told.items()}
            added = [told[file_id] for file_id, fault in faults.items() if fault is Fault.ROW_MISSING]
            one = msgspec.structs.replace(one, report=with_mended(one.report, Fault.ROW_MISSING, count=len(added)))
            await rebuilding.add(tx, added, [*told.values()])
            for found in batch:
                if found.attributes is not None and found.content_bytes is None:
                    await rebuilding.set_state(tx, found.attributes.file_id, element.element_id, CopyState.MISSING)
            await rounds.keep(tx, one)
        differing = [
            known[file_id]
            for file_id, fault in faults.items()
            if fault is Fault.ROW_DIFFERS
            and (extent is Extent.FULL or told[file_id].revision > known[file_id].revision)
        ]
        for row in differing:
            one = await self._correct(element, one, row, told[row.file_id].path)
        # Who deletes a file while we look at it takes its row away before we write it, if it had one.
        recent = one.started_at - _SKEW
        doubtful = [attributes for attributes in added if had_rows or attributes.created_at >= recent]
        await self._forget_gone(element, doubtful)
        return one

    async def _correct(self, element: StorageElement, one: Round, row: Attributes, path: str) -> Round:
        """A row that says something else than the attributes, asked of them once more."""
        try:
            told = await element.attributes(path)
        except (FileNotThere, DamagedFile):
            return one
        if fault_of_row(row, told) is None:
            return one
        async with self._database.transaction() as tx:
            if not await rebuilding.overwrite(tx, told, revision=row.revision):
                return one
            stands = await rows.one(tx, told.team_id, told.file_id)
        await self._drop_memory(stands, told)
        changed = [name for name in told.__struct_fields__ if getattr(told, name) != getattr(row, name)]
        detail = f"The row said something else: {', '.join(changed)}."
        finding = reported(Fault.ROW_DIFFERS, path=path, file_id=told.file_id, detail=detail)
        return self._rounds.noted(one, msgspec.structs.replace(finding, outcome=Outcome.MENDED))

    async def _drop_memory(self, stands: StoredFile | None, told: Attributes) -> None:
        # As if it were gone: what is remembered may be of the same revision.
        event = FileEvent(
            happened=FileHappened.DELETED,
            team_id=told.team_id,
            file_id=told.file_id,
            revision=told.revision,
            at=self._clock.now(),
        )
        await self._teller.tell_at_once(stands, event)

    async def _forget_gone(self, element: StorageElement, added: Sequence[Attributes]) -> None:
        for start in range(0, len(added), _AT_ONCE):
            some = added[start : start + _AT_ONCE]
            gone = await asyncio.gather(*[is_gone(element, one.path) for one in some])
            for attributes in [one for one, is_it in zip(some, gone, strict=True) if is_it]:
                await self._changes.forget(attributes)

    async def _remove(self, element: StorageElement, one: Round, met: set[str]) -> Round:
        """No rows for what is not there."""
        async for copy in self._rounds.missing(element, met):
            one = await self._removed(element, one, copy)
        after = -1
        while True:
            async with self._database.reading() as tx:
                page = await rebuilding.without_copies(tx, element.element_id, after=after, limit=_BATCH)
            for _, attributes in page:
                if await is_gone(element, attributes.path):
                    await self._changes.forget(attributes, because="missing")
                    one = self._rounds.noted(one, _gone(attributes.file_id, attributes.path, Outcome.REMOVED))
            if len(page) < _BATCH:
                return one
            after = page[-1][0]

    async def _removed(self, element: StorageElement, one: Round, copy: KnownCopy) -> Round:
        if copy.state is CopyState.DAMAGED:
            # It was set aside: the row is the mark of it.
            return one
        async with self._database.transaction() as tx:
            file = await rows.one(tx, copy.team_id, copy.file_id)
            others = [] if file is None else [other for other in file.copies if other.element_id != element.element_id]
            if not copy.is_original:
                await rows.forget_copies(tx, copy.team_id, copy.file_id, [element.element_id])
            elif any(other.state is CopyState.GOOD for other in others):
                await rebuilding.set_state(tx, copy.file_id, element.element_id, CopyState.MISSING)
                return self._rounds.noted(one, _gone(copy.file_id, copy.path, Outcome.REPORTED))
        if copy.is_original and file is not None:
            await self._changes.forget(file.attributes, because="missing")
        return self._rounds.noted(one, _gone(copy.file_id, copy.path, Outcome.REMOVED))


def _gone(file_id: str, path: str, outcome: Outcome) -> Finding:
    return msgspec.structs.replace(not_there(path=path, file_id=file_id), outcome=outcome)
