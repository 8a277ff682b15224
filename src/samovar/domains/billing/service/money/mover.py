"""Moving spools into the ledger: this process's while it runs, and those that dead processes of this host left."""

import asyncio
import os
from collections.abc import Callable, Container
from pathlib import Path
from typing import Final

import structlog

from samovar.domains.billing.errors import ChargesRefused
from samovar.domains.billing.model.ledger import Settled
from samovar.domains.billing.service.money.ended import Batch
from samovar.domains.billing.service.money.hold import Tally
from samovar.domains.billing.service.money.journal import Place
from samovar.domains.billing.service.money.leasing import give_back
from samovar.domains.billing.service.money.posting import charge_all, takes_charges
from samovar.domains.billing.service.money.refused import RefusedFile
from samovar.domains.billing.service.money.replay import Reader
from samovar.domains.billing.service.money.spool import Spool, lock_folder, remove_folder
from samovar.domains.billing.store import leases
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database

MOVE_EVERY_S: Final = 0.25
LONGEST_PAUSE_S: Final = 10.0
_LEASES_AT_ONCE: Final = 100
# A millisecond of the event loop.
_AT_ONCE: Final = 1_200
# Where the database refused as many one by one, it is not the calls' fault.
REFUSED_TOGETHER: Final = 1_000
# What of a dead process was refused so often and so long is set aside, if the database takes something else.
_REFUSED_TIMES: Final = 3
_REFUSED_FOR_S: Final = 120.0


class Mover:
    """Moves one live spool. ``report`` is told of a database that does not take it."""

    def __init__(self, *, database: Database, spool: Spool, report: Callable[[str], None], tally: Tally) -> None:
        self._database = database
        self._spool = spool
        self._report = report
        self._tally = tally
        self._set_aside = RefusedFile(spool.folder.parent, tally)
        self._reader: Reader | None = None
        self._taken: Place = (0, 0)
        self._read_until: Place = (0, 0)
        self._batch: Batch | None = None
        self._reading: asyncio.Task[Batch] | None = None
        self._moving = asyncio.Lock()

    async def run(self) -> None:
        """Move until cancelled."""
        pause_s = MOVE_EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.drain()
                pause_s = MOVE_EVERY_S
            except (Unavailable, ChargesRefused, OSError) as error:
                self._report(f"charges wait in the spool: {error}")
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def drain(self) -> None:
        """Move all that was written before this was called. Raises ``Unavailable``, and ``ChargesRefused`` where the database
        takes none of what there is, ``OSError`` where the disk fails; nothing is lost by that, nor by a cancellation."""
        async with self._moving:
            until = self._spool.written
            while self._batch is not None or self._spool.moved < until:
                # Kept until it is written: the reader has gone on.
                batch = self._batch
                if batch is None:
                    batch = self._batch = await self._next()
                try:
                    if batch.calls:
                        await charge_all(self._database, batch.calls, self._set_aside)
                except ChargesRefused:
                    if len(batch.calls) >= REFUSED_TOGETHER or batch.end >= until:
                        raise
                    # Whose fault it is shows when one that came later is taken.
                    more = await self._next()
                    self._batch = Batch(batch.calls + more.calls, more.end)
                    continue
                self._batch = None
                self._passed(batch.end)

    async def _next(self) -> Batch:
        """From memory; where that has not kept up, from the disk until it is whole again."""
        if self._reader is not None and self._taken >= self._read_until:
            self._end_reading()
        batch = None
        if self._reader is None:
            batch = self._spool.ended.take(_AT_ONCE, self._spool.written)
            if batch is None:
                self._reader = Reader(self._spool.folder, begin=self._spool.begins, taken=self._taken)
                self._remember_anew()
        if self._reader is not None:
            batch = await self._read(self._reader)
        assert batch is not None
        self._taken = batch.end
        return batch

    def _end_reading(self) -> None:
        if self._spool.ended.is_whole:
            self._reader = None
        else:
            self._remember_anew()

    def _remember_anew(self) -> None:
        self._read_until = self._spool.written
        self._spool.ended.begin()

    def _passed(self, end: Place) -> None:
        # What was read a second time lies before it.
        end = max(end, self._spool.moved)
        self._spool.note_moved(end)
        if self._reader is None:
            return
        if self._spool.moved > end:
            # That began a segment: the one that was read is deleted.
            self._reader.go_on_at(self._spool.moved)
        self._tally.damaged_segments += self._reader.damaged
        self._reader.damaged = 0

    async def _read(self, reader: Reader) -> Batch:
        # Kept, too: a thread goes on when whoever waits for it is cancelled, and what it read is not read again.
        if self._reading is None:
            self._reading = asyncio.create_task(asyncio.to_thread(reader.read, until=self._read_until))
        await asyncio.wait([self._reading])
        read, self._reading = self._reading, None
        return read.result()


