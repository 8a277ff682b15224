"""Taking files in: a stream of bytes becomes a file, then a row, then news.

Each is a transaction (``transactions``): written down before the element takes anything, closed with the row. What fails on
this side of the commit point is undone backwards: the element drops what it has, then the room is given back and the
transaction closed, in one. Where nobody here can tell on which side it is, it is left to whoever resumes it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from samovar.domains.files.errors import NoElement, QuotaReached
from samovar.domains.files.model.choosing import Standing
from samovar.domains.files.model.names import file_id_of, stored_path
from samovar.domains.files.model.records import FileAnswer, owner_of, stored_file, told
from samovar.domains.files.model.rules import Intent, checked, retention_of
from samovar.domains.files.service.ingest.noted import Noted
from samovar.domains.files.service.memory import FileMemory
from samovar.domains.files.service.projecting import Projector
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.tally import FileTally, Operation
from samovar.domains.files.service.transactions import Leading, Transactions
from samovar.domains.files.store import owners
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Invalid, SamovarError, Unavailable
from samovar.kernel.ids import hex_of_ulid
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.elements import (
    ATTRIBUTES_BYTES,
    Attributes,
    AttributesTooLarge,
    Draft,
    ElementFull,
    ElementUnavailable,
    ModeRefused,
)

_HOLD_STEP_BYTES: Final = 64 * 1024 * 1024
_HOLD: Final = timedelta(days=1)
_UNBOUNDED_S: Final = 2.0
"""Where nobody had bounds, it is asked again only after this."""


class IngestRules(msgspec.Struct, frozen=True, kw_only=True):
    """``max_*`` are what an owner may have, 0 for as much as they like."""

    default_ttl_days: int = 30
    max_files: int = 0
    max_bytes: int = 0


class Ingest:
    """Uploads. Each raises ``Forbidden``, ``BadFile``, ``AttributesTooLarge``, ``ContentDiffers``, ``QuotaReached``,
    ``NoElement``, ``StorageFull``, ``ElementFull``, ``ElementUnavailable``, ``Unavailable``."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        projector: Projector,
        transactions: Transactions,
        memory: FileMemory,
        clock: Clock,
        ids: Ids,
        rules: IngestRules,
        tally: FileTally,
    ) -> None:
        self._database = database
        self._registry = registry
        self._projector = projector
        self._transactions = transactions
        self._memory = memory
        self._clock = clock
        self._ids = ids
        self._rules = rules
        self._tally = tally
        self._unbounded_until = 0.0
        self._asking_bounds = asyncio.Lock()
        self._log = structlog.get_logger("samovar.files")

    def draft(self, principal: Principal, intent: Intent) -> Draft:
        """The file that is meant to be, checked, with an id and a place. Raises ``Forbidden``, ``BadFile``,
        ``AttributesTooLarge``."""
        require(principal, Permission.FILES_WRITE)
        intent, now, owner = checked(intent), self._clock.now(), owner_of(principal)
        file_id = file_id_of(hex_of_ulid(self._ids.new("file").rpartition("_")[2]))
        draft = Draft(
            file_id=file_id,
            path=stored_path(file_id=file_id, filename=intent.filename, owner=principal.name, created_at=now),
            filename=intent.filename,
            content_type=intent.content_type,
            team_id=principal.team_id,
            owner=owner,
            created_at=now,
            retention=retention_of(intent, now=now, default_ttl_days=self._rules.default_ttl_days),
            tags=intent.tags,
            custom=intent.custom,
            provenance=intent.provenance,
            replicas=intent.replicas,
            expected_checksum=intent.expected_checksum,
            expected_bytes=intent.expected_bytes,
        )
        _check_length(draft)
        return draft

    async def upload(self, principal: Principal, intent: Intent, content: AsyncIterator[bytes]) -> FileAnswer:
        """Take a whole file in. When this returns the file is durable; where its row could not be written yet, that is made up
        for."""
        with self._tally.of(Operation.UPLOAD):
            return await self._taken(self.draft(principal, intent), content)

    async def _taken(self, draft: Draft, content: AsyncIterator[bytes]) -> FileAnswer:
        candidates = await self._registry.candidates(draft.retention.kind, draft.expected_bytes)
        held = Held(self, draft.team_id)
        if await self._is_bounded():
            held.hold_id = self._ids.new("hold")
        leading = await self._transactions.begin(draft, element_id=candidates[0].element.id, hold_id=held.hold_id)
        flow = Noted(content, held.take, leading, is_kept=len(candidates) > 1)
        try:
            async with leading.window():
                if held.hold_id is not None:
                    held.room_bytes = draft.expected_bytes or 0
                    await self._hold(draft, held.hold_id, held.room_bytes)
                attributes = await self._written(draft, flow, candidates, leading)
        except BaseException as error:
            await self._transactions.failed(leading, error, is_in_doubt=flow.has_ended and _may_stand(error))
            raise
        finally:
            await flow.close()
        await self.settle(attributes, held)
        self._transactions.settled(leading)
        return told(attributes)

    async def settle(self, attributes: Attributes, held: "Held") -> None:
        """What an element has committed is known from now on."""
        generation = self._memory.generation
        try:
            await self._projector.project(attributes, hold_id=held.hold_id)
        except Unavailable as error:
            # Durable is durable: the element tells of it again until the row stands.
            self._log.warning("a file waits for its row", file_id=attributes.file_id, reason=error.detail)
        self._memory.remember(stored_file(attributes), generation=generation)

    async def widen(self, team_id: str, hold_id: str, size_bytes: int) -> int:
        """Hold so many bytes more for an upload without a length, and a good deal beyond where there is room for it; how many.
        Raises :class:`QuotaReached`."""
        async with self._database.transaction() as tx:
            for wanted in (size_bytes + _HOLD_STEP_BYTES, size_bytes):
                if await owners.widen(tx, team_id, hold_id, size_bytes=wanted, max_bytes=self._rules.max_bytes):
                    return wanted
        raise _full()

    async def _written(
        self, draft: Draft, content: Noted, candidates: Sequence[Standing], leading: Leading
    ) -> Attributes:
        """Into the best element that takes it: what was known of room, mode and health is two seconds old, and the element's word
        is what counts. Another is asked while the content can be given from its beginning."""
        refusal: SamovarError | None = None
        for number, standing in enumerate(candidates):
            if number:
                await self._transactions.move(leading, standing.element.id)
            try:
                return await self._registry.serving(standing.element.id).write(draft, content)
            except (ElementUnavailable, ElementFull, ModeRefused) as error:
                self._registry.forget_standings()
                if not content.again(error):
                    raise
                refusal = error
        raise refusal or NoElement("No storage element takes the file.")

    async def _is_bounded(self) -> bool:
        if self._rules.max_files or self._rules.max_bytes:
            return True
        if self._clock.monotonic() < self._unbounded_until:
            return False
        # Asked once for all who come in the meantime.
        async with self._asking_bounds:
            now = self._clock.monotonic()
            if now >= self._unbounded_until:
                async with self._database.reading() as tx:
                    if await owners.any_bound(tx):
                        return True
                self._unbounded_until = now + _UNBOUNDED_S
        return False

    async def _hold(self, draft: Draft, hold_id: str, size_bytes: int) -> None:
        async with self._database.transaction() as tx:
            if not await owners.hold(
                tx,
                draft.team_id,
                draft.owner,
                hold_id=hold_id,
                size_bytes=size_bytes,
                limits=(self._rules.max_files, self._rules.max_bytes),
                expires_at=self._clock.now() + _HOLD,
            ):
                raise _full()


