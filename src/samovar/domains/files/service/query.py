"""Finding files: what is known of them from memory where it knows them, what they hold from their element."""

from typing import Final, NamedTuple

import msgspec

from samovar.domains.files.errors import ContentAway, ContentCold, ElementOutOfReach, FileUnknown
from samovar.domains.files.model.names import is_file_id
from samovar.domains.files.model.query import MAX_PAGE, FileQuery, cursor_of
from samovar.domains.files.model.records import CopyState, FilePage, StoredFile, Usage, may_see, owner_of, told
from samovar.domains.files.service.confirming import Confirming
from samovar.domains.files.service.memory import FileMemory
from samovar.domains.files.service.reading import (
    BY_KERNEL_BYTES,
    Begin,
    Begun,
    Reading,
    piecewise,
    with_part_for_kernel,
)
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.tally import FileTally, Operation
from samovar.domains.files.store import listing, owners, rows
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.database import Database
from samovar.ports.elements import DamagedFile, ElementUnavailable, FileNotThere, Mode, ModeRefused

_AWAY: Final = {"Retry-After": "5"}


class Seen(NamedTuple):
    """A file, and whether what is told of it may be stale: its element does not answer, or the database does not."""

    file: StoredFile
    is_stale: bool = False


class FileReads:
    """Everybody's reads. They raise ``Forbidden``, and :class:`FileUnknown` for what is not there or not for the caller."""

    def __init__(
        self, *, database: Database, registry: Registry, memory: FileMemory, tally: FileTally, confirming: Confirming
    ) -> None:
        self._database = database
        self._registry = registry
        self._memory = memory
        self._tally = tally
        self._confirming = confirming

    def recall(self, principal: Principal, file_id: str) -> Seen | None:
        """What memory knows, in some microseconds. ``None``: ask :meth:`find`."""
        file = self._memory.recall(principal.team_id, file_id)
        if file is None:
            return None
        require(principal, Permission.FILES_READ)
        return self._seen(self._checked(principal, file_id, file))

    async def find(self, principal: Principal, file_id: str) -> Seen:
        """What is known of a file: from memory, from what processes share, or from its row, which is a day old at most."""
        require(principal, Permission.FILES_READ)
        return self._seen(self._checked(principal, file_id, await self.stored(principal.team_id, file_id)))

    async def stored(self, team_id: str, file_id: str) -> StoredFile | None:
        """The same without a caller: for those who checked otherwise."""
        if not is_file_id(file_id):
            return None
        file = self._memory.recall(team_id, file_id)
        if file is not None:
            return file
        generation = self._memory.generation
        file = await self._memory.recall_shared(team_id, file_id)
        if file is None:
            async with self._database.reading() as tx:
                file = await rows.one(tx, team_id, file_id)
            if file is not None:
                file = await self._confirming.confirmed(file)
                await self._memory.offer(file)
        if file is not None:
            self._memory.remember(file, generation=generation)
        return file

    async def fresh(self, principal: Principal, file_id: str) -> StoredFile:
        """From its row, past all memory: for those who are about to change it."""
        file = None
        if is_file_id(file_id):
            async with self._database.reading() as tx:
                file = await rows.one(tx, principal.team_id, file_id)
        return self._checked(principal, file_id, file)

    async def page(self, principal: Principal, query: FileQuery, *, limit: int) -> FilePage:
        """Some files. Who sees only their own gets those. Raises ``BadFile``."""
        require(principal, Permission.FILES_READ)
        if not may_see(principal, query.owner or ""):
            if query.owner not in (None, owner_of(principal)):
                return FilePage(items=(), next_cursor=None)
            query = msgspec.structs.replace(query, owner=owner_of(principal))
        limit = min(limit, MAX_PAGE)
        async with self._database.reading() as tx:
            found = await listing.page(tx, principal.team_id, query, limit=limit + 1)
        shown = found[:limit]
        more = len(found) > limit
        return FilePage(
            items=tuple(told(attributes) for _, attributes in shown),
            next_cursor=cursor_of(shown[-1][0]) if more else None,
        )

    async def usage(self, principal: Principal, owner: str) -> Usage:
        """What an owner has."""
        require(principal, Permission.FILES_READ)
        if not may_see(principal, owner):
            raise FileUnknown("There is no such owner of files.")
        async with self._database.reading() as tx:
            return await owners.usage(tx, principal.team_id, owner)

    # --- content

    async def content(self, file: StoredFile, *, start: int, end: int) -> Reading:
        """The bytes from ``start`` up to, not including, ``end``, from the first copy that gives them. The first piece is there
        when this returns, so that what is wrong is known before an answer begins. Raises :class:`ContentAway`,
        :class:`ContentCold`, ``DamagedFile``."""
        return await self._reading(file, start, end, begin=piecewise)

    async def content_in_part_by_kernel(self, file: StoredFile, *, start: int, end: int) -> Reading:
        """As :meth:`content`, for who can have the kernel send what :meth:`Reading.by_kernel` gives between two pieces."""
        is_large = end - start >= BY_KERNEL_BYTES
        return await self._reading(file, start, end, begin=with_part_for_kernel if is_large else piecewise)

    async def _reading(self, file: StoredFile, start: int, end: int, *, begin: Begin) -> Reading:
        with self._tally.of_refusals(Operation.DOWNLOAD):
            begun = Begun() if end <= start else await self._begun(file, start, end, begin=begin)
        return Reading(begun, max(0, end - start), self._tally)

    async def _begun(self, file: StoredFile, start: int, end: int, *, begin: Begin) -> Begun:
        refusal: SamovarError | None = None
        for copy in file.copies:
            if copy.state is not CopyState.GOOD:
                continue
            try:
                return await begin(self._registry.serving(copy.element_id), copy.path, start, end)
            except ModeRefused:
                refusal = ContentCold(file.attributes.file_id)
            except DamagedFile as error:
                refusal = refusal or error
            except ElementOutOfReach as error:
                refusal = refusal or ContentAway(error.detail, headers=_AWAY)
            except (ElementUnavailable, FileNotThere, StopAsyncIteration, Unavailable):
                refusal = refusal or ContentAway(
                    "The storage element that holds the content does not answer. Try again.", headers=_AWAY
                )
        raise refusal or ContentAway("No good copy of the content is there at the moment.", headers=_AWAY)

    async def check_readable(self, file: StoredFile) -> None:
        """For who asks without reading (HEAD): whether a copy could be read. Raises as :meth:`content`."""
        for copy in file.copies:
            if copy.state is CopyState.GOOD:
                condition = await self._registry.condition(copy.element_id)
                if condition is not None and condition.mode is not Mode.AR:
                    return
        if file.attributes.size_bytes:
            begun = await self._begun(file, 0, 1, begin=piecewise)
            await begun.aclose()

    def _checked(self, principal: Principal, file_id: str, file: StoredFile | None) -> StoredFile:
        if file is None or not may_see(principal, file.attributes.owner):
            raise FileUnknown(f"There is no file {file_id[:40]}.")
        return file

    def _seen(self, file: StoredFile) -> Seen:
        return Seen(file, is_stale=file.attributes.storage_element_id in self._registry.away)
