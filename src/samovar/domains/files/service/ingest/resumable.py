"""Uploads in pieces. What is known of one stands in the database, so that any process goes on with it; its bytes stand on its
element, which alone knows how many are durable.

A row comes before the bytes and goes after them: whatever dies in between, somebody knows what there is to take away.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from samovar.domains.files.errors import ElementLost, NoElement, QuotaReached, UploadGone, UploadUnknown
from samovar.domains.files.model.names import is_file_id
from samovar.domains.files.model.records import may_change
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.model.transactions import TransactionKind
from samovar.domains.files.model.uploads import PieceChecksum, Upload, UploadStands, UploadState
from samovar.domains.files.service.ingest.arrivals import Arrivals
from samovar.domains.files.service.ingest.portions import Portions, checked
from samovar.domains.files.service.ingest.uploading import Held, Ingest, IngestRules
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.tally import FileTally, Operation
from samovar.domains.files.service.transactions import Transactions
from samovar.domains.files.store import owners, rows, uploads
from samovar.domains.files.store import transactions as transaction_store
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import BodyTooLarge, Malformed, SamovarError, Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx
from samovar.ports.elements import (
    ContentDiffers,
    Draft,
    ElementFull,
    ElementUnavailable,
    FileNotThere,
    ModeRefused,
    OffsetDiffers,
)
from samovar.ports.scripts import perform

# What an upload holds outlives it, so that it is given back with it and not before.
_HELD_LONGER: Final = timedelta(days=1)
_SWEPT: Final = 100


class UploadRules(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that nobody adds to for ``ttl_s`` is over; none is longer than ``max_bytes``."""

    ttl_s: int = 24 * 3600
    max_bytes: int = 5 * 1024**3


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What one request adds. ``size_bytes`` is how much of it was announced, ``length_bytes`` the whole upload's length where
    this request says it."""

    offset_bytes: int
    content: AsyncIterator[bytes]
    size_bytes: int | None = None
    length_bytes: int | None = None
    checksum: PieceChecksum | None = None


class Resumable:
    """Each raises ``Forbidden``, ``UploadUnknown``, ``UploadGone``, ``ElementUnavailable``, ``Unavailable``."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        ingest: Ingest,
        transactions: Transactions,
        clock: Clock,
        ids: Ids,
        owner_rules: IngestRules,
        rules: UploadRules,
        tally: FileTally,
    ) -> None:
        self._database = database
        self._registry = registry
        self._ingest = ingest
        self._transactions = transactions
        self._clock = clock
        self._ids = ids
        self._owner_rules = owner_rules
        self.rules = rules
        self._tally = tally
        self._arrivals = Arrivals()
        self._log = structlog.get_logger("samovar.files")

    async def create(self, principal: Principal, intent: Intent, said: str) -> UploadStands:
        """Open one; ``intent.expected_bytes`` is its length, or ``None`` until that is said. ``said`` is what the sender wrote of
        it. Raises as ``Ingest``, and ``BodyTooLarge``."""
        with self._tally.of_refusals(Operation.UPLOAD):
            draft = self._ingest.draft(principal, intent)
            self._check_length(draft.expected_bytes)
            now = self._clock.now()
            upload = Upload(
                file_id=draft.file_id,
                team_id=draft.team_id,
                owner=draft.owner,
                element_id="",
                length_bytes=draft.expected_bytes,
                hold_id=None,
                said=said,
                state=UploadState.OPEN,
                created_at=now,
                expires_at=now + timedelta(seconds=self.rules.ttl_s),
            )
            upload = await self._begun(upload, draft)
        return await self._finished(upload) if upload.length_bytes == 0 else UploadStands(upload, 0)

    async def look(self, principal: Principal, file_id: str) -> UploadStands:
        """Where it stands. Who adds to it just now stops: the asker is about to go on. What is whole becomes a file."""
        upload, _ = await self._found(principal, file_id)
        if await self._arrivals.end(file_id):
            upload, _ = await self._found(principal, file_id)
        return await self._stands(upload)

    async def append(self, principal: Principal, file_id: str, piece: Piece) -> UploadStands:
        """Add to it; with its last byte it becomes a file. Raises ``OffsetDiffers``, ``UploadBusy``, ``UploadInterrupted``,
        ``PieceDiffers``, ``ContentDiffers``, ``BodyTooLarge``, ``QuotaReached``, ``Malformed`` and what the content raises."""
        upload, held_bytes = await self._found(principal, file_id)
        async with self._arrivals.only(file_id):
            stands = await self._stands(upload)
            if stands.offset_bytes != piece.offset_bytes:
                raise OffsetDiffers(offset_bytes=stands.offset_bytes)
            if stands.is_finished:
                return stands
            if piece.length_bytes is not None:
                upload, held_bytes = await self._measured(upload, piece.length_bytes, stands.offset_bytes, held_bytes)
            offset_bytes = await self._appended(upload, piece, held_bytes)
            if offset_bytes == upload.length_bytes:
                return await self._finished(upload)
        return UploadStands(upload, offset_bytes)

    async def terminate(self, principal: Principal, file_id: str) -> None:
        """Give it up: its bytes go, and its owner has the room again. Of one that is a file the file stays."""
        upload, _ = await self._found(principal, file_id)
        await self._arrivals.end(file_id)
        async with self._database.transaction() as tx:
            await uploads.give_up(tx, upload)
            await transaction_store.ask_to_cancel(tx, upload.team_id, upload.file_id)
        await self._drop(upload)

    async def sweep(self) -> int:
        """Take away what is over, on elements that serve here or that are lost; how many there were."""
        where = self._registry.settling()
        async with self._database.transaction() as tx:
            due = await uploads.take_over_due(tx, now=self._clock.now(), element_ids=where, limit=_SWEPT)
        for upload in due:
            await self._drop(upload)
        return len(due)

    async def _drop(self, upload: Upload) -> None:
        try:
            # What stood on one that is lost is gone with it.
            with suppress(ElementLost):
                await self._registry.serving(upload.element_id).abandon(upload.file_id)
            await self._forget(upload, "upload_gone")
        except SamovarError as error:
            # It is given up, and ended by the next sweep.
            self._log.warning("an upload waits for its end", file_id=upload.file_id, reason=error.detail)

    async def _found(self, principal: Principal, file_id: str) -> tuple[Upload, int]:
        require(principal, Permission.FILES_WRITE)
        if is_file_id(file_id):
            async with self._database.reading() as tx:
                found = await uploads.one(tx, principal.team_id, file_id)
            if found is not None and may_change(principal, found[0].owner):
                if found[0].state is UploadState.ENDING or found[0].expires_at <= self._clock.now():
                    raise UploadGone("The upload was given up, or nobody added to it in its time. Begin another.")
                return found
        raise UploadUnknown("There is no such upload.")

    async def _begun(self, upload: Upload, draft: Draft) -> Upload:
        refusal: SamovarError | None = None
        for standing in await self._registry.candidates(draft.retention.kind, draft.expected_bytes):
            placed = await self._added(msgspec.structs.replace(upload, element_id=standing.element.id), draft)
            try:
                await self._registry.serving(placed.element_id).begin(draft)
            except SamovarError as error:
                await self._forget(placed, error.code)
                if not isinstance(error, ElementUnavailable | ElementFull | ModeRefused):
                    raise
                self._registry.forget_standings()
                refusal = error
            else:
                return placed
        raise refusal or NoElement("No storage element takes the file.")

    async def _added(self, upload: Upload, draft: Draft) -> Upload:
        limits = (self._owner_rules.max_files, self._owner_rules.max_bytes)
        async with self._database.transaction() as tx:
            if any(limits) or await owners.any_bound(tx):
                upload = msgspec.structs.replace(upload, hold_id=self._ids.new("hold"))
                await self._hold(tx, upload, limits)
            await uploads.add(tx, upload)
            begun = self._transactions.made(
                draft, TransactionKind.RESUMABLE, element_id=upload.element_id, hold_id=upload.hold_id
            )
            await transaction_store.place(tx, begun)
        return upload

    async def _hold(self, tx: Tx, upload: Upload, limits: tuple[int, int]) -> None:
        if upload.hold_id is not None and not await owners.hold(
            tx,
            upload.team_id,
            upload.owner,
            hold_id=upload.hold_id,
            size_bytes=upload.length_bytes or 0,
            limits=limits,
            expires_at=upload.expires_at + _HELD_LONGER,
        ):
            raise _full()

    async def _stands(self, upload: Upload) -> UploadStands:
        if upload.state is UploadState.FINISHED:
            return UploadStands(upload, upload.length_bytes or 0)
        try:
            offset_bytes = await self._registry.serving(upload.element_id).offset(upload.file_id)
        except FileNotThere:
            return await self._finished(upload)
        # All of it came, and whoever was to say so died.
        return (
            await self._finished(upload) if offset_bytes == upload.length_bytes else UploadStands(upload, offset_bytes)
        )

    async def _measured(
        self, upload: Upload, length_bytes: int, offset_bytes: int, held_bytes: int
    ) -> tuple[Upload, int]:
        if upload.length_bytes == length_bytes:
            return upload, held_bytes
        if upload.length_bytes is not None:
            raise Malformed(f"The upload's length is {upload.length_bytes} bytes: it was said before.")
        if length_bytes < offset_bytes:
            raise Malformed(f"{offset_bytes} bytes of the upload are here: it cannot have {length_bytes} in all.")
        self._check_length(length_bytes)
        missing = length_bytes - held_bytes
        async with self._database.transaction() as tx:
            # The upload before the room, as who gives it up does.
            if not await uploads.measure(tx, upload, length_bytes):
                raise UploadGone("The upload was given up.")
            if upload.hold_id is not None and missing > 0:
                limit = self._owner_rules.max_bytes
                if not await owners.widen(tx, upload.team_id, upload.hold_id, size_bytes=missing, max_bytes=limit):
                    raise _full()
                held_bytes = length_bytes
        return msgspec.structs.replace(upload, length_bytes=length_bytes), held_bytes

    async def _appended(self, upload: Upload, piece: Piece, held_bytes: int) -> int:
        at = piece.offset_bytes
        room_bytes = (self.rules.max_bytes if upload.length_bytes is None else upload.length_bytes) - at
        if piece.size_bytes is not None and piece.size_bytes > room_bytes:
            raise BodyTooLarge(f"{piece.size_bytes} bytes are more than the {room_bytes} that the upload lacks.")
        element = self._registry.serving(upload.element_id)
        held = self._held(upload, held_bytes - at)
        flow = Portions(held.around(piece.content), room_bytes=room_bytes)
        await self._prolong(upload)
        if piece.checksum is not None:
            content = checked(flow.all(), piece.checksum)
            return await element.append(upload.file_id, offset_bytes=at, content=content, all_or_nothing=True)
        while not flow.ended:
            at = await element.append(upload.file_id, offset_bytes=at, content=flow.next())
            await self._prolong(upload)
        return at

    async def _prolong(self, upload: Upload) -> None:
        now = self._clock.now()
        until = now + timedelta(seconds=self.rules.ttl_s)
        async with self._database.transaction() as tx:
            if not await uploads.prolong(tx, upload, now=now, expires_at=until, hold_expires_at=until + _HELD_LONGER):
                raise UploadGone("The upload was given up.")

    async def _finished(self, upload: Upload) -> UploadStands:
        """Make it a file, or find that it is one already."""
        try:
            with self._tally.of(Operation.UPLOAD):
                attributes = await self._registry.serving(upload.element_id).finish(upload.file_id)
        except ContentDiffers as error:
            await self._forget(upload, error.code)
            raise
        except FileNotThere as error:
            async with self._database.reading() as tx:
                stands = await rows.one(tx, upload.team_id, upload.file_id)
            if stands is None:
                await self._forget(upload, error.code)
                raise UploadUnknown("There is no such upload any more.") from error
            attributes = stands.attributes
        else:
            await self._ingest.settle(attributes, self._held(upload, 0))
        try:
            async with self._database.transaction() as tx:
                await uploads.finish(tx, upload, attributes.size_bytes)
        except Unavailable as error:
            # Durable is durable: whoever asks next finds that it is a file.
            self._log.warning("an upload is not marked as finished", file_id=upload.file_id, reason=error.detail)
        done = msgspec.structs.replace(upload, state=UploadState.FINISHED, length_bytes=attributes.size_bytes)
        return UploadStands(done, attributes.size_bytes)

    async def _forget(self, upload: Upload, error_code: str) -> None:
        async with self._database.transaction() as tx:
            await uploads.remove(tx, upload)
            await transaction_store.close(tx, [upload.file_id], error_code=error_code, now=self._clock.now())
            if upload.hold_id is not None:
                await perform(tx, owners.count([], release=[upload.hold_id]))

    def _held(self, upload: Upload, room_bytes: int) -> Held:
        held = Held(self._ingest, upload.team_id)
        held.hold_id, held.room_bytes = upload.hold_id, room_bytes
        return held

    def _check_length(self, length_bytes: int | None) -> None:
        if length_bytes is not None and length_bytes > self.rules.max_bytes:
            raise BodyTooLarge(f"The upload has {length_bytes} bytes; at most {self.rules.max_bytes} are taken.")


def _full() -> QuotaReached:
    return QuotaReached("The owner has as many files, or bytes, as may be. Delete some, or ask an admin for more.")
