"""Cold content brought back: a file on an archive is copied to an element that is read, and is the copy's from then on.

An archive takes no amendments. What stands there goes on saying that it is the original, at its revision; the copy says so one
revision beyond, and of two originals the higher one is the file, for rows and for whoever makes them anew.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec
import structlog

from samovar.domains.files.errors import ContentDamaged, ElementLost
from samovar.domains.files.model.records import Copy, CopyState, FileAnswer, StoredFile, told
from samovar.domains.files.service.care.copying import Copier
from samovar.domains.files.service.changes import FileChanges
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.tally import FileTally, Operation
from samovar.domains.files.store import rebuilding
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import SamovarError
from samovar.kernel.principal import Principal
from samovar.ports.database import Database
from samovar.ports.elements import (
    Attributes,
    ContentDiffers,
    DamagedFile,
    ElementFull,
    ElementUnavailable,
    FileNotThere,
    Mode,
    ModeRefused,
    StorageElement,
)
from samovar.ports.jobs import GiveUp, Jobs

RESTORE_JOB: Final = "files-restore"

_REFUSALS: Final = (ElementFull, ElementUnavailable, ModeRefused, DamagedFile)
_TAKE: Final = (Mode.EDIT, Mode.RW)


class Restoring(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and the job that brings its content back; ``None`` where it is no archive's."""

    file: FileAnswer
    job_id: str | None


class _SourceBad(Exception):
    """What a copy holds is not what it should be."""


