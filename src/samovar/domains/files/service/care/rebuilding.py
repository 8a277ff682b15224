"""Rows made anew from what stands on an element. Open uploads, links and news that waits to be told are left as they are."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

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
from samovar.domains.files.service.care.rounds import ElementRounds, in_batches, is_gone, read_ahead
from samovar.domains.files.service.changes import FileChanges
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.telling import Teller
from samovar.domains.files.store import rebuilding, rounds, rows
from samovar.domains.files.store.projection import new_rows
from samovar.domains.files.store.rebuilding import KnownCopy, SomethingStands
from samovar.kernel.tasks import ended
from samovar.ports.clock import Clock
from samovar.ports.database import Database, Tx
from samovar.ports.elements import Attributes, DamagedFile, FileNotThere, Found, StorageElement
from samovar.ports.scripts import Add

_BATCH: Final = 500
_AT_ONCE: Final = 32
_SKEW: Final = timedelta(hours=1)
"""What the clocks of machines that took files in may differ by, and a good deal more."""


@dataclass
class _Run:
    """A rebuild under way. ``had_rows``: some stood when it began. ``is_news``: none did of the last batch that was written, so
    none of the next is likely to."""

    element: StorageElement
    extent: Extent
    had_rows: bool
    is_news: bool


class _Batch(NamedTuple):
    """What was met, and its attributes by file id. ``rows``: made ahead of what is likely to be news."""

    found: list[Found]
    told: dict[str, Attributes]
    rows: list[Add]


class _Written(NamedTuple):
    """The round with what was ``added``, and the rows that are ``differing`` from what was told."""

    one: Round
    added: Sequence[Attributes]
    differing: Sequence[Attributes]


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
        run = _Run(element, extent, had_rows=had_rows, is_news=not had_rows)
        met: set[str] = set()
        async with read_ahead(_batches(run)) as batches:
            async for batch in batches:
                met.update(batch.told)
                one = await self._take(run, one, batch)
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

    async def _take(self, run: _Run, one: Round, batch: _Batch) -> Round:
        """Rows for what was met."""
        for found in batch.found:
            fault = fault_of_thing(found)
            if fault is not None:
                one = self._rounds.noted(one, fault)
        one = msgspec.structs.replace(
            one,
            cursor=batch.found[-1].path,
            report=with_met(one.report, things=len(batch.found)),
            updated_at=self._clock.now(),
        )
        written = await self._written_as_new(run, one, batch) or await self._written(run, one, batch)
        one = written.one
        for row in written.differing:
            told = batch.told[row.file_id]
            if run.extent is Extent.FULL or told.revision > row.revision:
                one = await self._correct(run.element, one, row, told.path)
        # Who deletes a file while we look at it takes its row away before we write it, if it had one.
        recent = one.started_at - _SKEW
        doubtful = [attributes for attributes in written.added if run.had_rows or attributes.created_at >= recent]
        await self._forget_gone(run.element, doubtful)
        return one

    async def _written_as_new(self, run: _Run, one: Round, batch: _Batch) -> _Written | None:
        """The rows that were made ahead, unread what stands there; ``None``, and nothing written, where something does."""
        if not batch.rows:
            return None
        added = [attributes for attributes in batch.told.values() if attributes.replica_of is None]
        try:
            async with self._database.visible() as tx:
                await rebuilding.add_new(tx, batch.rows)
                return await self._kept(tx, run, one, batch, added)
        except SomethingStands:
            # An upload beside us, or another file of the same number: what stands there is read first.
            run.is_news = False
            return None

    async def _written(self, run: _Run, one: Round, batch: _Batch) -> _Written:
        async with self._database.visible() as tx:
            known = await rebuilding.known(tx, [*batch.told])
            faults = {file_id: fault_of_row(known.get(file_id), told) for file_id, told in batch.told.items()}
            added = [batch.told[file_id] for file_id, fault in faults.items() if fault is Fault.ROW_MISSING]
            run.is_news = await rebuilding.add(tx, added, [*batch.told.values()])
            differing = [known[file_id] for file_id, fault in faults.items() if fault is Fault.ROW_DIFFERS]
            return await self._kept(tx, run, one, batch, added, differing)

    async def _kept(
        self,
        tx: Tx,
        run: _Run,
        one: Round,
        batch: _Batch,
        added: Sequence[Attributes],
        differing: Sequence[Attributes] = (),
    ) -> _Written:
        # With its rows, so that a round never says more than what was written.
        for found in batch.found:
            if found.attributes is not None and found.content_bytes is None:
                await rebuilding.set_state(tx, found.attributes.file_id, run.element.element_id, CopyState.MISSING)
        one = msgspec.structs.replace(one, report=with_mended(one.report, Fault.ROW_MISSING, count=len(added)))
        await rounds.keep(tx, one)
        return _Written(one, added, differing)

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


async def _batches(run: _Run) -> AsyncGenerator[_Batch, None]:
    """What stands there; the rows of what is news are made in a thread, beside the writing of those before."""
    async with aclosing(in_batches(run.element, after="", size=_BATCH)) as batches:
        async for found in batches:
            told = {one.attributes.file_id: one.attributes for one in found if one.attributes is not None}
            rows: list[Add] = []
            if run.is_news:
                rows = await ended(asyncio.get_running_loop().run_in_executor(None, new_rows, [*told.values()]))
            yield _Batch(found, told, rows)


def _gone(file_id: str, path: str, outcome: Outcome) -> Finding:
    return msgspec.structs.replace(not_there(path=path, file_id=file_id), outcome=outcome)
