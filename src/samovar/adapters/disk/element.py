"""The element as the port has it: modes, order and cancellation; what blocks goes into threads."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec

from samovar.adapters.disk.commits import Taking
from samovar.adapters.disk.durability import translating
from samovar.adapters.disk.lanes import Lanes, digested
from samovar.adapters.disk.opened import Opened
from samovar.adapters.disk.parts import Parts
from samovar.adapters.disk.promises import Promise, Promises
from samovar.adapters.disk.syscalls import Syscalls
from samovar.adapters.disk.threads import Threads
from samovar.adapters.disk.uploads import Arriving
from samovar.adapters.disk.walk import next_step
from samovar.kernel.tasks import T, ended
from samovar.kernel.time import rfc3339
from samovar.ports.clock import Clock
from samovar.ports.element_flow import BATCH_BYTES, Batches, difference
from samovar.ports.element_rules import (
    Operation,
    check_draft,
    check_file_id,
    check_lowering,
    check_mode,
    check_path,
)
from samovar.ports.elements import (
    Attributes,
    Condition,
    DamagedFile,
    Draft,
    ElementUnavailable,
    FileNotThere,
    Found,
    Mode,
)

if TYPE_CHECKING:
    from hashlib import _Hash

P = ParamSpec("P")

_PIECES_BYTES: Final = 2 * 1024 * 1024
_TOGETHER_BYTES: Final = 256 * 1024
"""Smaller files are written in lockstep: larger ones would hold the others up."""
_WRITERS: Final = 32
_READERS: Final = 8
_SEGMENT_BYTES: Final = 4 * 1024 * 1024
_UNACKNOWLEDGED_AT_MOST: Final = 100_000
_VERIFY_BYTES_PER_S: Final = 200 * 1024 * 1024
_UPLOADS_KEPT: Final = timedelta(days=7)


class DiskElement:
    """A :class:`samovar.ports.elements.StorageElement` in the folder ``root``.

    ``mode`` is the configured one; what was lowered by request stays lowered (``samovar.ports.element_rules.mode_at_start``).
    ``may_begin`` is asked at each start in a folder that has no element's mark; ``verify_bytes_per_s`` bounds what :meth:`verify`
    reads; an open upload that nobody has added to for ``uploads_kept`` is forgotten at the next start.
    """

    def __init__(
        self,
        root: Path,
        *,
        element_id: str,
        mode: Mode,
        clock: Clock,
        may_begin: Callable[[], bool] = lambda: True,
        syscalls: Syscalls | None = None,
        verify_bytes_per_s: float = _VERIFY_BYTES_PER_S,
        segment_bytes: int = _SEGMENT_BYTES,
        unacknowledged_at_most: int = _UNACKNOWLEDGED_AT_MOST,
        uploads_kept: timedelta = _UPLOADS_KEPT,
    ) -> None:
        self.element_id = element_id
        self._mode = mode
        self._clock = clock
        self._verify_bytes_per_s = verify_bytes_per_s
        self._uploads_kept = uploads_kept
        self._started = False
        self._promises = Promises(
            element_id=element_id, room=lambda: self._read(self._parts.room), small_bytes=_PIECES_BYTES
        )
        self._translated = partial(translating, element_id)
        self._threads = Threads(name=f"element-{element_id}", writers=_WRITERS, readers=_READERS)
        self._parts = Parts(
            element_id=element_id,
            configured=mode,
            root=str(root),
            may_begin=may_begin,
            calls=syscalls or Syscalls(),
            allowed=lambda: self._allow(Operation.WRITE),
            segment_bytes=segment_bytes,
            unacknowledged_at_most=unacknowledged_at_most,
        )

    async def start(self) -> None:
        """See the port."""
        older_than = (self._clock.now() - self._uploads_kept).timestamp()
        with self._translated():
            self._mode = await self._threads.write(self._parts.start, uploads_older_than=older_than)
        self._started = True

    async def close(self) -> None:
        """See the port."""
        try:
            if self._started:
                self._started = False
                await self._threads.drained()
                with self._translated():
                    await self._threads.write(self._parts.stop)
        finally:
            await asyncio.to_thread(self._threads.close)

    async def write(self, draft: Draft, content: AsyncIterator[bytes]) -> Attributes:
        """See the port."""
        self._allow(Operation.WRITE)
        check_draft(draft, element_id=self.element_id)
        async with self._parts.under_way.only(draft.path), self._promises.made(draft) as promise:
            batches = Batches(content, size_bytes=_PIECES_BYTES)
            first = await batches.several()
            batches.check()
            if batches.ended:
                write = self._together if sum(map(len, first)) <= _TOGETHER_BYTES else self._write
                return await write(partial(self._parts.commits.whole, draft, first))
            taking = await self._begun(draft)
            if isinstance(taking, Attributes):
                return taking
            return await self._streamed(taking, first, batches, promise)

    async def _streamed(self, taking: Taking, first: list[bytes], batches: Batches, promise: Promise) -> Attributes:
        commits = self._parts.commits

        def take(pieces: Sequence[bytes]) -> None:
            commits.take(taking, pieces)
            promise.came(sum(map(len, pieces)))

        try:
            await self._take_in(first, batches, taking.digest, take)
            batches.check()
            return await self._write(commits.commit, taking)
        except BaseException:
            await self._write(commits.roll_back, taking)
            raise

    async def _begun(self, draft: Draft) -> Taking | Attributes:
        begun = self._threads.begin(self._parts.commits.begin, draft)
        try:
            with self._translated():
                return await ended(begun)
        except asyncio.CancelledError:
            if begun.exception() is None and isinstance(taking := begun.result(), Taking):
                await self._write(self._parts.commits.roll_back, taking)
            raise

    async def _take_in(
        self,
        pieces: list[bytes],
        batches: Batches,
        digest: "_Hash | None",
        take: Callable[[Sequence[bytes]], None],
    ) -> None:
        """One thread writes pieces while another digests them and the sender makes the next."""
        steps = [take] if digest is None else [take, lambda batch: digested(digest, batch)]
        lanes = Lanes(self._threads, *steps)
        try:
            while pieces and await lanes.put(pieces):
                pieces = [] if batches.ended else await batches.several()
        finally:
            await lanes.ended()
        with self._translated():
            lanes.check()

    async def begin(self, draft: Draft) -> None:
        """See the port."""
        self._allow(Operation.WRITE)
        check_draft(draft, element_id=self.element_id)
        await self._promises.check(draft)
        async with self._parts.under_way.only(draft.file_id):
            await self._write(self._parts.uploads.begin, draft)

    async def append(
        self, file_id: str, *, offset_bytes: int, content: AsyncIterator[bytes], all_or_nothing: bool = False
    ) -> int:
        """See the port."""
        self._allow(Operation.WRITE)
        async with self._parts.under_way.only(check_file_id(file_id)):
            arriving = await self._arriving(file_id, offset_bytes)
            batches = Batches(content, size_bytes=_PIECES_BYTES)
            stands = await self._arrived(arriving, batches, all_or_nothing=all_or_nothing)
            batches.check()
            return stands

    async def _arriving(self, file_id: str, offset_bytes: int) -> Arriving:
        begun = self._threads.begin(self._parts.uploads.arrive, file_id, offset_bytes=offset_bytes)
        try:
            with self._translated():
                return await ended(begun)
        except asyncio.CancelledError:
            if begun.exception() is None:
                await self._write(self._parts.uploads.drop, begun.result())
            raise

    async def _arrived(self, arriving: Arriving, batches: Batches, *, all_or_nothing: bool) -> int:
        """Where it stands when all that came is durable: what breaks off keeps what came before, where it may."""
        uploads = self._parts.uploads
        try:
            first = await batches.several()
            await self._take_in(first, batches, arriving.digest, lambda pieces: uploads.take(arriving, pieces))
            if all_or_nothing:
                batches.check()
        except asyncio.CancelledError:
            if all_or_nothing:
                await self._write(uploads.drop, arriving)
                raise
            arriving.digest = None
            await self._write(uploads.settle, arriving)
            raise
        except BaseException:
            await self._write(uploads.drop, arriving)
            raise
        return await self._write(uploads.settle, arriving)

    async def offset(self, file_id: str) -> int:
        """See the port."""
        async with self._parts.under_way.only(check_file_id(file_id)):
            return await self._read(self._parts.uploads.offset, file_id)

    async def finish(self, file_id: str) -> Attributes:
        """See the port."""
        self._allow(Operation.WRITE)
        path = self._parts.waiting.path_of(check_file_id(file_id))
        async with self._parts.under_way.only(file_id):
            try:
                draft = await self._read(self._parts.uploads.draft, file_id)
            except FileNotThere:
                if path is None:
                    raise
                # Its answer was lost; it was finished all the same.
                return await self._read(self._parts.commits.attributes, path)
            async with self._parts.under_way.only(draft.path):
                return await self._write(self._parts.uploads.finish, file_id)

    async def abandon(self, file_id: str) -> None:
        """See the port."""
        async with self._parts.under_way.only(check_file_id(file_id)):
            await self._write(self._parts.uploads.abandon, file_id)

    async def acknowledge(self, rows: Sequence[tuple[str, int]]) -> None:
        """See the port."""
        self._check_started()
        self._parts.journal.end(self._parts.waiting.acknowledged(rows))

    async def unacknowledged(self) -> AsyncIterator[Attributes]:
        """See the port."""
        self._check_started()
        for path in self._parts.waiting.paths():
            try:
                yield await self._read(self._parts.commits.attributes, path)
            except FileNotThere:
                # Somebody took it away by hand: no row can be made of it, ever.
                self._parts.journal.end(self._parts.waiting.forget(path))
            except DamagedFile:
                # The scrubber's report has it.
                continue

    async def attributes(self, path: str) -> Attributes:
        """See the port."""
        return await self._read(self._parts.commits.attributes, check_path(path))

    async def amend(self, attributes: Attributes) -> Attributes:
        """See the port."""
        self._allow(Operation.WRITE)
        async with self._parts.under_way.only(check_path(attributes.path)):
            return await self._write(self._parts.commits.amend, attributes)

    def read(self, path: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """See the port."""
        return self._pieces(Operation.READ, path, start, end)

    def read_cold(self, path: str) -> AsyncGenerator[bytes, None]:
        """See the port."""
        return self._pieces(Operation.RESTORE, path, 0, None)

    async def _pieces(self, what: Operation, path: str, start: int, end: int | None) -> AsyncGenerator[bytes, None]:
        self._allow(what)
        async with aclosing((await self._opened(path)).pieces(start, end)) as pieces:
            async for piece in pieces:
                yield piece

    async def open_content(self, path: str) -> Opened:
        """See the port."""
        self._allow(Operation.READ)
        return await self._opened(path)

    async def _opened(self, path: str) -> Opened:
        opening = self._threads.begin_reading(self._parts.commits.open, check_path(path))
        try:
            with self._translated():
                descriptor = await ended(opening)
        except asyncio.CancelledError:
            if opening.exception() is None:
                await self._read(self._parts.calls.close, opening.result())
            raise
        return Opened(descriptor, path=path, calls=self._parts.calls, threads=self._threads, serving=self._serving)

    async def delete(self, path: str) -> None:
        """See the port."""
        check_path(path)
        self._allow(Operation.DELETE)
        async with self._parts.under_way.only(path):
            await self._write(self._parts.commits.delete, path)

    async def verify(self, path: str) -> str | None:
        """See the port."""
        self._allow(Operation.READ)
        try:
            attributes = await self.attributes(path)
            opened = await self._opened(path)
        except DamagedFile as error:
            return error.detail
        digest, at = hashlib.sha256(), 0
        began = self._clock.monotonic()
        try:
            while piece := await opened.some(at, BATCH_BYTES):
                await self._read(digest.update, piece)
                at += len(piece)
                await asyncio.sleep(max(0.0, began + at / self._verify_bytes_per_s - self._clock.monotonic()))
        except ElementUnavailable as error:
            return f"It cannot be read at byte {at}: {error.detail}"
        finally:
            await opened.close()
        return difference(attributes, size_bytes=at, checksum=digest.hexdigest())

    async def quarantine(self, path: str, *, reason: str) -> None:
        """See the port."""
        check_path(path)
        self._allow(Operation.QUARANTINE)
        at = rfc3339(self._clock.now())
        async with self._parts.under_way.only(path):
            await self._write(self._parts.quarantine.set_aside, path, reason=reason, at=at)

    async def walk(self, *, after: str = "") -> AsyncIterator[Found]:
        """See the port."""
        batches = self._parts.walk.batches(after=after)
        while (found := (await self._read(next_step, batches)).found) is not None:
            for one in found:
                yield one

    async def condition(self) -> Condition:
        """See the port."""
        capacity_bytes, free_bytes = await self._read(self._parts.room)
        return Condition(
            element_id=self.element_id,
            mode=self._mode,
            capacity_bytes=capacity_bytes,
            free_bytes=free_bytes,
            read_only_because=self._parts.durability.broken_because,
        )

    async def lower_mode(self, mode: Mode) -> None:
        """See the port."""
        async with self._parts.under_way.only(""):
            check_lowering(self._mode, mode, element_id=self.element_id)
            await self._write(self._parts.state.lower, mode)
            self._mode = mode

    def _allow(self, operation: Operation) -> None:
        self._check_started()
        check_mode(self._mode, operation, element_id=self.element_id)
        if operation not in (Operation.READ, Operation.RESTORE):
            self._parts.durability.check()

    def _check_started(self) -> None:
        if not self._started:
            raise ElementUnavailable(f"The storage element {self.element_id} is not started.")

    def _serving(self) -> AbstractContextManager[None]:
        self._check_started()
        return self._translated()

    async def _write(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._serving():
            return await self._threads.write(step, *args, **kwargs)

    async def _together(self, step: Callable[[], T]) -> T:
        with self._serving():
            return await self._threads.write_together(step)

    async def _read(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._serving():
            return await self._threads.read(step, *args, **kwargs)
