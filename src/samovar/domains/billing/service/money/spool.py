"""A process's journal on disk: append-only segments in a folder of its own, which it keeps locked while it lives.

A record is in the page cache before its call goes on, so the death of the process loses nothing. With ``sync`` ``interval``
it is on the disk a tenth of a second later, with ``always`` before the call goes on; syncs are shared by all who wait.

A segment is deleted when everything in it stands in the ledger, the oldest first, and so do the outcomes of the calls that
began in it; intents still open in it are written again into the newest before, so that one long stream does not keep the others.
"""

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

from samovar.domains.billing.errors import SpoolFull
from samovar.domains.billing.model.records import NO_MEMO, REPLACED, Intent, Outcome, framed
from samovar.domains.billing.service.money.ended import Ended
from samovar.domains.billing.service.money.journal import Place
from samovar.domains.billing.service.money.segment import Segment

Sync: TypeAlias = Literal["interval", "always"]

SYNC_EVERY_S: Final = 0.1
REMEMBERED: Final = 20_000
"""Some seconds of all that one process can do."""
LOCK_FILE: Final = "lock"
_SUFFIX: Final = ".records"


def segment_path(folder: Path, number: int) -> Path:
    """Where a segment lies."""
    return folder / f"{number:08d}{_SUFFIX}"


def segments_of(folder: Path) -> list[int]:
    """The numbers of the segments there are, ascending."""
    return sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}"))


