"""Leading uploads: each is written down as a transaction before its element takes anything, and closed with its row.

All that begin or fail while one database transaction runs go into the next one together. Who leads one says so again and again;
who cannot stops, before anybody else takes it over.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, NamedTuple

import msgspec
import structlog

from samovar.domains.files.errors import TransactionCancelled, TransactionLost
from samovar.domains.files.model.transactions import Transaction, TransactionKind, TransactionState
from samovar.domains.files.service.tally import Course, FileTally
from samovar.domains.files.store import owners
from samovar.domains.files.store import transactions as store
from samovar.kernel.batches import Batches
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx
from samovar.ports.elements import Draft
from samovar.ports.events import Bus
from samovar.ports.scripts import perform

TRANSACTION_CANCELLED: Final = "files.transactions.cancelled"
"""Bus topic: the id of a transaction that is to stop, as ASCII."""
TRANSACTION_HEADER: Final = "X-Transaction-Id"

_MARGIN: Final = 0.25
_SAID_AGAIN: Final = 4


class TransactionRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who led one and says nothing for ``lease_s`` leads it no more: longer than an element waits for a silent sender, so that
    nobody writes for one that was taken over. Those that are over are kept for ``keep_days``; a round comes every ``round_s``."""

    lease_s: float = 120.0
    keep_days: int = 7
    round_s: float = 5.0


class Leading:
    """An upload that this process leads. Raises what ended it from :meth:`check`, and from the block it is led in."""

    def __init__(self, one: Transaction, *, valid_until_s: float, clock: Clock) -> None:
        self.transaction = one
        self.valid_until_s = valid_until_s
        self.is_long = False
        self._clock = clock
        self._ended: SamovarError | None = None
        self._window: asyncio.Timeout | None = None

    def check(self) -> None:
        """It is still led here. Cheap: asked at every piece, for a process may have been stopped between two of them."""
        if self._ended is None and self._clock.monotonic() >= self.valid_until_s:
            self._ended = _lost()
        if self._ended is not None:
            raise self._ended

    def end(self, error: SamovarError) -> None:
        """Stop at once, with this."""
        if self._ended is None:
            self._ended = error
            if self._window is not None:
                self._window.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def window(self) -> AsyncIterator[None]:
        """What is done in here stops when it is ended."""
        try:
            async with asyncio.timeout(None) as self._window:
                self.check()
                yield
        except TimeoutError:
            if self._ended is None or self._window is None or not self._window.expired():
                raise
            raise self._ended from None
        finally:
            self._window = None


class _Change(NamedTuple):
    """``begun`` is one that begins; else ``error_code`` says why ``closed`` is over, or is left for others."""

    begun: Transaction | None = None
    closed: Transaction | None = None
    error_code: str = ""
    is_in_doubt: bool = False