class Adopter:
    """Finds the spools of dead processes under ``root``, charges what they noted and closes their leases. Keep it: it
    remembers what the database refused."""

    def __init__(self, *, database: Database, root: Path, clock: Clock, ids: Ids, tally: Tally) -> None:
        self._database = database
        self._root = root
        self._clock = clock
        self._ids = ids
        self._tally = tally
        self._set_aside = RefusedFile(root, tally)
        # By folder, how often and since when (monotonic). It does not change any more: each time the calls are the same.
        self._refused: dict[str, tuple[int, float]] = {}
        self._log = structlog.get_logger("samovar.billing")

    async def adopt(self) -> int:
        """Settle every spool that nobody holds; how many those were. One that cannot be settled keeps no other from it: then
        the first failure, ``Unavailable``, ``ChargesRefused`` or ``OSError``, is raised at the end, and what is left is found
        the next time."""
        adopted = 0
        failures: list[Exception] = []
        for folder in await asyncio.to_thread(_folders, self._root):
            try:
                adopted += await self._adopt(folder)
            except (Unavailable, ChargesRefused, OSError) as error:
                if isinstance(error, ChargesRefused):
                    times, since = self._refused.get(folder.name, (0, self._clock.monotonic()))
                    self._refused[folder.name] = times + 1, since
                self._log.warning("what a dead process left waits", process=folder.name, reason=str(error))
                failures.append(error)
        if failures:
            raise failures[0]
        return adopted

    async def _adopt(self, folder: Path) -> bool:
        try:
            lock = lock_folder(folder)
        except FileNotFoundError:
            return False
        if lock is None:
            return False
        try:
            await self._settle(folder)
        finally:
            os.close(lock)
        self._refused.pop(folder.name, None)
        return True

    async def _settle(self, folder: Path) -> None:
        reader = Reader(folder)
        calls, before = 0, None
        refused: list[Settled] = []
        while True:
            batch = await asyncio.to_thread(reader.read)
            if batch.end == before:
                break
            before = batch.end
            waiting = refused + batch.calls
            try:
                calls += await self._charge(folder, waiting)
                refused = []
            except ChargesRefused:
                if len(waiting) >= REFUSED_TOGETHER:
                    raise
                # Whose fault it is shows when one that came later is taken.
                refused = waiting
        lost = reader.unsettled()
        calls += await self._charge(folder, refused + lost)
        await close_leases(self._database, folder.name)
        await asyncio.to_thread(remove_folder, folder)
        self._tally.adopted_calls += calls
        self._tally.damaged_segments += reader.damaged
        self._log.warning(
            "settled what a dead process left", process=folder.name, charged=calls, without_outcome=len(lost)
        )

    async def _charge(self, folder: Path, calls: list[Settled]) -> int:
        if not calls:
            return 0
        times, since = self._refused.get(folder.name, (0, 0.0))
        is_long = times >= _REFUSED_TIMES - 1 and self._clock.monotonic() - since >= _REFUSED_FOR_S
        return await charge_all(self._database, calls, self._set_aside, is_well=self._is_well if is_long else None)

    async def _is_well(self) -> bool:
        return await takes_charges(self._database, name=self._ids.new("probe"))


async def close_leases(
    database: Database, spender_id: str, *, known: Callable[[], Container[str] | None] = tuple
) -> bool:
    """Give back all that a process still has, once all that it noted of these leases stands in the ledger. What is ``known``
    stays; it says ``None`` where it cannot be told yet: then all stays, and the answer is ``False``. Raises ``Unavailable``."""
    after_id = ""
    while True:
        async with database.reading() as tx:
            found = await leases.list_open_of_spender(tx, spender_id, after_id=after_id, limit=_LEASES_AT_ONCE)
        # Asked now, and not before: one that came since is there, and known.
        kept = known()
        if kept is None:
            return False
        for lease in found:
            if lease.id not in kept:
                async with database.transaction() as tx:
                    await give_back(tx, lease.team_id, lease.id, keep=0, close=True)
        if len(found) < _LEASES_AT_ONCE:
            return True
        after_id = found[-1].id


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
