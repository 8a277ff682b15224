"""Looking whether an element and the rows agree. Changes nothing."""

from typing import Final

import msgspec

from samovar.domains.files.model.records import CopyState
from samovar.domains.files.model.rounds import (
    Fault,
    Round,
    RoundKind,
    begun,
    fault_of_row,
    fault_of_thing,
    not_there,
    reported,
    with_met,
)
from samovar.domains.files.service.care.rounds import ElementRounds, in_batches, paced
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.store import rebuilding
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, FileNotThere, Found, ModeRefused, StorageElement

_BATCH: Final = 500


class Checker:
    """``read_bytes_per_s`` bounds what is read of contents."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        element_rounds: ElementRounds,
        clock: Clock,
        read_bytes_per_s: float,
    ) -> None:
        self._database = database
        self._registry = registry
        self._rounds = element_rounds
        self._clock = clock
        self._read_bytes_per_s = read_bytes_per_s

    async def run(self, element_id: str, *, reads_contents: bool = False) -> Round:
        """Attributes without rows and rows without attributes, content that nobody knows, and sizes that differ; checksums too,
        where contents are read. Raises ``ElementUnknown``, ``ElementUnavailable``, ``Unavailable``."""
        self._registry.registered(element_id)
        element = self._registry.serving(element_id)
        one = begun(element_id, RoundKind.CHECK, self._clock.now())
        met: set[str] = set()
        async for batch in in_batches(element, after="", size=_BATCH):
            met.update(found.attributes.file_id for found in batch if found.attributes is not None)
            one = await self._look(element, one, batch)
            if reads_contents:
                one = await self._read(element, one, batch)
            one = msgspec.structs.replace(one, cursor=batch[-1].path, updated_at=self._clock.now())
            await self._rounds.keep(one)
        async for copy in self._rounds.missing(element, met):
            if copy.state is not CopyState.DAMAGED:
                one = self._rounds.noted(one, not_there(path=copy.path, file_id=copy.file_id))
        one = msgspec.structs.replace(one, updated_at=self._clock.now(), finished_at=self._clock.now())
        await self._rounds.keep(one)
        return one

    async def _look(self, element: StorageElement, one: Round, batch: list[Found]) -> Round:
        told = {found.attributes.file_id: found.attributes for found in batch if found.attributes is not None}
        async with self._database.reading() as tx:
            known = await rebuilding.known(tx, [*told])
        one = msgspec.structs.replace(one, report=with_met(one.report, things=len(batch)))
        for found in batch:
            if (fault := fault_of_thing(found)) is not None:
                one = self._rounds.noted(one, fault)
        for attributes in told.values():
            fault_of = fault_of_row(known.get(attributes.file_id), attributes)
            # It may have been changed, or taken away, between the two looks.
            if fault_of is not None and (fault_of := await self._again(element, attributes)) is not None:
                detail = "The row is not what the attributes say."
                finding = reported(fault_of, path=attributes.path, file_id=attributes.file_id, detail=detail)
                one = self._rounds.noted(one, finding)
        return one

    async def _again(self, element: StorageElement, attributes: Attributes) -> Fault | None:
        try:
            told = await element.attributes(attributes.path)
        except FileNotThere:
            return None
        async with self._database.reading() as tx:
            known = await rebuilding.known(tx, [told.file_id])
        return fault_of_row(known.get(told.file_id), told)

    async def _read(self, element: StorageElement, one: Round, batch: list[Found]) -> Round:
        for found in batch:
            if found.attributes is None or found.content_bytes != found.attributes.size_bytes:
                continue
            began = self._clock.monotonic()
            try:
                wrong = await element.verify(found.path)
            except FileNotThere:
                continue
            except ModeRefused:
                return one
            one = msgspec.structs.replace(one, report=with_met(one.report, things=0, read_bytes=found.content_bytes))
            if wrong is not None:
                file_id = found.attributes.file_id
                finding = reported(Fault.CONTENT_DIFFERS, path=found.path, file_id=file_id, detail=wrong)
                one = self._rounds.noted(one, finding)
            await paced(self._clock, began, found.content_bytes, self._read_bytes_per_s)
        return one
