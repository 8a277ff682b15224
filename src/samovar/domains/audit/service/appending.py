"""One appender a process: whatever waits is written in one transaction, and whoever waits hears when it is committed."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from itertools import islice
from typing import Final

import msgspec

from samovar.domains.audit import store
from samovar.domains.audit.errors import AuditUnwritten, RecordRefused
from samovar.domains.audit.model import Entry, Place, Record
from samovar.domains.audit.model.records import follow
from samovar.domains.audit.service.sealing import Report, Sealing
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database, Tx
from samovar.ports.outages import Outage

_FIRST_REST_S: Final = 0.1
_LAST_REST_S: Final = 5.0


class AppendBounds(msgspec.Struct, frozen=True, kw_only=True):
    """``batch`` records at most go into one transaction, which has ``write_s``; ``wait_s`` is how long a caller waits."""

    waiting: int = 10_000
    batch: int = 200
    wait_s: float = 5.0
    write_s: float = 10.0
    farewell_s: float = 5.0


class _Waiting(msgspec.Struct, eq=False):
    entry: Entry
    written: asyncio.Future[None]


class Appender:
    """Takes entries in memory and writes them in their order.

    The chain is exact over processes, for each batch locks its head; and an entry is in it once, for after a commit whose answer
    was lost its id is looked for. An entry waits in memory until it is written, however long its caller waits: only a full
    queue and the end of the process lose one, and both say so.
    """

    def __init__(
        self, *, database: Database, sealing: Sealing, report: Report, bounds: AppendBounds | None = None
    ) -> None:
        self._database = database
        self._sealing = sealing
        self._report = report
        self._bounds = bounds or AppendBounds()
        self._queue: deque[_Waiting] = deque()
        self._something = asyncio.Event()
        self._is_uncertain = False
        self._written: Counter[str] = Counter()
        self.unwritten = 0
        self.late = 0
        """Records that were not written while their caller waited."""
        self.sequence = 0
        """The last record that this process wrote."""

    @property
    def waiting(self) -> int:
        """Entries not written yet."""
        return len(self._queue)

    @property
    def written(self) -> Mapping[str, int]:
        """Records that this process wrote, by their result."""
        return self._written

    def submit(self, entry: Entry) -> asyncio.Future[None]:
        """Queue ``entry``; the answer is done when it is committed. Raises :class:`AuditUnwritten` where there is no room."""
        if len(self._queue) >= self._bounds.waiting:
            self._lose(entry, AuditUnwritten(f"{len(self._queue)} audit records wait already."))
            raise AuditUnwritten(f"{len(self._queue)} audit records wait already: there is no room for another.")
        one = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._queue.append(one)
        self._something.set()
        return one.written

    async def append(self, entry: Entry) -> None:
        """Returns when ``entry`` is committed. Raises :class:`AuditUnwritten`: it is not known to be, and may be yet."""
        written = self.submit(entry)
        try:
            # Whoever waits may be cancelled; what happened has happened, and is written.
            async with asyncio.timeout(self._bounds.wait_s):
                await asyncio.shield(written)
        except TimeoutError as error:
            self.late += 1
            written.add_done_callback(_heard)
            raise AuditUnwritten(
                f"The database did not take the audit record {entry.id} within {self._bounds.wait_s:g} s; it is tried again."
            ) from error
        except asyncio.CancelledError:
            written.add_done_callback(_heard)
            raise

    async def append_in(self, tx: Tx, entry: Entry) -> None:
        """In somebody's own transaction, as the last thing it does: the chain's head is locked until it ends. Raises
        :class:`RecordRefused`."""
        head = await self._sealing.lock(tx)
        record = _following(Place(head.sequence, head.hash), entry)
        await store.add_records(tx, [record])
        await self._sealing.after(tx, head, Place(record.sequence, record.hash))

    async def run(self) -> None:
        """Write until cancelled; call :meth:`close` afterwards."""
        rest_s = _FIRST_REST_S
        outage = Outage(
            "audit records wait: the database does not take them", logger="samovar.audit", report=self._report
        )
        while True:
            await self._something.wait()
            self._something.clear()
            try:
                await self.flush()
                rest_s = _FIRST_REST_S
                outage.over()
            except (Unavailable, TimeoutError) as error:
                outage.tell(error)
                await asyncio.sleep(rest_s)
                rest_s = min(rest_s * 2, _LAST_REST_S)
                self._something.set()

    async def close(self) -> None:
        """Write what waits, within a moment; what cannot be written is said."""
        try:
            async with asyncio.timeout(self._bounds.farewell_s):
                await self.flush()
        except (Unavailable, TimeoutError) as error:
            for one in self._queue:
                self._lose(one.entry, error)
                if not one.written.done():
                    one.written.set_exception(AuditUnwritten("Samovar stops, and the database does not answer."))
                    one.written.add_done_callback(_heard)
            self._queue.clear()

    async def flush(self) -> None:
        """Write all that waits. Raises ``Unavailable`` and ``TimeoutError``; then it waits still."""
        while self._queue:
            batch = list(islice(self._queue, self._bounds.batch))
            try:
                await self._write(batch)
            except RecordRefused as refusal:
                if len(batch) > 1:
                    await self._one_by_one(batch)
                else:
                    self._refused(batch[0], refusal)

    async def _one_by_one(self, batch: list[_Waiting]) -> None:
        """One that the database refuses must not hold up the others for ever."""
        for one in batch:
            try:
                await self._write([one])
            except RecordRefused as refusal:
                self._refused(one, refusal)

    async def _write(self, batch: list[_Waiting]) -> None:
        # Set before and not after: a cancelled commit may have been one.
        doubtful, self._is_uncertain = self._is_uncertain, True
        async with asyncio.timeout(self._bounds.write_s):
            async with self._database.transaction() as tx:
                head = await self._sealing.lock(tx)
                known = await store.known_ids(tx, [one.entry.id for one in batch]) if doubtful else set()
                place = Place(head.sequence, head.hash)
                records: list[Record] = []
                for one in batch:
                    if one.entry.id not in known:
                        records.append(_following(place, one.entry))
                        place = Place(records[-1].sequence, records[-1].hash)
                if records:
                    await store.add_records(tx, records)
                await self._sealing.after(tx, head, place)
        self._is_uncertain = False
        self.sequence = place.sequence
        for one in batch:
            self._queue.popleft()
            self._written[str(one.entry.result)] += 1
            if not one.written.done():
                one.written.set_result(None)

    def _refused(self, one: _Waiting, refusal: RecordRefused) -> None:
        self._queue.popleft()
        self._lose(one.entry, refusal)
        if not one.written.done():
            one.written.set_exception(AuditUnwritten(refusal.detail))
            one.written.add_done_callback(_heard)

    def _lose(self, entry: Entry, error: BaseException) -> None:
        self.unwritten += 1
        said = f"{entry.action} of {entry.resource} by {entry.user_id} ({entry.result}, request {entry.request_id})"
        self._report(error, f"the audit record {entry.id} is lost: {said}")


def _following(place: Place, entry: Entry) -> Record:
    try:
        return follow(place, entry)
    except (ValueError, TypeError) as error:
        # It was not made by `entry_of`.
        raise RecordRefused(f"The record {entry.id} has no canonical text: {error}.") from error


def _heard(future: asyncio.Future[None]) -> None:
    """Nobody waits for it any more: its failure was said where it happened."""
    if not future.cancelled():
        future.exception()
