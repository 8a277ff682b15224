"""How long files stay: a temporary one becomes permanent and moves; what is over is taken away.

Nothing is taken away that its own attributes do not say is over, asked of the element at that moment. Before the first of a
file's copies goes, its attributes say that it is nobody's original any more: who would change it just then is refused.
"""

import asyncio
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from samovar.domains.files.errors import ElementLost
from samovar.domains.files.model.choosing import Standing
from samovar.domains.files.model.records import CopyState, FileAnswer, StoredFile, told
from samovar.domains.files.service.care.copying import Copier
from samovar.domains.files.service.care.rounds import is_gone
from samovar.domains.files.service.changes import Amendment, FileChanges
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.store import collecting, rows
from samovar.domains.files.store.collecting import EARLIEST, Ended
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import SamovarError, StaleRevision
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import (
    Attributes,
    FileNotThere,
    Mode,
    ModeRefused,
    Retention,
    RetentionKind,
    StorageElement,
)
from samovar.ports.jobs import Jobs

FINALIZE_JOB: Final = "files-finalize"
COLLECT_JOB: Final = "files-collect"
ORPHANS_JOB: Final = "files-orphans"
LEFT_FOR: Final = timedelta(hours=24)
ORPHANS_KEPT: Final = timedelta(days=7)

_PAGE: Final = 200
_PERMANENT: Final = Retention(kind=RetentionKind.PERMANENT)