def lock_folder(folder: Path, *, new: bool = False) -> int | None:
    """The file descriptor of the folder's lock, or ``None`` where its process lives or somebody else has it. Closing it
    unlocks. Raises ``FileNotFoundError`` for a folder that is gone."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if new else 0)
    handle = os.open(folder / LOCK_FILE, flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it before us may have deleted the folder with the file.
        if os.fstat(handle).st_nlink == 0:
            raise BlockingIOError
    except OSError:
        os.close(handle)
        return None
    return handle


class Spool:
    """A :class:`Journal`. Make it with :meth:`made`; :meth:`run` syncs until cancelled; :meth:`close` at the end.

    ``max_bytes`` bounds what lies on disk: past it no intent is taken. ``remembered`` calls that ended are kept in memory, too,
    for whoever moves them. ``report`` is told what goes wrong with the disk.
    """

    def __init__(
        self,
        folder: Path,
        lock: int,
        *,
        sync: Sync,
        max_bytes: int,
        segment_bytes: int,
        remembered: int,
        report: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self._lock = lock
        self._always = sync == "always"
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._report = report
        self._older: deque[tuple[int, int]] = deque()
        self._older_bytes = 0
        self._open: dict[str, tuple[int, Intent]] = {}
        self._late: deque[tuple[str, bytes]] = deque()
        self._dirty = asyncio.Event()
        # Whether a record has set it since it was last cleared: each call would ask it twice, which is a call of a function.
        self._is_dirty = False
        self._full: list[Segment] = []
        self._to_delete: list[int] = []
        # Once all before the place stands in the ledger, nobody needs the segments below the number.
        self._done_with: tuple[Place, int] | None = None
        self._waiters: list[tuple[asyncio.Future[None], bool]] = []
        self._one_at_a_time = asyncio.Lock()
        self._syncing: asyncio.Task[None] | None = None
        self._served: list[tuple[asyncio.Future[None], bool]] = []
        self._broken: str | None = None
        self._is_closed = False
        self.moved: Place = (1, 0)
        self.ended = Ended(remembered)
        self._segment = self._made_segment(1)

    @classmethod
    def made(
        cls,
        root: Path,
        name: str,
        *,
        sync: Sync,
        max_bytes: int,
        report: Callable[[str], None],
        segment_bytes: int = 8 * 1024 * 1024,
        remembered: int = REMEMBERED,
    ) -> "Spool":
        """A new one in ``root/name``. Raises ``OSError``."""
        # Locked before it has its name: nobody may take it for that of a process which died.
        unnamed = root / f".{name}"
        unnamed.mkdir(mode=0o700, parents=True)
        lock = lock_folder(unnamed, new=True)
        assert lock is not None
        try:
            unnamed.rename(root / name)
            return cls(
                root / name,
                lock,
                sync=sync,
                max_bytes=max_bytes,
                segment_bytes=segment_bytes,
                remembered=remembered,
                report=report,
            )
        except OSError:
            # It would stay locked, and so be nobody's, as long as this process lives.
            with suppress(OSError):
                remove_folder(root / name)
            os.close(lock)
            raise

    # --- the journal

    def intend(self, intent: Intent) -> Awaitable[None] | None:
        """See :class:`Journal`."""
        if self._is_closed:
            raise SpoolFull("This process is ending and takes no more calls.", headers={"Retry-After": "1"})
        if self._broken is not None:
            raise SpoolFull(f"The disk that charges are noted on failed: {self._broken}. See the log, then restart.")
        # More than is waiting, and quickly known.
        most_bytes = self._older_bytes + self._segment.size
        if self._late or (most_bytes >= self._max_bytes and self.waiting_bytes >= self._max_bytes):
            raise SpoolFull(
                f"{self.waiting_bytes} bytes of charges wait for the database in {self.folder}: until it takes them, no"
                " call that must be paid for goes out. See whether the database answers and the disk has room.",
                headers={"Retry-After": "5"},
            )
        try:
            self._append(framed(intent))
        except OSError as error:
            raise SpoolFull(f"The call cannot be noted in {self.folder}: {error.strerror}.") from error
        self._open[intent.call_id] = (self._segment.number, intent)
        return self._synced(strictly=True) if self._always else None

    def conclude(self, intent: Intent, outcome: Outcome) -> Awaitable[None] | None:
        """See :class:`Journal`. Where the disk takes nothing it is kept in memory and tried again; were the process to die
        before, the call would be charged at its hold; and so is one that ends after :meth:`close`."""
        if self._is_closed:
            self._report(f"call {intent.call_id} ended after its process's spool, and is charged at its hold")
            return None
        frame = self._framed(outcome)
        try:
            if self._late:
                raise BlockingIOError
            self._append(frame)
        except OSError as error:
            if not self._late:
                self._report(f"outcomes wait in memory: {error}")
            self._late.append((intent.call_id, frame))
            self.ended.forget()
            # Nobody else might ever write again.
            self._dirty.set()
            return None
        self._open.pop(intent.call_id, None)
        segment = self._segment
        self.ended.note(intent, outcome, segment.number, segment.size)
        return self._synced(strictly=False) if self._always else None

    @property
    def end(self) -> Place:
        """See :class:`Journal`."""
        # What waits in memory comes after all that is written.
        segment = self._segment
        return (segment.number + 1, 0) if self._late else (segment.number, segment.size)

    @property
    def written(self) -> Place:
        """How far the files may be read."""
        return self._segment.number, self._segment.size

    @property
    def begins(self) -> Place:
        """Whatever is not in the ledger stands behind this; and so do the intents of calls that have not ended."""
        return (self._older[0][0] if self._older else self._segment.number), 0

    @property
    def waiting_bytes(self) -> int:
        """See :class:`Journal`."""
        segment, (number, offset) = self._segment, self.moved
        return self._older_bytes + segment.size - (offset if number == segment.number else 0)

    def note_moved(self, mark: Place) -> None:
        """All before ``mark`` stands in the ledger: let go of what is not needed any more."""
        self.moved = mark
        number, until = mark[0], self.written
        self._let_go(mark)
        try:
            if mark == until and self._segment.is_full:
                self._begin_segment()
                number = self._segment.number
                self.moved = (number, 0)
            if self._done_with is not None or not self._older or self._older[0][0] >= number:
                return
            for _, intent in [entry for entry in self._open.values() if entry[0] < number]:
                self._append(framed(intent))
                self._open[intent.call_id] = (self._segment.number, intent)
        except OSError as error:
            self._report(f"segments stay: {error}")
            return
        # Of a call that ended while others were moved the outcome stands behind the mark, and the intent perhaps before it.
        self._done_with = until, number
        self._let_go(mark)

    def _let_go(self, mark: Place) -> None:
        if self._done_with is None or mark < self._done_with[0]:
            return
        (_, number), self._done_with = self._done_with, None
        while self._older and self._older[0][0] < number:
            old, size = self._older.popleft()
            self._older_bytes -= size
            self._to_delete.append(old)
        self._dirty.set()

    # --- the disk

    async def run(self) -> None:
        """Sync what is written, until cancelled."""
        while True:
            await self._dirty.wait()
            if not self._always:
                await asyncio.sleep(SYNC_EVERY_S)
            self._write_late()
            await self.sync()
            if self._late:
                await asyncio.sleep(SYNC_EVERY_S)

    async def sync(self) -> None:
        """Bring to disk what is written, and let those go on who wait for it."""
        async with self._one_at_a_time:
            # One whose caller was cancelled goes on in its thread, and tells how it ended here.
            await self._synced_files()
            self._dirty.clear()
            self._is_dirty = False
            if self._late:
                self._dirty.set()
            self._served, self._waiters = self._waiters, []
            full, self._full = self._full, []
            gone: list[int] = []
            if self._broken is None:
                gone, self._to_delete = self._to_delete, []
            self._syncing = asyncio.create_task(asyncio.to_thread(self._sync_files, self._segment, full, gone))
            await self._synced_files()

    async def close(self, *, delete: bool) -> None:
        """Sync and unlock; again is harmless. ``delete`` where all of it stands in the ledger; else the next process of this
        host takes it."""
        if self._is_closed:
            return
        self._write_late()
        self._is_closed = True
        delete = delete and self.moved >= self.end
        if self._late:
            self._report(
                f"{len(self._late)} outcomes found no room on the disk: their calls are charged at their holds"
            )
        try:
            await self.sync()
            await asyncio.to_thread(self._end, delete=delete)
        except OSError as error:
            self._report(f"the disk failed: {error}")
        finally:
            os.close(self._lock)

    def _end(self, *, delete: bool) -> None:
        self._segment.end()
        if delete:
            remove_folder(self.folder)

    async def _synced_files(self) -> None:
        if self._syncing is None:
            return
        await asyncio.wait([self._syncing])
        error, self._syncing = self._syncing.exception(), None
        if error is not None:
            # After a failed sync nobody knows what is on the disk, and a second one would say that all is well.
            self._broken = str(error)
            self._report(f"the disk failed: {self._broken}")
        served, self._served = self._served, []
        for waiter, strictly in served:
            if waiter.done():
                continue
            if self._broken is not None and strictly:
                waiter.set_exception(SpoolFull(f"The disk that charges are noted on failed: {self._broken}."))
            else:
                waiter.set_result(None)

    def _framed(self, outcome: Outcome) -> bytes:
        """The record. Where it says something else than ``outcome``, what is remembered of ended calls is not whole."""
        try:
            frame = framed(outcome)
        except ValueError:
            # Too long, or text that is no Unicode: the memo is what a vendor sent, and the charge matters more.
            bare = Outcome(outcome.call_id, outcome.cost_nano_usd, outcome.kind, outcome.source, outcome.mark, NO_MEMO)
            self.ended.forget()
            return framed(bare)
        if frame.find(REPLACED) >= 0:
            self.ended.forget()
        return frame

    def _append(self, frame: bytes) -> None:
        segment = self._segment
        if segment.size >= segment.wanted_bytes:
            self._begin_segment()
            segment = self._segment
        segment.append(frame)
        if not self._is_dirty:
            self._is_dirty = True
            self._dirty.set()

    def _begin_segment(self) -> None:
        full = self._segment
        self._segment = self._made_segment(full.number + 1)
        self._full.append(full)
        self._older.append((full.number, full.size))
        self._older_bytes += full.size

    def _made_segment(self, number: int) -> Segment:
        return Segment(segment_path(self.folder, number), number, wanted_bytes=self._segment_bytes)

    def _write_late(self) -> None:
        try:
            while self._late:
                call_id, frame = self._late[0]
                self._append(frame)
                self.ended.forget()
                self._late.popleft()
                self._open.pop(call_id, None)
        except OSError:
            return

    def _synced(self, *, strictly: bool) -> Awaitable[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((waiter, strictly))
        return waiter

    def _sync_files(self, newest: Segment, full: list[Segment], gone: list[int]) -> None:
        with ExitStack() as ends:
            # Each of them, whatever becomes of another.
            for segment in full:
                ends.callback(segment.end)
        newest.sync()
        # What was carried over is on the disk by now.
        for number in gone:
            segment_path(self.folder, number).unlink(missing_ok=True)
        if full or gone:
            _sync_folder(self.folder)


def remove_folder(folder: Path) -> None:
    """Delete a spool whose lock the caller has. The lock goes last: until then the folder is nobody else's."""
    for number in segments_of(folder):
        segment_path(folder, number).unlink(missing_ok=True)
    (folder / LOCK_FILE).unlink(missing_ok=True)
    folder.rmdir()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
