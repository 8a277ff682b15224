"""Changing what is said of a file, and deleting it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from samovar.domains.files.errors import BadFile, ElementLost, FileUnknown
from samovar.domains.files.model.names import plain_filename
from samovar.domains.files.model.records import (
    FileAnswer,
    FileEvent,
    FileHappened,
    StoredFile,
    Usage,
    may_change,
    told,
)
from samovar.domains.files.model.rules import custom_flaws, filename_flaws, tag_flaws
from samovar.domains.files.service.memory import FileMemory
from samovar.domains.files.service.news import News
from samovar.domains.files.service.projecting import Projector
from samovar.domains.files.service.query import FileReads
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.tally import FileTally, Operation
from samovar.domains.files.service.telling import Teller
from samovar.domains.files.store import outbox, owners, rows
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Forbidden, StaleRevision, Unavailable
from samovar.kernel.principal import Principal
from samovar.ports import element_rules
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import (
    Attributes,
    Custom,
    DamagedFile,
    ElementUnavailable,
    FileNotThere,
    ModeRefused,
    Provenance,
    Retention,
)
from samovar.ports.scripts import perform

_TRIES: Final = 5
_DELETING: Final = timedelta(seconds=60)
_DELETING_AT_MOST: Final = timedelta(hours=1)


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """What to say otherwise; ``None`` leaves a thing as it is. Of ``custom`` each that is named is set, or taken away where it
    is ``None`` (RFC 7396)."""

    filename: str | None = None
    tags: tuple[str, ...] | None = None
    custom: Mapping[str, str | int | float | bool | None] | None = None
    provenance: Provenance | None = None
    retention: Retention | None = None


class FileChanges:
    """Each raises ``Forbidden``, ``FileUnknown``, ``ModeRefused``, ``ElementUnavailable``, ``Unavailable``."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        projector: Projector,
        reads: FileReads,
        memory: FileMemory,
        teller: Teller,
        news: News,
        clock: Clock,
        tally: FileTally,
    ) -> None:
        self._database = database
        self._registry = registry
        self._projector = projector
        self._reads = reads
        self._memory = memory
        self._teller = teller
        self._news = news
        self._tally = tally
        self._clock = clock
        self._log = structlog.get_logger("samovar.files")
        teller.on_deleting(self.settle_deletion)

    async def amend(
        self,
        principal: Principal,
        file_id: str,
        amendment: Amendment,
        *,
        expected: int | None,
        change: str | None = None,
    ) -> FileAnswer:
        """Say it otherwise, over the revision ``expected`` (``None``: over any); the attributes name the ``change`` from then on.
        Raises ``BadFile``, ``StaleRevision``, ``AttributesTooLarge``."""
        with self._tally.of(Operation.AMEND):
            return await self._amend(principal, file_id, amendment, expected=expected, change=change)

    async def _amend(
        self,
        principal: Principal,
        file_id: str,
        amendment: Amendment,
        *,
        expected: int | None,
        change: str | None,
    ) -> FileAnswer:
        require(principal, Permission.FILES_WRITE)
        file = await self.owned(principal, file_id)
        element = self._registry.serving(file.attributes.storage_element_id)
        for left in reversed(range(_TRIES)):
            # What stands beside the file, not the row: that may be behind.
            stands = await element.attributes(file.attributes.path)
            if stands.replica_of is not None or (expected is not None and stands.revision != expected):
                # What is a copy by now moved, or goes, between the two looks.
                raise StaleRevision(current=stands.revision)
            try:
                wanted = said_otherwise(stands, amendment)
                amended = await element.amend(msgspec.structs.replace(wanted, change=change or wanted.change))
                break
            except StaleRevision:
                if expected is not None or not left:
                    raise
        generation = self._memory.generation
        if not await self._project(amended):
            raise FileUnknown(f"There is no file {file_id[:40]}: it was deleted just now.")
        changed = StoredFile(attributes=amended, copies=file.copies)
        self._memory.replace(changed, generation=generation)
        await self._teller.tell_at_once(changed, self._event(FileHappened.AMENDED, amended))
        return told(amended)

    async def delete(self, principal: Principal, file_id: str, *, expected: int | None = None) -> None:
        """Take it away for good, all its copies, at the revision ``expected`` (``None``: at any). Raises ``ModeRefused`` where an
        element does not delete, and ``StaleRevision``; then nothing has changed."""
        with self._tally.of(Operation.DELETE):
            require(principal, Permission.FILES_DELETE)
            file = await self.owned(principal, file_id)
            await self._check_deletable(file)
            claims = None if expected is None else await self._claiming(file.attributes, expected)
            await self._note_deletion(file.attributes)
            if claims is not None:
                await self._registry.serving(claims.storage_element_id).amend(claims)
            await self._take_copies(file)
            await self.forget(file.attributes)

    async def settle_deletion(self, begun: FileEvent) -> bool:
        """Bring a deletion to its end that was begun and whose process did not live to do so: where the file is claimed for it,
        or all copies are gone. What else still stands is a file. Whether nobody has to look again. Raises ``Unavailable``."""
        async with self._database.reading() as tx:
            file = await rows.one(tx, begun.team_id, begun.file_id)
        if file is None:
            return True
        if not await self._is_gone(file):
            if not await self._may_be_taken(file):
                return self._clock.now() - begun.at >= _DELETING_AT_MOST
            await self._take_copies(file)
        self._log.warning("a deletion was left by its process", file_id=begun.file_id)
        await self.forget(file.attributes)
        return True

    async def _take_copies(self, file: StoredFile) -> None:
        # The original last: until it is gone there is a file, and the same can be asked again.
        for copy in reversed(file.copies):
            if not self._registry.is_lost(copy.element_id):
                await self._registry.serving(copy.element_id).delete(copy.path)

    async def _check_deletable(self, file: StoredFile) -> None:
        """Asked of all elements before the first loses anything. Each has the last word of its own."""
        for copy in file.copies:
            if self._registry.is_lost(copy.element_id):
                continue
            condition = await self._registry.condition(copy.element_id)
            if condition is None:
                raise ElementUnavailable(f"The storage element {copy.element_id} does not answer: nothing was deleted.")
            element_rules.check_mode(condition.mode, element_rules.Operation.DELETE, element_id=copy.element_id)

    async def _claiming(self, known: Attributes, expected: int) -> Attributes | None:
        """What makes it nobody's original before it goes: whoever changes it just then is refused, or was faster. ``None`` where
        that is said already, or there is nothing to say it of."""
        try:
            stands = await self._registry.serving(known.storage_element_id).attributes(known.path)
        except (FileNotThere, ElementLost):
            if known.revision != expected:
                raise StaleRevision(current=known.revision) from None
            return None
        if is_claimed(stands):
            return None
        if stands.replica_of is not None or stands.revision != expected:
            raise StaleRevision(current=stands.revision)
        return msgspec.structs.replace(stands, replica_of=stands.storage_element_id, revision=stands.revision + 1)

    async def _note_deletion(self, attributes: Attributes) -> None:
        """So that it is looked after, should this process die in it."""
        until = self._clock.now() + _DELETING
        async with self._database.transaction() as tx:
            await perform(tx, outbox.add([self._event(FileHappened.DELETING, attributes)], not_before=until))

    async def _is_gone(self, file: StoredFile) -> bool:
        for copy in file.copies:
            try:
                await self._registry.serving(copy.element_id).attributes(copy.path)
                return False
            except (FileNotThere, ElementLost):
                continue
            except DamagedFile:
                return False
        return True

    async def _may_be_taken(self, file: StoredFile) -> bool:
        """Whether it is claimed: then nobody has changed it since, nor can, and whoever claimed it had seen it so."""
        original = file.attributes
        try:
            stands = await self._registry.serving(original.storage_element_id).attributes(original.path)
            if is_claimed(stands):
                await self._check_deletable(file)
                return True
        except (FileNotThere, ElementLost, DamagedFile, ModeRefused):
            pass
        return False

    async def forget(self, attributes: Attributes, *, because: str | None = None) -> None:
        """A file is gone: so is its row, and all hear of it, and ``because`` of what where nobody asked for it."""
        event = self._event(FileHappened.DELETED, attributes)
        if because is not None:
            event = msgspec.structs.replace(event, details={**event.details, "because": because})
        async with self._database.transaction() as tx:
            if await rows.forget(tx, attributes.team_id, attributes.file_id) is not None:
                await perform(tx, outbox.add([event]))
        self._memory.drop(attributes.team_id, attributes.file_id)
        await self._teller.tell_at_once(None, event)
        self._news.written()

    async def bound(self, principal: Principal, owner: str, *, max_files: int | None, max_bytes: int | None) -> Usage:
        """What an owner may have from now on (0: nothing), instead of what the settings say (``None``)."""
        require(principal, Permission.ELEMENTS_ADMIN)
        async with self._database.transaction() as tx:
            await owners.bound(tx, principal.team_id, owner, max_files=max_files, max_bytes=max_bytes)
            return await owners.usage(tx, principal.team_id, owner)

    async def owned(self, principal: Principal, file_id: str) -> StoredFile:
        """A file as it is now, for who may change it."""
        file = await self._reads.fresh(principal, file_id)
        if not may_change(principal, file.attributes.owner):
            raise Forbidden("This file is somebody else's: you may read it, and not change it.")
        return file

    def _event(self, happened: FileHappened, attributes: Attributes) -> FileEvent:
        return FileEvent(
            happened=happened,
            team_id=attributes.team_id,
            file_id=attributes.file_id,
            revision=attributes.revision,
            at=self._clock.now(),
            details={"owner": attributes.owner, "size_bytes": attributes.size_bytes},
        )

    async def _project(self, amended: Attributes) -> bool:
        try:
            return await self._projector.project(amended, happened=FileHappened.AMENDED)
        except Unavailable as error:
            self._log.warning("a change of a file waits for its row", file_id=amended.file_id, reason=error.detail)
            return True


def is_claimed(stands: Attributes) -> bool:
    """Whether it is being taken away, by somebody who may have died in it."""
    return stands.replica_of == stands.storage_element_id


def said_otherwise(stands: Attributes, amendment: Amendment) -> Attributes:
    """The attributes that come after these. Raises ``BadFile``."""
    tags = stands.tags if amendment.tags is None else tuple(dict.fromkeys(amendment.tags))
    custom: Custom = dict(stands.custom)
    for key, value in (amendment.custom or {}).items():
        if value is None:
            custom.pop(key, None)
        else:
            custom[key] = value
    filename = stands.filename if amendment.filename is None else plain_filename(amendment.filename)
    flaws = [*filename_flaws(filename), *tag_flaws(tags), *custom_flaws(custom)]
    if flaws:
        raise BadFile(flaws)
    return msgspec.structs.replace(
        stands,
        filename=filename,
        tags=tags,
        custom=custom,
        provenance=amendment.provenance or stands.provenance,
        retention=amendment.retention or stands.retention,
        revision=stands.revision + 1,
    )