class Finalized(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is permanent from now on. ``job_id`` moves it to an element that does not delete; ``None`` where it stands on
    one, or there is none."""

    file: FileAnswer
    job_id: str | None


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection took away, and how much it had to leave for another time."""

    removed: int = 0
    size_bytes: int = 0
    left: int = 0


class FileRetention:
    """Its jobs may run twice, and beside everything else."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        changes: FileChanges,
        copier: Copier,
        jobs: Jobs,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._changes = changes
        self._copier = copier
        self._jobs = jobs
        self._clock = clock
        self._log = structlog.get_logger("samovar.files")

    # --- from temporary to permanent

    async def finalize(self, principal: Principal, file_id: str, *, expected: int | None = None) -> Finalized:
        """It is permanent when this returns, and moves by a job. Raises ``Forbidden``, ``FileUnknown``, ``StaleRevision``,
        ``NoElement``, ``StorageFull``, ``ModeRefused``, ``ElementUnavailable``, ``Unavailable``."""
        require(principal, Permission.FILES_WRITE)
        file = await self._changes.owned(principal, file_id)
        answer = told(file.attributes)
        candidates = await self._registry.candidates(RetentionKind.PERMANENT, file.attributes.size_bytes)
        if file.attributes.retention.kind is RetentionKind.TEMPORARY:
            permanent = Amendment(retention=_PERMANENT)
            answer = await self._changes.amend(principal, file_id, permanent, expected=expected)
        if await self._registry.mode(file.attributes.storage_element_id) is not Mode.EDIT or not _keeping(candidates):
            return Finalized(file=answer, job_id=None)
        payload = {"team_id": principal.team_id, "file_id": file_id}
        async with self._database.transaction() as tx:
            ordered = await self._jobs.enqueue(tx, FINALIZE_JOB, payload, team_id=principal.team_id, key=file_id)
        await self._jobs.wake()
        return Finalized(file=answer, job_id=ordered.id)

    async def move(self, team_id: str, file_id: str) -> None:
        """Copy a permanent file to an element that does not delete, verify, switch to it; the original stays for a day. Raises
        what copying raises: then it is tried again."""
        file = await self._copier.stored(team_id, file_id)
        if file is None or await self._registry.mode(file.attributes.storage_element_id) is not Mode.EDIT:
            return
        source = self._registry.serving(file.attributes.storage_element_id)
        try:
            stands = await source.attributes(file.attributes.path)
        except FileNotThere:
            return
        if stands.replica_of is None:
            if stands.retention.kind is not RetentionKind.PERMANENT:
                return
            target = await self._target(file, stands)
            if target is None:
                return
            stands = await self._switch(source, stands, target)
        await self._copier.project(await self._registry.serving(stands.replica_of or "").attributes(stands.path))
        await self._copier.project(stands)
        await self._copier.refresh(team_id, file_id)

    async def _target(self, file: StoredFile, stands: Attributes) -> StorageElement | None:
        """The element that will have it, where its copy stands already."""
        for copy in file.copies:
            if copy.state is CopyState.GOOD and await self._registry.mode(copy.element_id) is Mode.RW:
                return self._registry.serving(copy.element_id)
        keeping = _keeping(await self._registry.candidates(RetentionKind.PERMANENT, stands.size_bytes))
        if not keeping:
            return None
        await self._copier.write(file, stands, keeping[0].element.id, replica_of=stands.storage_element_id)
        return self._registry.serving(keeping[0].element.id)

    async def _switch(self, source: StorageElement, stands: Attributes, target: StorageElement) -> Attributes:
        """The copy becomes the original, one revision beyond; what was it says that it is left behind, and until when."""
        while True:
            copy = await target.attributes(stands.path)
            if copy.replica_of is not None or copy.revision <= stands.revision:
                ahead = msgspec.structs.replace(stands, replica_of=None, revision=stands.revision + 1)
                await self._copier.align(target, copy, ahead)
            over = Retention(kind=RetentionKind.TEMPORARY, expires_at=self._clock.now() + LEFT_FOR)
            left = msgspec.structs.replace(
                stands, replica_of=target.element_id, retention=over, revision=stands.revision + 1
            )
            try:
                return await source.amend(left)
            except StaleRevision:
                # Its owner changed it meanwhile: the copy hears of that too.
                stands = await source.attributes(stands.path)

    # --- what is over

    async def collect(self) -> Collected:
        """Take away temporary files whose time is over, and what files that moved left behind a day ago."""
        done = Collected()
        number = -1
        at, now = EARLIEST, self._clock.now()
        while True:
            async with self._database.reading() as tx:
                page = await collecting.expired(tx, now=now, after=(at, number), limit=_PAGE)
            for ended in page:
                done = await self._counted(done, ended, is_file=True)
            if len(page) < _PAGE:
                break
            at, number = page[-1].ended_at, int(page[-1].key)
        key, at = "", EARLIEST
        while True:
            async with self._database.reading() as tx:
                page = await collecting.left_behind(tx, now=now, after=(at, key), limit=_PAGE)
            for ended in page:
                done = await self._counted(done, ended, is_file=False)
            if len(page) < _PAGE:
                break
            at, key = page[-1].ended_at, str(page[-1].key)
        self._log.info("files collected", removed=done.removed, size_bytes=done.size_bytes, left=done.left)
        return done

    async def collect_orphans(self) -> Collected:
        """Take away content that has had no attributes for a week, from elements that delete."""
        done, before = Collected(), self._clock.now() - ORPHANS_KEPT
        for element in self._registry.started():
            try:
                if await self._registry.mode(element.element_id) is not Mode.EDIT:
                    continue
                async for found in element.walk():
                    is_orphan = found.attributes is None and found.fault is None
                    if is_orphan and found.modified_at <= before and await is_gone(element, found.path):
                        await element.delete(found.path)
                        self._log.warning("an orphan was removed", element=element.element_id, path=found.path)
                        done = _more(done, found.content_bytes or 0)
            except SamovarError as error:
                self._log.warning("orphans stay for a while", element=element.element_id, reason=error.detail)
                done = msgspec.structs.replace(done, left=done.left + 1)
        return done

    async def _counted(self, done: Collected, ended: Ended, *, is_file: bool) -> Collected:
        try:
            size_bytes = await (self._take_file(ended) if is_file else self._take_copy(ended))
        except SamovarError as error:
            self._log.warning("what is over of files stays for a while", file_id=ended.file_id, reason=error.detail)
            size_bytes = None
        await asyncio.sleep(0)
        return msgspec.structs.replace(done, left=done.left + 1) if size_bytes is None else _more(done, size_bytes)

    async def _take_file(self, ended: Ended) -> int | None:
        """How many bytes went; ``None`` where it stays."""
        file = await self._copier.stored(ended.team_id, ended.file_id)
        if file is None:
            return None
        if all(self._registry.is_lost(copy.element_id) for copy in file.copies):
            # There is nothing that could say otherwise, nor ever will be.
            await self._changes.forget(file.attributes, because="expired")
            return 0
        element = self._registry.serving(file.attributes.storage_element_id)
        try:
            stands = await element.attributes(file.attributes.path)
        except FileNotThere:
            await self._changes.forget(file.attributes, because="expired")
            return 0
        ends = stands.retention.expires_at
        if ends is None or ends > self._clock.now():
            # The row was behind.
            await self._copier.project(stands)
            await self._copier.refresh(ended.team_id, ended.file_id)
            return None
        for copy in file.copies:
            if await self._registry.mode(copy.element_id) is not Mode.EDIT:
                raise ModeRefused(f"A copy of it is on the element {copy.element_id}, which does not delete.")
        if stands.replica_of is None:
            nobodys = msgspec.structs.replace(
                stands, replica_of=stands.storage_element_id, revision=stands.revision + 1
            )
            await element.amend(nobodys)
        for copy in reversed(file.copies):
            await self._registry.serving(copy.element_id).delete(copy.path)
        await self._changes.forget(file.attributes, because="expired")
        return stands.size_bytes * len(file.copies)

    async def _take_copy(self, ended: Ended) -> int | None:
        file = await self._copier.stored(ended.team_id, ended.file_id)
        try:
            element = self._registry.serving(ended.element_id)
            stands = await element.attributes(ended.path)
            if not await self._may_go(stands, file):
                return None
            await element.delete(ended.path)
        except (FileNotThere, ElementLost):
            stands = None
        async with self._database.transaction() as tx:
            await rows.forget_copies(tx, ended.team_id, ended.file_id, [ended.element_id])
        await self._copier.refresh(ended.team_id, ended.file_id)
        return 0 if stands is None else stands.size_bytes

    async def _may_go(self, stands: Attributes, file: StoredFile | None) -> bool:
        """What was left behind, and only while the file itself is whole where it is now."""
        ends = stands.retention.expires_at
        if stands.replica_of is None or ends is None or ends > self._clock.now():
            return False
        if file is None:
            # Its row is lost, and with it where it is now: a rebuild finds it.
            return False
        now_on = file.attributes.storage_element_id
        if now_on == stands.storage_element_id:
            return False
        wrong = await self._registry.serving(now_on).verify(file.attributes.path)
        if wrong is not None:
            self._log.warning("what was left behind is kept", file_id=stands.file_id, reason=wrong)
        return wrong is None


def _keeping(candidates: list[Standing]) -> list[Standing]:
    """Those that do not delete."""
    return [one for one in candidates if one.condition is not None and one.condition.mode is Mode.RW]


def _more(done: Collected, size_bytes: int) -> Collected:
    return msgspec.structs.replace(done, removed=done.removed + 1, size_bytes=done.size_bytes + size_bytes)