class FileRestoring:
    """Its job may run twice, and beside everything else: a copy that stands is not made again."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        changes: FileChanges,
        copier: Copier,
        jobs: Jobs,
        tally: FileTally,
    ) -> None:
        self._database = database
        self._registry = registry
        self._changes = changes
        self._copier = copier
        self._jobs = jobs
        self._tally = tally
        self._log = structlog.get_logger("samovar.files")

    async def restore(self, principal: Principal, file_id: str) -> Restoring:
        """Have the content brought back, by a job; asked again meanwhile, by the same one. Raises ``Forbidden``, ``FileUnknown``,
        ``ContentDamaged`` where no good copy is known, ``NoElement`` and ``StorageFull`` where nobody takes it,
        ``ElementUnavailable``, ``Unavailable``."""
        require(principal, Permission.FILES_WRITE)
        file = await self._changes.owned(principal, file_id)
        if not await self._is_cold(file):
            return Restoring(file=told(file.attributes), job_id=None)
        if not _good(file):
            raise ContentDamaged(_none_good(file_id))
        if not await self._takers(file):
            await self._registry.candidates(file.attributes.retention.kind, file.attributes.size_bytes)
        payload = {"team_id": principal.team_id, "file_id": file_id}
        async with self._database.transaction() as tx:
            ordered = await self._jobs.enqueue(tx, RESTORE_JOB, payload, team_id=principal.team_id, key=file_id)
        await self._jobs.wake()
        return Restoring(file=told(file.attributes), job_id=ordered.id)

    async def bring_back(self, team_id: str, file_id: str) -> None:
        """Copy, verify, switch. Raises ``GiveUp`` where no copy is good, and what copying raises: then it is tried again."""
        file = await self._copier.stored(team_id, file_id)
        if file is None or not await self._is_cold(file):
            return
        with self._tally.of(Operation.RESTORE):
            try:
                await self._bring_back(file, await self._said(file))
            except ContentDamaged as error:
                raise GiveUp(error.detail) from error
            finally:
                await self._copier.refresh(team_id, file_id)

    async def _bring_back(self, file: StoredFile, stands: Attributes) -> None:
        if stands.replica_of is not None:
            # It moved from there; the row was behind.
            moved = await self._registry.serving(stands.replica_of).attributes(stands.path)
            await self._copier.project(moved)
            return
        target = await self._target(file, stands)
        copy = await target.attributes(stands.path)
        if target.element_id != stands.storage_element_id:
            copy = await self._copier.align(target, copy, _ahead(copy, stands))
        await self._copier.project(copy)
        self._log.info("cold content was brought back", file_id=stands.file_id, element=target.element_id)

    async def _is_cold(self, file: StoredFile) -> bool:
        """Whether the original is an archive's, or what an archive has is all there is to read. Raises ``ElementUnavailable``
        where the original's element does not say which it is."""
        original = file.attributes.storage_element_id
        modes = {one: await self._registry.mode(one) for one in {original, *(copy.element_id for copy in file.copies)}}
        if modes[original] is None and not self._registry.is_lost(original):
            # Raises, for one that does not serve.
            modes[original] = (await self._registry.serving(original).condition()).mode
        if modes[original] is Mode.AR:
            return True
        for copy in _good(file):
            if modes[copy.element_id] not in (None, Mode.AR) and await self._stands(copy):
                return False
        return any(modes[copy.element_id] is Mode.AR for copy in _good(file))

    async def _said(self, file: StoredFile) -> Attributes:
        """What stands beside the original; where that is lost, what its row says."""
        attributes = file.attributes
        try:
            return await self._registry.serving(attributes.storage_element_id).attributes(attributes.path)
        except (FileNotThere, DamagedFile, ElementLost):
            return attributes

    async def _target(self, file: StoredFile, stands: Attributes) -> StorageElement:
        """The element that will have it, its copy whole there. One that died may have made it and told nobody: so all are asked
        before anything is copied."""
        for element in self._registry.started():
            if await self._registry.mode(element.element_id) in _TAKE and await _is_whole(element, stands):
                return element
        refusal: SamovarError = ContentDamaged(_none_good(stands.file_id))
        for one in await self._registry.candidates(stands.retention.kind, stands.size_bytes):
            try:
                await self._copied(file, stands, one.element.id)
                return self._registry.serving(one.element.id)
            except _REFUSALS as error:
                self._log.warning("cold content is not copied", file_id=stands.file_id, reason=error.detail)
                refusal = error
        raise refusal

    async def _takers(self, file: StoredFile) -> list[str]:
        """The elements that have a copy and take amendments."""
        return [copy.element_id for copy in _good(file) if await self._registry.mode(copy.element_id) in _TAKE]

    async def _copied(self, file: StoredFile, stands: Attributes, element_id: str) -> None:
        replica_of = None if element_id == stands.storage_element_id else stands.storage_element_id
        for copy in _good(file):
            # A fault is looked at twice.
            for is_last in (False, True):
                try:
                    source = _content(self._registry.serving(copy.element_id), copy.path)
                    await self._copier.write_from(source, stands, element_id, replica_of=replica_of)
                    return
                except (ContentDiffers, _SourceBad) as error:
                    if is_last:
                        await self._damaged(stands.file_id, copy, error)
        raise ContentDamaged(_none_good(stands.file_id))

    async def _damaged(self, file_id: str, copy: Copy, error: Exception) -> None:
        """An archive sets nothing aside: the row is the mark of it."""
        reason = error.detail if isinstance(error, SamovarError) else str(error)
        self._log.error("cold content is damaged", file_id=file_id, element=copy.element_id, reason=reason)
        async with self._database.transaction() as tx:
            await rebuilding.set_state(tx, file_id, copy.element_id, CopyState.DAMAGED)

    async def _stands(self, copy: Copy) -> bool:
        try:
            await self._registry.serving(copy.element_id).attributes(copy.path)
        except (FileNotThere, DamagedFile, ElementUnavailable):
            return False
        return True


async def _is_whole(element: StorageElement, stands: Attributes) -> bool:
    try:
        await element.attributes(stands.path)
        return await element.verify(stands.path) is None
    except (FileNotThere, DamagedFile, ElementUnavailable):
        return False


async def _content(element: StorageElement, path: str) -> AsyncGenerator[bytes, None]:
    """What is wrong with it told apart from what is wrong where it goes."""
    try:
        async with aclosing(element.read_cold(path)) as pieces:
            async for piece in pieces:
                yield piece
    except (FileNotThere, DamagedFile) as error:
        raise _SourceBad(error.detail) from error


def _ahead(copy: Attributes, stands: Attributes) -> Attributes:
    """What makes a copy the original. One that is ahead already was made so before; what its owner said since then stays."""
    if copy.replica_of is None and copy.revision > stands.revision:
        return copy
    return msgspec.structs.replace(stands, replica_of=None, revision=stands.revision + 1)


def _good(file: StoredFile) -> list[Copy]:
    return [copy for copy in file.copies if copy.state is CopyState.GOOD]


def _none_good(file_id: str) -> str:
    return f"No copy of the file {file_id} is what it was when it was written: its content cannot be brought back."