class Transactions:
    """One for a process."""

    def __init__(
        self, *, database: Database, clock: Clock, ids: Ids, bus: Bus, rules: TransactionRules, tally: FileTally
    ) -> None:
        self._database = database
        self._clock = clock
        self._rules = rules
        self._tally = tally
        self.coordinator = ids.new("coordinator")
        self._leading: dict[str, Leading] = {}
        self._changes = Batches(self._write, name="files-transactions")
        self._log = structlog.get_logger("samovar.files")
        bus.subscribe(TRANSACTION_CANCELLED, self.on_cancelled)

    async def begin(self, draft: Draft, *, element_id: str, hold_id: str | None) -> Leading:
        """Write down that an upload begins; it is led here from now on. Raises ``Unavailable``."""
        leads_until_s = self._clock.monotonic() + self._rules.lease_s
        one = self.made(draft, TransactionKind.UPLOAD, element_id=element_id, hold_id=hold_id)
        await self._changes.add(_Change(begun=one))
        leading = Leading(one, valid_until_s=leads_until_s - self._rules.lease_s * _MARGIN, clock=self._clock)
        self._leading[one.file_id] = leading
        self._tally.courses[Course.BEGUN] += 1
        return leading

    def made(self, draft: Draft, kind: TransactionKind, *, element_id: str, hold_id: str | None) -> Transaction:
        """One that begins now."""
        now = self._clock.now()
        is_led = kind is TransactionKind.UPLOAD
        return Transaction(
            file_id=draft.file_id,
            team_id=draft.team_id,
            owner=draft.owner,
            kind=kind,
            state=TransactionState.OPEN,
            element_id=element_id,
            path=draft.path,
            size_bytes=draft.expected_bytes,
            hold_id=hold_id,
            coordinator=self.coordinator,
            due_at=now + timedelta(seconds=self._rules.lease_s) if is_led else None,
            resumes=0,
            error_code=None,
            started_at=now,
            finished_at=None,
        )

    async def move(self, leading: Leading, element_id: str) -> None:
        """It goes on on another element. Raises ``TransactionLost``, ``Unavailable``."""
        file_id = leading.transaction.file_id
        async with self._database.transaction() as tx:
            if not await store.move(tx, file_id, element_id=element_id, coordinator=self.coordinator):
                leading.end(_lost())
        leading.check()

    def settled(self, leading: Leading) -> None:
        """Its file stands: its row closes it, now or later."""
        self._leading.pop(leading.transaction.file_id, None)
        self._tally.courses[Course.DONE] += 1

    async def failed(self, leading: Leading, error: BaseException, *, is_in_doubt: bool) -> None:
        """It did not become a file, and the element has dropped what it had; or else ``is_in_doubt``: then whoever resumes
        it finds out. Never raises ``Unavailable``."""
        one = leading.transaction
        self._leading.pop(one.file_id, None)
        code = error.code if isinstance(error, SamovarError) else "interrupted"
        if isinstance(error, SamovarError):
            error.headers.setdefault(TRANSACTION_HEADER, one.file_id)
        over = Course.CANCELLED if isinstance(error, TransactionCancelled) else Course.ROLLED_BACK
        self._tally.courses[Course.IN_DOUBT if is_in_doubt else over] += 1
        try:
            await self._changes.add(_Change(closed=one, error_code=code, is_in_doubt=is_in_doubt))
        except Unavailable as refused:
            self._log.warning("an upload's transaction stays open", file_id=one.file_id, reason=refused.detail)

    async def run(self) -> None:
        """Say again and again what is led here, until cancelled."""
        while True:
            await asyncio.sleep(self._rules.lease_s / _SAID_AGAIN)
            await self.renew()

    async def renew(self) -> None:
        """What is led here for a while already is led on; what is not any more stops."""
        led = dict(self._leading)
        # Most are over before the first time: those are not worth a word.
        known = [file_id for file_id, leading in led.items() if leading.is_long]
        for leading in led.values():
            leading.is_long = True
        if not known:
            return
        began_s, lease = self._clock.monotonic(), timedelta(seconds=self._rules.lease_s)
        try:
            async with self._database.transaction() as tx:
                due_at = self._clock.now() + lease
                still = await store.renew(tx, known, coordinator=self.coordinator, due_at=due_at)
        except Unavailable as error:
            self._log.warning("uploads under way are not renewed", count=len(known), reason=error.detail)
            still = {file_id for file_id in known if self._clock.monotonic() < led[file_id].valid_until_s}
        else:
            for file_id in still:
                led[file_id].valid_until_s = began_s + self._rules.lease_s * (1 - _MARGIN)
        for file_id in known:
            if file_id not in still and file_id in self._leading:
                led[file_id].end(_lost())

    async def on_cancelled(self, message: bytes) -> None:
        """Bus handler."""
        leading = self._leading.get(message.decode("ascii", "replace"))
        if leading is not None:
            leading.end(TransactionCancelled("The upload was cancelled while it was under way: nothing of it stays."))

    async def close(self) -> None:
        """Let what is written down be written."""
        await self._changes.close()

    async def _write(self, some: Sequence[_Change]) -> list[None]:
        if begun := [one.begun for one in some if one.begun is not None]:
            # A power cut that takes this row takes the upload with it, or the element tells of the file, and it is made anew.
            await self._database.run(store.add(begun), is_synced=False)
        if closed := {one.closed.file_id: (one.closed, one) for one in some if one.closed is not None}:
            async with self._database.transaction() as tx:
                # One after the other, and what they hold behind them: the order of all who write these.
                freed = [await self._close(tx, *closed[file_id]) for file_id in sorted(closed)]
                await perform(tx, owners.count([], release=[hold_id for hold_id in freed if hold_id is not None]))
        return [None] * len(some)

    async def _close(self, tx: Tx, one: Transaction, change: _Change) -> str | None:
        now = self._clock.now()
        if change.is_in_doubt:
            await store.postpone(
                tx, one.file_id, coordinator=self.coordinator, error_code=change.error_code, due_at=now
            )
            return None
        await store.close(tx, [one.file_id], error_code=change.error_code, now=now)
        return one.hold_id


def _lost() -> TransactionLost:
    return TransactionLost(
        "The upload was taken over, for this process did not say in time that it leads it. Begin again."
    )
