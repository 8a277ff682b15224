"""Uploads as transactions, for those who ask: how one stands, which there are, and taking one back."""

from contextlib import suppress

import structlog

from samovar.domains.files.errors import FileUnknown, TransactionUnknown
from samovar.domains.files.model.names import is_file_id
from samovar.domains.files.model.records import may_change, may_see, owner_of
from samovar.domains.files.model.transactions import (
    UNFINISHED,
    Transaction,
    TransactionAnswer,
    TransactionKind,
    TransactionPage,
    TransactionState,
    told_transaction,
)
from samovar.domains.files.service.changes import FileChanges
from samovar.domains.files.service.ingest import Resumable
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.transactions import TRANSACTION_CANCELLED
from samovar.domains.files.store import transactions as store
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Forbidden, SamovarError, Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.database import Database
from samovar.ports.elements import FileNotThere
from samovar.ports.events import Bus


class TransactionDesk:
    """Each raises ``Forbidden``, ``TransactionUnknown``, ``Unavailable``. Owners see their own, who looks after the storage sees
    the team's."""

    def __init__(
        self, *, database: Database, registry: Registry, uploads: Resumable, changes: FileChanges, bus: Bus
    ) -> None:
        self._database = database
        self._registry = registry
        self._uploads = uploads
        self._changes = changes
        self._bus = bus
        self._log = structlog.get_logger("samovar.files")

    async def find(self, principal: Principal, file_id: str) -> TransactionAnswer:
        """One of them; of one that is not over the element is asked how far it has come."""
        require(principal, Permission.FILES_READ)
        return await self._told(await self._found(principal, file_id))

    async def page(
        self, principal: Principal, *, state: TransactionState | None, cursor: str | None, limit: int
    ) -> TransactionPage:
        """The newest first."""
        require(principal, Permission.FILES_READ)
        owner = None if may_see(principal, "") else owner_of(principal)
        async with self._database.reading() as tx:
            found = await store.page(
                tx, principal.team_id, owner=owner, state=state, before=cursor or "", limit=limit + 1
            )
        items = tuple(told_transaction(one, stands=None, told=None) for one in found[:limit])
        return TransactionPage(items=items, next_cursor=items[-1].id if len(found) > limit else None)

    async def cancel(self, principal: Principal, file_id: str) -> TransactionAnswer:
        """Take it back: what is under way stops, what stands is deleted where the element's mode allows that (``ModeRefused``
        where not). Of what is over and left nothing, nothing changes; so it may be asked twice. The only thing that deletes
        behind the commit point."""
        require(principal, Permission.FILES_WRITE)
        one = await self._found(principal, file_id)
        if not may_change(principal, one.owner):
            raise Forbidden("This upload is somebody else's: you may see it, and not cancel it.")
        if one.state is TransactionState.OPEN and one.kind is TransactionKind.RESUMABLE:
            await self._uploads.terminate(principal, file_id)
        elif one.state is TransactionState.OPEN:
            await self._stop(one)
        one = await self._found(principal, file_id)
        if one.state is TransactionState.DONE:
            await self._undo(principal, one)
        return await self._told(await self._found(principal, file_id))

    async def _stop(self, one: Transaction) -> None:
        async with self._database.transaction() as tx:
            if not await store.ask_to_cancel(tx, one.team_id, one.file_id):
                return
        try:
            await self._bus.publish(TRANSACTION_CANCELLED, one.file_id.encode())
        except Unavailable as error:
            # Who leads it finds it out when it says the next time that it does.
            self._log.warning("news of a cancelled upload did not go out", file_id=one.file_id, reason=error.detail)

    async def _undo(self, principal: Principal, one: Transaction) -> None:
        # Where somebody deleted it before there is nothing left of it, either.
        with suppress(FileUnknown):
            await self._changes.delete(principal, one.file_id)
        async with self._database.transaction() as tx:
            await store.cancelled(tx, one.team_id, one.file_id)

    async def _found(self, principal: Principal, file_id: str) -> Transaction:
        if is_file_id(file_id):
            async with self._database.reading() as tx:
                found = await store.one(tx, principal.team_id, file_id)
            if found is not None and may_see(principal, found.owner):
                return found
        raise TransactionUnknown(f"There is no transaction {file_id[:40]!r}, or it is not yours.")

    async def _told(self, one: Transaction) -> TransactionAnswer:
        if one.state in UNFINISHED:
            return told_transaction(one, stands=await self._stands(one), told=None)
        async with self._database.reading() as tx:
            waits = await store.is_untold(tx, one.team_id, one.file_id)
        return told_transaction(one, stands=True, told=not waits)

    async def _stands(self, one: Transaction) -> bool | None:
        try:
            await self._registry.serving(one.element_id).attributes(one.path)
        except FileNotThere:
            return False
        except SamovarError:
            return None
        return True
