"""From what an element has committed to the row, and then the element's acknowledgement.

All that arrive while one transaction runs go into the next one together: that costs the database a fraction of one each.
A row that cannot be written now is written later; the file stands either way.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from samovar.domains.files.model.records import FileEvent, FileHappened, stored_file
from samovar.domains.files.service.news import TOLD_BY_ITSELF, Fresh, News
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.store import outbox, owners, projection, rows, transactions
from samovar.kernel.batches import Batches
from samovar.kernel.errors import SamovarError
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, FileNotThere, StorageElement
from samovar.ports.scripts import Script

_BATCH: Final = 200
_AGAIN_EVERY_S: Final = 30.0


class _Told(NamedTuple):
    attributes: Attributes
    hold_id: str | None
    happened: FileHappened


class _Written(NamedTuple):
    gone: set[str]
    fresh: list[Fresh]
    has_more: bool


class Projector:
    """One for a process."""

    def __init__(self, *, database: Database, registry: Registry, clock: Clock, news: News) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._news = news
        self._batches = Batches(self._settle, then=self._acknowledge, name="files-project")
        self._log = structlog.get_logger("samovar.files")

    async def project(
        self, attributes: Attributes, *, hold_id: str | None = None, happened: FileHappened = FileHappened.STORED
    ) -> bool:
        """Bring the row up to what was committed; ``hold_id`` is released with it. Whether the row stands: that of what was
        amended may be gone with its file. Raises ``Unavailable`` where the database does not take it now: the file stands, and
        :meth:`catch_up` makes up for it."""
        return await self._batches.add(_Told(attributes, hold_id, happened))

    async def catch_up(self) -> int:
        """Write the rows of all that elements have committed and nobody acknowledged; how many there were. An element that is
        away is passed over."""
        count = 0
        for element in self._registry.started():
            try:
                count += await self._catch_up(element)
            except SamovarError as error:
                self._log.warning("rows are behind their files", element=element.element_id, reason=error.detail)
        return count

    async def make_up(self, element: StorageElement, attributes: Attributes, *, hold_id: str | None) -> None:
        """Take one file the rest of the way, as whoever wrote it would have. Raises ``ElementUnavailable``, ``Unavailable``."""
        await self._made_up(element, [attributes], hold_ids=() if hold_id is None else (hold_id,))

    async def run(self) -> None:
        """Catch up again and again, until cancelled."""
        while True:
            await asyncio.sleep(_AGAIN_EVERY_S)
            await self.catch_up()

    async def close(self) -> None:
        """Let the transaction under way end."""
        await self._batches.close()

    async def _catch_up(self, element: StorageElement) -> int:
        count, batch = 0, list[Attributes]()
        async for attributes in element.unacknowledged():
            batch.append(attributes)
            if len(batch) == _BATCH:
                count += await self._made_up(element, batch)
                batch = []
        return count + await self._made_up(element, batch)

    async def _made_up(self, element: StorageElement, batch: list[Attributes], *, hold_ids: Sequence[str] = ()) -> int:
        if not batch:
            return 0
        await self._write(batch, hold_ids=hold_ids, happened={})
        for attributes in batch:
            # It may have been deleted between the element's word and our row.
            try:
                await element.attributes(attributes.path)
            except FileNotThere:
                async with self._database.transaction() as tx:
                    team_id, file_id = attributes.team_id, attributes.file_id
                    is_forgotten = attributes.replica_of is None and await rows.forget(tx, team_id, file_id) is not None
                    if not is_forgotten:
                        await rows.forget_copies(tx, team_id, file_id, [element.element_id])
        await element.acknowledge([(attributes.file_id, attributes.revision) for attributes in batch])
        return len(batch)

    async def _settle(self, some: Sequence[_Told]) -> list[bool]:
        gone = await self._write(
            [one.attributes for one in some if one.happened is not FileHappened.AMENDED],
            amended=[one.attributes for one in some if one.happened is FileHappened.AMENDED],
            hold_ids=[one.hold_id for one in some if one.hold_id is not None],
            happened={(one.attributes.file_id, one.attributes.revision): one.happened for one in some},
        )
        return [one.attributes.file_id not in gone for one in some]

    async def _write(
        self,
        told: list[Attributes],
        *,
        amended: Sequence[Attributes] = (),
        hold_ids: Sequence[str],
        happened: Mapping[tuple[str, int], FileHappened],
    ) -> set[str]:
        """Which of the ``amended`` have no row any more."""
        now = self._clock.now()

        def script() -> Script[_Written]:
            found = yield from projection.project(told, amended=amended)
            gone = yield from projection.absent(amended)
            news = [*found.new, *found.changed]
            new = [one for one in news if one.revision == 1]
            stored = {one.file_id: _event(one, happened, now) for one in new}
            # This process tells of them without reading them again; should it die first, another does so then.
            ids = yield from outbox.add([*stored.values()], not_before=now + TOLD_BY_ITSELF)
            others = yield from outbox.add([_event(one, happened, now) for one in news if one.revision != 1])
            # Whoever is the first to know of a file gives back what it held: who led it may be dead.
            held = yield from transactions.done(told, now=now)
            theirs = [(one.team_id, one.owner, one.size_bytes) for one in found.new]
            yield from owners.count(theirs, release={*hold_ids, *held})
            fresh = [Fresh(ids[one.file_id], stored[one.file_id], stored_file(one)) for one in new]
            return _Written(gone, fresh, has_more=bool(others))

        written = await self._database.run(script())
        self._news.keep(written.fresh)
        if written.has_more:
            self._news.written()
        return written.gone

    async def _acknowledge(self, some: Sequence[_Told]) -> None:
        by_element: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for one in [told.attributes for told in some]:
            by_element[one.storage_element_id].append((one.file_id, one.revision))
        for element_id, rows_told in by_element.items():
            try:
                await self._registry.serving(element_id).acknowledge(rows_told)
            except SamovarError as error:
                # It tells of them again, and the rows stand already.
                self._log.warning("a storage element was not told of its rows", element=element_id, reason=error.detail)


def _event(one: Attributes, happened: Mapping[tuple[str, int], FileHappened], now: datetime) -> FileEvent:
    usual = FileHappened.STORED if one.revision == 1 else FileHappened.AMENDED
    return FileEvent(
        happened=happened.get((one.file_id, one.revision), usual),
        team_id=one.team_id,
        file_id=one.file_id,
        revision=one.revision,
        at=now,
        details={"owner": one.owner, "size_bytes": one.size_bytes, "element_id": one.storage_element_id},
    )
