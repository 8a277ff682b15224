"""Everything on an element read again and again, slowly: what is damaged is set aside and made anew from a replica.

A round goes on where it was left. Nothing is ever deleted. What cannot be repaired stays set aside, and its row says so.
"""

from collections import Counter
from typing import Final

import msgspec

from samovar.domains.files.model.records import CopyState
from samovar.domains.files.model.rounds import (
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
    with_met,
)
from samovar.domains.files.service.care.copying import Copier
from samovar.domains.files.service.care.replicas import FileReplicas
from samovar.domains.files.service.care.rounds import JOB_OF, ElementRounds, in_batches, is_gone, paced
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.store import rebuilding
from samovar.domains.files.store.rebuilding import KnownCopy
from samovar.domains.identity.model import DEFAULT_TEAM_ID
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import (
    Attributes,
    DamagedFile,
    ElementUnavailable,
    FileNotThere,
    Found,
    ModeRefused,
    StorageElement,
)
from samovar.ports.jobs import Jobs

SCRUB_ALL_JOB: Final = "files-scrub-all"

_BATCH: Final = 32
_PAGE: Final = 500


class Scrubber:
    """``read_bytes_per_s`` bounds what is read of contents. ``read_bytes`` and ``findings`` are this process's, for metrics."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        element_rounds: ElementRounds,
        copier: Copier,
        replicas: FileReplicas,
        jobs: Jobs,
        clock: Clock,
        read_bytes_per_s: float,
    ) -> None:
        self._database = database
        self._registry = registry
        self._rounds = element_rounds
        self._copier = copier
        self._replicas = replicas
        self._jobs = jobs
        self._clock = clock
        self._read_bytes_per_s = read_bytes_per_s
        self.read_bytes = 0
        self.findings: Counter[tuple[Fault, Outcome]] = Counter()

    async def order_all(self) -> None:
        """A round over each element, as a job of its own."""
        async with self._database.transaction() as tx:
            for element_id in sorted(self._registry.elements):
                payload = {"element_id": element_id}
                await self._jobs.enqueue(tx, JOB_OF[RoundKind.SCRUB], payload, team_id=DEFAULT_TEAM_ID, key=element_id)
        await self._jobs.wake()

    async def run(self, element_id: str) -> Round:
        """A round, from where the last one was left. Raises ``ElementUnknown``, ``ElementUnavailable``, ``Unavailable``."""
        self._registry.registered(element_id)
        if self._registry.is_lost(element_id):
            return await self._give_up(element_id)
        element = self._registry.serving(element_id)
        one = await self._rounds.last(element_id, RoundKind.SCRUB)
        if one is None or one.finished_at is not None:
            one = begun(element_id, RoundKind.SCRUB, self._clock.now())
        async for batch in in_batches(element, after=one.cursor, size=_BATCH):
            for found in batch:
                one = await self._look(element, one, found)
            now = self._clock.now()
            seen = [found.attributes.file_id for found in batch if found.attributes is not None]
            async with self._database.transaction() as tx:
                await rebuilding.checked(tx, element_id, seen, at=now)
            report = with_met(one.report, things=len(batch))
            one = msgspec.structs.replace(one, cursor=batch[-1].path, report=report, updated_at=now)
            await self._rounds.keep(one)
        one = await self._look_for_missing(element, one)
        now = self._clock.now()
        one = msgspec.structs.replace(one, updated_at=now, finished_at=now)
        await self._rounds.keep(one)
        return one

    async def _give_up(self, element_id: str) -> Round:
        """All that stood on an element that does not come back is made anew elsewhere, where there is another copy."""
        one, after = begun(element_id, RoundKind.SCRUB, self._clock.now()), ""
        while True:
            async with self._database.reading() as tx:
                page = await rebuilding.on_element(tx, element_id, after=after, limit=_PAGE)
            for copy in page:
                one = await self._lost(element_id, one, copy)
            now, is_last = self._clock.now(), len(page) < _PAGE
            report = with_met(one.report, things=len(page))
            one = msgspec.structs.replace(one, report=report, updated_at=now, finished_at=now if is_last else None)
            await self._rounds.keep(one)
            if is_last:
                return one
            after = page[-1].file_id

    async def _lost(self, element_id: str, one: Round, copy: KnownCopy) -> Round:
        detail = f"It stood on {element_id}, which is lost."
        finding = reported(Fault.FILE_MISSING, path=copy.path, file_id=copy.file_id, detail=detail)
        if copy.state is CopyState.GOOD:
            async with self._database.transaction() as tx:
                await rebuilding.set_state(tx, copy.file_id, element_id, CopyState.MISSING)
        return self._noted(one, await self._repaired(finding, copy))

    async def _look(self, element: StorageElement, one: Round, found: Found) -> Round:
        finding = fault_of_thing(found)
        if finding is not None and finding.fault is Fault.ORPHAN:
            return self._noted(one, finding)
        if finding is None:
            one, finding = await self._read(element, one, found)
        if finding is not None:
            return await self._set_aside(element, one, finding)
        return one if found.attributes is None else await self._compare(element, one, found.attributes)

    async def _read(self, element: StorageElement, one: Round, found: Found) -> tuple[Round, Finding | None]:
        """The content, at the bounded rate. A fault is looked at twice."""
        size_bytes, began = found.content_bytes or 0, self._clock.monotonic()
        try:
            wrong = await element.verify(found.path) and await element.verify(found.path)
        except (FileNotThere, ModeRefused):
            # It was deleted meanwhile, or is cold.
            return one, None
        await paced(self._clock, began, size_bytes, self._read_bytes_per_s)
        self.read_bytes += size_bytes
        one = msgspec.structs.replace(one, report=with_met(one.report, things=0, read_bytes=size_bytes))
        if wrong is None:
            return one, None
        file_id = None if found.attributes is None else found.attributes.file_id
        return one, reported(Fault.CONTENT_DIFFERS, path=found.path, file_id=file_id, detail=wrong)

    async def _set_aside(self, element: StorageElement, one: Round, finding: Finding) -> Round:
        """Into quarantine, and then from a replica again."""
        try:
            await element.quarantine(finding.path, reason=finding.detail)
        except FileNotThere:
            return one
        except ModeRefused:
            return self._noted(one, finding)
        async with self._database.transaction() as tx:
            copy = await rebuilding.at_path(tx, element.element_id, finding.path)
            if copy is not None:
                await rebuilding.set_state(tx, copy.file_id, element.element_id, CopyState.DAMAGED)
        finding = msgspec.structs.replace(finding, outcome=Outcome.QUARANTINED)
        return self._noted(one, finding if copy is None else await self._repaired(finding, copy))

    async def _repaired(self, finding: Finding, copy: KnownCopy) -> Finding:
        """The finding, and what became of its file."""
        file = await self._replicas.tend(copy.team_id, copy.file_id)
        is_whole = file is not None and not self._replicas.needs(file)
        outcome = Outcome.REPAIRED if is_whole else finding.outcome
        return msgspec.structs.replace(finding, outcome=outcome, file_id=copy.file_id)

    async def _compare(self, element: StorageElement, one: Round, told: Attributes) -> Round:
        """A whole file with its row."""
        file = await self._copier.stored(told.team_id, told.file_id)
        if told.replica_of is not None:
            return await self._compare_replica(element, one, told, None if file is None else file.attributes)
        fault = fault_of_row(None if file is None else file.attributes, told)
        if fault is not None:
            return await self._mend_row(element, one, told)
        if file is not None and self._replicas.needs(file):
            await self._replicas.tend(told.team_id, told.file_id)
        return one

    async def _mend_row(self, element: StorageElement, one: Round, told: Attributes) -> Round:
        try:
            # It may have been changed, or taken away, between the two looks.
            told = await element.attributes(told.path)
        except (FileNotThere, DamagedFile):
            return one
        await self._copier.project(told)
        file = await self._copier.refresh(told.team_id, told.file_id)
        fault = fault_of_row(None if file is None else file.attributes, told)
        detail = (
            "The row was behind the attributes."
            if fault is None
            else "The row says something else; rebuild it in full."
        )
        outcome = Outcome.MENDED if fault is None else Outcome.REPORTED
        finding = reported(fault or Fault.ROW_DIFFERS, path=told.path, file_id=told.file_id, detail=detail)
        return self._noted(one, msgspec.structs.replace(finding, outcome=outcome))

    async def _compare_replica(
        self, element: StorageElement, one: Round, told: Attributes, row: Attributes | None
    ) -> Round:
        if told.retention.expires_at is not None:
            # Left behind by a file that moved, or about to go.
            return one
        if row is None:
            return await self._adopt(element, one, told)
        if told.revision >= row.revision:
            return one
        await self._replicas.tend(told.team_id, told.file_id)
        finding = reported(
            Fault.OUTDATED_REPLICA, path=told.path, file_id=told.file_id, detail="The original had been changed since."
        )
        return self._noted(one, msgspec.structs.replace(finding, outcome=Outcome.MENDED))

    async def _adopt(self, element: StorageElement, one: Round, told: Attributes) -> Round:
        """A replica of what is nowhere becomes the original."""
        original_id = told.replica_of or ""
        try:
            is_lost = self._registry.is_lost(original_id)
            if not is_lost and not await is_gone(self._registry.serving(original_id), told.path):
                return one
        except ElementUnavailable:
            return one
        ahead = msgspec.structs.replace(told, replica_of=None, revision=told.revision + 1)
        try:
            await self._copier.project(await self._copier.align(element, told, ahead))
        except ModeRefused as error:
            return self._noted(
                one, reported(Fault.ROW_MISSING, path=told.path, file_id=told.file_id, detail=error.detail)
            )
        finding = reported(
            Fault.ROW_MISSING, path=told.path, file_id=told.file_id, detail="It is the only copy, and the original now."
        )
        return self._noted(one, msgspec.structs.replace(finding, outcome=Outcome.REPAIRED))

    async def _look_for_missing(self, element: StorageElement, one: Round) -> Round:
        """Copies that the rows know of and the round has not met."""
        after = ""
        while True:
            async with self._database.reading() as tx:
                page = await rebuilding.unchecked(
                    tx, element.element_id, since=one.started_at, after=after, limit=_PAGE
                )
            for copy in page:
                if copy.state is CopyState.GOOD and await is_gone(element, copy.path):
                    finding = not_there(path=copy.path, file_id=copy.file_id)
                    async with self._database.transaction() as tx:
                        await rebuilding.set_state(tx, copy.file_id, element.element_id, CopyState.MISSING)
                    one = self._noted(one, await self._repaired(finding, copy))
            if len(page) < _PAGE:
                return one
            after = page[-1].file_id

    def _noted(self, one: Round, finding: Finding) -> Round:
        self.findings[finding.fault, finding.outcome] += 1
        return self._rounds.noted(one, finding)
