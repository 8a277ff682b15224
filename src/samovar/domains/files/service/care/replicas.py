"""Permanent files on several elements at once: made after the upload, kept saying the same, made anew when one is lost."""

from typing import Final

import msgspec
import structlog

from samovar.domains.files.errors import ElementLost, NoElement, StorageFull
from samovar.domains.files.model.records import Copy, CopyState, FileEvent, FileHappened, StoredFile
from samovar.domains.files.service.care.copying import Copier
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.store import rebuilding, rows
from samovar.kernel.errors import SamovarError
from samovar.ports.database import Database
from samovar.ports.elements import (
    Attributes,
    DamagedFile,
    ElementFull,
    ElementUnavailable,
    FileNotThere,
    ModeRefused,
    RetentionKind,
)
from samovar.ports.jobs import Jobs

REPLICATE_JOB: Final = "files-replicate"

_REFUSALS: Final = (ElementFull, ElementUnavailable, ModeRefused, DamagedFile)


class FileReplicas:
    """``usual`` is on how many elements a permanent file stands that does not say."""

    def __init__(self, *, database: Database, registry: Registry, copier: Copier, jobs: Jobs, usual: int) -> None:
        self._database = database
        self._registry = registry
        self._copier = copier
        self._jobs = jobs
        self._usual = usual
        self._log = structlog.get_logger("samovar.files")

    async def heard(self, event: FileEvent, file: StoredFile | None) -> None:
        """A file is new, or says something else, and stands like this: its replicas are made, or hear of it, by a job."""
        if (
            event.happened is FileHappened.DELETED
            or file is None
            or not self.needs(file, since_revision=event.revision)
        ):
            return
        payload, key = {"team_id": event.team_id, "file_id": event.file_id}, f"{event.file_id}:{event.revision}"
        async with self._database.transaction() as tx:
            await self._jobs.enqueue(tx, REPLICATE_JOB, payload, team_id=event.team_id, key=key)
        await self._jobs.wake()

    def needs(self, file: StoredFile, *, since_revision: int = 1) -> bool:
        """Whether there is anything to do: too few good copies, or replicas that have to hear of a revision."""
        lasting = _lasting(file)
        original_is_good = bool(lasting) and lasting[0].element_id == file.attributes.storage_element_id
        return not original_is_good or len(lasting) < self.wanted(file) or (len(lasting) > 1 and since_revision > 1)

    def wanted(self, file: StoredFile) -> int:
        """On how many elements it is to stand."""
        if file.attributes.retention.kind is not RetentionKind.PERMANENT:
            return 1
        return file.attributes.replicas or self._usual

    async def tend(self, team_id: str, file_id: str) -> StoredFile | None:
        """Have a file as it should be: its original good, its replicas saying the same, and as many as there should be, as far as
        there are elements. ``None`` where there is no such file. Raises ``Unavailable``."""
        file = await self._copier.stored(team_id, file_id)
        if file is None:
            return None
        for copy in file.copies:
            if copy.state is CopyState.GOOD and await self._is_gone(copy):
                await self._set_state(file_id, copy.element_id, CopyState.MISSING)
        file = await self._copier.stored(team_id, file_id)
        if file is None:
            return None
        lasting = _lasting(file)
        if lasting and lasting[0].element_id != file.attributes.storage_element_id:
            file = await self._restored(file, lasting)
        for copy in _lasting(file)[1:]:
            await self._align(file.attributes, copy)
        await self._multiply(file)
        await self._forget_lost(file)
        return await self._copier.refresh(team_id, file_id)

    async def _forget_lost(self, file: StoredFile) -> None:
        """No more of copies that never come back, where the file has others."""
        stands = file.attributes
        lost = [copy.element_id for copy in file.copies if self._registry.is_lost(copy.element_id)]
        async with self._database.transaction() as tx:
            await rows.forget_copies(
                tx, stands.team_id, stands.file_id, [one for one in lost if one != stands.storage_element_id]
            )

    async def _is_gone(self, copy: Copy) -> bool:
        try:
            await self._registry.serving(copy.element_id).attributes(copy.path)
        except (FileNotThere, ElementLost):
            return True
        except (ElementUnavailable, DamagedFile):
            # One that is away is not lost; one that cannot be read is the scrubber's.
            return False
        return False

    async def _restored(self, file: StoredFile, replicas: list[Copy]) -> StoredFile:
        """The original from a replica, where it stood; where that takes nothing, a replica becomes the original."""
        attributes = file.attributes
        try:
            await self._copier.write(file, attributes, attributes.storage_element_id, replica_of=None)
        except _REFUSALS as error:
            self._log.warning("a replica becomes the original", file_id=attributes.file_id, reason=error.detail)
            await self._promote(attributes, replicas)
        return await self._copier.refresh(attributes.team_id, attributes.file_id) or file

    async def _promote(self, attributes: Attributes, replicas: list[Copy]) -> None:
        ahead = msgspec.structs.replace(attributes, replica_of=None, revision=attributes.revision + 1)
        for replica in replicas:
            try:
                element = self._registry.serving(replica.element_id)
                made = await self._copier.align(element, await element.attributes(replica.path), ahead)
            except (*_REFUSALS, FileNotThere) as error:
                self._log.warning("a replica stays one", file_id=attributes.file_id, reason=error.detail)
                continue
            await self._copier.project(made)
            return

    async def _align(self, attributes: Attributes, copy: Copy) -> None:
        wanted = msgspec.structs.replace(attributes, replica_of=attributes.storage_element_id)
        try:
            element = self._registry.serving(copy.element_id)
            stands = await element.attributes(copy.path)
            if stands.revision < wanted.revision or stands.replica_of != wanted.replica_of:
                await self._copier.project(await self._copier.align(element, stands, wanted))
        except SamovarError as error:
            self._log.warning("a replica is behind its original", file_id=attributes.file_id, reason=error.detail)

    async def _multiply(self, file: StoredFile) -> None:
        """As many as wanted, each on an element of its own."""
        attributes = file.attributes
        taken = {copy.element_id for copy in file.copies if copy.state is CopyState.GOOD}
        missing = self.wanted(file) - len(_lasting(file))
        if missing <= 0 or not taken:
            return
        try:
            candidates = await self._registry.candidates(attributes.retention.kind, attributes.size_bytes)
        except (NoElement, StorageFull) as error:
            self._log.warning("a file has too few replicas", file_id=attributes.file_id, reason=error.detail)
            return
        for standing in candidates:
            if missing <= 0:
                return
            if standing.element.id in taken:
                continue
            try:
                await self._copier.write(
                    file, attributes, standing.element.id, replica_of=attributes.storage_element_id
                )
                missing -= 1
            except _REFUSALS as error:
                self._log.warning("a replica is not made", file_id=attributes.file_id, reason=error.detail)
        if missing > 0:
            self._log.warning("a file has too few replicas", file_id=attributes.file_id, missing=missing)

    async def _set_state(self, file_id: str, element_id: str, state: CopyState) -> None:
        async with self._database.transaction() as tx:
            await rebuilding.set_state(tx, file_id, element_id, state)


def _lasting(file: StoredFile) -> list[Copy]:
    """Good copies that nobody waits to take away, the original first where it is one of them."""
    return [copy for copy in file.copies if copy.state is CopyState.GOOD and copy.expires_at is None]