class Held:
    """Room for one upload. ``hold_id`` is ``None`` where nothing bounds its owner."""

    def __init__(self, ingest: Ingest, team_id: str) -> None:
        self._ingest = ingest
        self._team_id = team_id
        self.hold_id: str | None = None
        self.room_bytes = 0

    def around(self, content: AsyncIterator[bytes]) -> Noted:
        """The content, within the room."""
        return Noted(content, self.take)

    async def take(self, size_bytes: int) -> None:
        """So many bytes came. Raises :class:`QuotaReached`."""
        if self.hold_id is None:
            return
        self.room_bytes -= size_bytes
        if self.room_bytes < 0:
            self.room_bytes += await self._ingest.widen(self._team_id, self.hold_id, -self.room_bytes)


def _may_stand(error: BaseException) -> bool:
    """Whether a file may stand although its write failed like this after all of its content was sent."""
    return not isinstance(error, Invalid | ModeRefused | ElementFull)


def _check_length(draft: Draft) -> None:
    """Before a byte is taken: the attributes will fit."""
    fields = {name: getattr(draft, name) for name in draft.__struct_fields__ if name in Attributes.__struct_fields__}
    fields["revision"] = 2**31
    longest = Attributes(**fields, size_bytes=2**62, checksum="0" * 64, storage_element_id="x" * 63)
    size = len(msgspec.json.encode(longest))
    if size > ATTRIBUTES_BYTES:
        raise AttributesTooLarge(
            f"What is said of the file takes {size} bytes written down; at most {ATTRIBUTES_BYTES} are kept. Say less in tags,"
            " attributes, provenance or the name."
        )


def _full() -> QuotaReached:
    return QuotaReached("The owner has as many files, or bytes, as may be. Delete some, or ask an admin for more.")
