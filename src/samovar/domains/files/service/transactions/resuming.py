"""Ending uploads whose leader died, in any admin process, and several at once: the element says whether the file stands.

Every step may be taken twice. Where the file stands it goes forward: row, news, acknowledgement. Where it does not, it goes back:
the element drops what it has, then the room is given back and the transaction closed, in one.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from samovar.domains.files.errors import ElementLost
from samovar.domains.files.model.names import first_id_at
from samovar.domains.files.model.transactions import Transaction, TransactionState, retry_s
from samovar.domains.files.service.changes import FileChanges
from samovar.domains.files.service.projecting import Projector
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.tally import Course, FileTally
from samovar.domains.files.service.transactions import TransactionRules
from samovar.domains.files.store import owners
from samovar.domains.files.store import transactions as store
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, FileNotThere, ModeRefused, StorageElement
from samovar.ports.outages import Outage
from samovar.ports.scripts import perform

_BATCH: Final = 50
_PRUNED: Final = 1_000
_PRUNE_EVERY_S: Final = 600.0
_LEADER_LOST: Final = "leader_lost"
_ELEMENT_LOST: Final = "element_lost"


class Resumer:
    """One for a process with the role admin."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        projector: Projector,
        changes: FileChanges,
        clock: Clock,
        ids: Ids,
        rules: TransactionRules,
        tally: FileTally,
    ) -> None:
        self._database = database
        self._registry = registry
        self._projector = projector
        self._changes = changes
        self._clock = clock
        self._rules = rules
        self._tally = tally
        self._coordinator = ids.new("coordinator")
        self._prunes_at_s = clock.monotonic() + rules.round_s
        self._log = structlog.get_logger("samovar.files")

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        outage = Outage("uploads without a leader wait", logger="samovar.files")
        while True:
            await asyncio.sleep(self._rules.round_s)
            try:
                await self.round()
                outage.over()
            except Unavailable as error:
                outage.tell(error)

    async def round(self) -> None:
        """Resume all that may be resumed now, and forget what is long over. Raises ``Unavailable``."""
        while await self.resume_some() == _BATCH:
            continue
        async with self._database.reading() as tx:
            self._tally.unfinished = await store.count_unfinished(tx)
        if self._clock.monotonic() >= self._prunes_at_s:
            self._prunes_at_s = self._clock.monotonic() + _PRUNE_EVERY_S
            await self.prune()

    async def resume_some(self) -> int:
        """Take over the oldest whose leader said nothing in time, and end them; how many there were. Those on an element that is
        away wait for it; those on one that is lost go back. Raises ``Unavailable``."""
        lease = timedelta(seconds=self._rules.lease_s)
        async with self._database.transaction() as tx:
            taken = await store.take_over(
                tx,
                now=self._clock.now(),
                lease=lease,
                coordinator=self._coordinator,
                element_ids=self._registry.settling(),
                limit=_BATCH,
            )
        for one in taken:
            await self._end(one)
        return len(taken)

    async def prune(self) -> int:
        """Forget those that are long over; how many there were. Raises ``Unavailable``."""
        before = first_id_at(self._clock.now() - timedelta(days=self._rules.keep_days))
        count = 0
        while True:
            async with self._database.transaction() as tx:
                gone = await store.prune(tx, before=before, limit=_PRUNED)
            count += gone
            if gone < _PRUNED:
                return count

    async def _end(self, one: Transaction) -> None:
        try:
            element = self._registry.serving(one.element_id)
            stands = await _standing(element, one.path)
            if stands is not None and one.state is TransactionState.CANCELLING:
                await self._take_back(element, one, stands)
            elif stands is not None:
                await self._forward(element, one, stands)
            else:
                await element.abandon(one.file_id)
                await self._back(one, _LEADER_LOST)
        except ElementLost:
            # Nobody will ever say whether it stood there, and nobody has it.
            await self._back(one, _ELEMENT_LOST)
        except SamovarError as error:
            self._log.warning("an upload without a leader waits", file_id=one.file_id, reason=error.detail)
            await self._later(one, error)

    async def _forward(self, element: StorageElement, one: Transaction, stands: Attributes) -> None:
        await self._projector.make_up(element, stands, hold_id=one.hold_id)
        self._told(one, Course.RESUMED_FORWARD)

    async def _back(self, one: Transaction, error_code: str) -> None:
        async with self._database.transaction() as tx:
            await store.close(tx, [one.file_id], error_code=error_code, now=self._clock.now())
            if one.hold_id is not None:
                await perform(tx, owners.count([], release=[one.hold_id]))
        self._told(one, Course.RESUMED_BACK)

    async def _take_back(self, element: StorageElement, one: Transaction, stands: Attributes) -> None:
        """It was cancelled, and its file came to stand before anybody heard of that."""
        try:
            await element.delete(stands.path)
        except ModeRefused as error:
            await self._forward(element, one, stands)
            await self._settled(one, TransactionState.DONE, error.code)
            return
        await self._changes.forget(stands)
        await self._settled(one, TransactionState.CANCELLED, one.error_code)
        self._told(one, Course.CANCELLED)

    async def _settled(self, one: Transaction, state: TransactionState, error_code: str | None) -> None:
        async with self._database.transaction() as tx:
            now = self._clock.now()
            await store.settle(tx, one.file_id, state=state, error_code=error_code, now=now)
            if one.hold_id is not None:
                await perform(tx, owners.count([], release=[one.hold_id]))

    async def _later(self, one: Transaction, error: SamovarError) -> None:
        due_at = self._clock.now() + timedelta(seconds=retry_s(one.resumes))
        try:
            async with self._database.transaction() as tx:
                await store.postpone(
                    tx, one.file_id, coordinator=self._coordinator, error_code=error.code, due_at=due_at
                )
        except Unavailable as refused:
            # It is led here until its lease is over, and then by whoever comes first.
            self._log.warning("an upload without a leader waits", file_id=one.file_id, reason=refused.detail)

    def _told(self, one: Transaction, course: Course) -> None:
        self._tally.courses[course] += 1
        self._log.info("an upload was resumed", file_id=one.file_id, course=course.value, resumes=one.resumes)


async def _standing(element: StorageElement, path: str) -> Attributes | None:
    try:
        return await element.attributes(path)
    except FileNotThere:
        return None
