"""Rows are believed for a day: then the attributes on the element are asked, before anybody is answered with the row.

What a scrub looked at counts, so where scrubs run every night hardly a reader waits for this. What is remembered in memory or
shared is not asked for here: it ends sooner by itself.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from samovar.domains.files.model.records import StoredFile, says_the_same
from samovar.domains.files.service.asking import Asking
from samovar.domains.files.service.projecting import Projector
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.store import rebuilding, rows
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import Attributes

BELIEVED: Final = timedelta(hours=24)
_WAIT_S: Final = 2.0
_AT_ONCE: Final = 64
_GATHER_S: Final = 0.5


class Confirming:
    """One for a process. ``wait_s`` is how long a reader waits at most for an element that is slow; then the row will do."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        projector: Projector,
        clock: Clock,
        wait_s: float = _WAIT_S,
    ) -> None:
        self._database = database
        self._registry = registry
        self._projector = projector
        self._clock = clock
        self._wait_s = wait_s
        self._asking: dict[str, Asking[StoredFile]] = {}
        self._confirmed: list[tuple[str, str]] = []
        self._writing: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("samovar.files")

    async def confirmed(self, file: StoredFile) -> StoredFile:
        """A file as its row has it, or, where that is a day old, as its element has it. One that is away, slow or damaged, or has
        lost the file, leaves the row as it is: that is for those who look after files."""
        if not self._is_due(file):
            return file
        file_id = file.attributes.file_id
        if file_id not in self._asking:
            if len(self._asking) >= _AT_ONCE:
                return file
            self._asking[file_id] = Asking(self._asked(file), over=lambda: self._asking.pop(file_id, None))
        return await self._asking[file_id].answer(self._wait_s) or file

    async def close(self) -> None:
        """Write down what was confirmed, and ask nobody any more."""
        for asking in [*self._asking.values()]:
            asking.cancel()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        await self._write()

    def _is_due(self, file: StoredFile) -> bool:
        original = file.attributes.storage_element_id
        looked = [
            copy.checked_at for copy in file.copies if copy.element_id == original and copy.checked_at is not None
        ]
        return self._clock.now() - max([file.attributes.created_at, *looked]) >= BELIEVED

    async def _asked(self, file: StoredFile) -> StoredFile:
        row = file.attributes
        try:
            told = await self._registry.serving(row.storage_element_id).attributes(row.path)
            if told.replica_of is not None:
                # It moved, and the row is behind.
                told = await self._registry.serving(told.replica_of).attributes(row.path)
            if told.replica_of is not None:
                return file
            now = file if says_the_same(row, told) else await self._corrected(file, told)
        except SamovarError as error:
            self._log.warning("a row is believed for longer", file_id=row.file_id, reason=error.detail)
            return file
        self._confirmed.append((now.attributes.storage_element_id, row.file_id))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_soon(), name="files-confirmed")
        return now

    async def _corrected(self, file: StoredFile, told: Attributes) -> StoredFile:
        """The attributes are right, whatever the row says."""
        row = file.attributes
        self._log.warning("a row said something else than the attributes", file_id=row.file_id, revision=told.revision)
        if told.revision > row.revision:
            await self._projector.project(told)
        elif told.storage_element_id == row.storage_element_id:
            async with self._database.transaction() as tx:
                await rebuilding.overwrite(tx, told, revision=row.revision)
        async with self._database.reading() as tx:
            return await rows.one(tx, row.team_id, row.file_id) or file

    async def _write_soon(self) -> None:
        """All that are confirmed in half a second go into one transaction: a reader waits for none."""
        try:
            while self._confirmed:
                await asyncio.sleep(_GATHER_S)
                await self._write()
        finally:
            self._writing = None

    async def _write(self) -> None:
        some, self._confirmed = self._confirmed, []
        by_element: dict[str, list[str]] = {}
        for element_id, file_id in sorted(set(some)):
            by_element.setdefault(element_id, []).append(file_id)
        if not by_element:
            return
        now = self._clock.now()
        try:
            async with self._database.transaction() as tx:
                for element_id, file_ids in by_element.items():
                    await rebuilding.checked(tx, element_id, file_ids, at=now)
        except Unavailable as error:
            # They are asked for once more, that is all.
            self._log.warning("confirmed rows are not noted", reason=error.detail)
