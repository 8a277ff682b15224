"""Copies of files on other elements: made, verified, and kept saying what their original says."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import structlog

from samovar.domains.files.model.records import CopyState, FileEvent, FileHappened, StoredFile
from samovar.domains.files.service.memory import FileMemory
from samovar.domains.files.service.projecting import Projector
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.telling import Teller
from samovar.domains.files.store import collecting, rows
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import (
    Attributes,
    ContentDiffers,
    DamagedFile,
    Draft,
    ElementUnavailable,
    FileNotThere,
    ModeRefused,
    StorageElement,
)


class Copier:
    """Its steps may be repeated: each looks at what stands first."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        projector: Projector,
        memory: FileMemory,
        teller: Teller,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._projector = projector
        self._memory = memory
        self._teller = teller
        self._clock = clock
        self._log = structlog.get_logger("samovar.files")

    async def stored(self, team_id: str, file_id: str) -> StoredFile | None:
        """A file by its row."""
        async with self._database.reading() as tx:
            return await rows.one(tx, team_id, file_id)

    async def write(
        self, file: StoredFile, attributes: Attributes, target_id: str, *, replica_of: str | None
    ) -> Attributes:
        """The content and ``attributes`` of a file on one more element, from the first copy that gives it whole, verified there,
        with its row. Raises ``ElementUnavailable``, ``ElementFull``, ``ModeRefused``, ``DamagedFile``, ``Unavailable``."""
        target = self._registry.serving(target_id)
        draft = _draft(attributes, replica_of=replica_of)
        refusal: SamovarError = DamagedFile(f"No good copy of the file {attributes.file_id} is there.")
        for copy in file.copies:
            if copy.state is not CopyState.GOOD or copy.element_id == target_id:
                continue
            try:
                async with aclosing(self._registry.serving(copy.element_id).read(copy.path)) as content:
                    made = await target.write(draft, content)
                return await self._settled(target, made)
            except (ContentDiffers, DamagedFile, FileNotThere, ElementUnavailable, ModeRefused) as error:
                refusal = error
        raise refusal

    async def write_from(
        self, content: AsyncIterator[bytes], attributes: Attributes, target_id: str, *, replica_of: str | None
    ) -> Attributes:
        """The same of a ``content`` that the caller found. Raises ``ContentDiffers`` too, and what ``content`` does."""
        target = self._registry.serving(target_id)
        return await self._settled(target, await target.write(_draft(attributes, replica_of=replica_of), content))

    async def _settled(self, target: StorageElement, made: Attributes) -> Attributes:
        wrong = await target.verify(made.path)
        if wrong is not None:
            await target.quarantine(made.path, reason=wrong)
            raise DamagedFile(f"What was copied to {target.element_id} is not what was read: {wrong}")
        await self.project(made)
        async with self._database.transaction() as tx:
            await collecting.stays(tx, made.file_id, made.storage_element_id)
        return made

    async def align(self, element: StorageElement, stands: Attributes, wanted: Attributes) -> Attributes:
        """What stands beside a copy says what ``wanted`` says, at its revision or beyond. Step by step, for an element takes one
        revision at a time."""
        while stands.revision < wanted.revision or stands.replica_of != wanted.replica_of:
            stands = await element.amend(
                msgspec.structs.replace(
                    wanted,
                    path=stands.path,
                    storage_element_id=stands.storage_element_id,
                    revision=stands.revision + 1,
                )
            )
        return stands

    async def project(self, attributes: Attributes) -> None:
        """A row for what an element has committed; where the database is away, it is written later."""
        try:
            await self._projector.project(attributes)
        except Unavailable as error:
            self._log.warning("a copy waits for its row", file_id=attributes.file_id, reason=error.detail)

    async def refresh(self, team_id: str, file_id: str) -> StoredFile | None:
        """What is remembered of a file, here and elsewhere, ends; how it stands now."""
        stands = await self.stored(team_id, file_id)
        self._memory.drop(team_id, file_id)
        # As if it were gone: copies may have changed without a new revision.
        event = FileEvent(
            happened=FileHappened.DELETED, team_id=team_id, file_id=file_id, revision=0, at=self._clock.now()
        )
        await self._teller.tell_at_once(stands, event)
        return stands


def _draft(attributes: Attributes, *, replica_of: str | None) -> Draft:
    return Draft(
        file_id=attributes.file_id,
        path=attributes.path,
        filename=attributes.filename,
        content_type=attributes.content_type,
        team_id=attributes.team_id,
        owner=attributes.owner,
        created_at=attributes.created_at,
        retention=attributes.retention,
        tags=attributes.tags,
        custom=attributes.custom,
        provenance=attributes.provenance,
        replica_of=replica_of,
        replicas=attributes.replicas,
        revision=attributes.revision,
        expected_checksum=attributes.checksum,
        expected_bytes=attributes.size_bytes,
    )
