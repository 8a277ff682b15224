"""The :class:`~samovar.ports.images.Images` port over worker processes, started when needed and ended when idle."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from samovar.adapters.pillow.process import Worker, WorkerLost, WorkerOverdue, WorkerUnstarted
from samovar.adapters.pillow.wire import Bounds, Done, Job, Message, Refused, refusal
from samovar.ports.images import (
    BrokenImage,
    ImageKind,
    ImageLimits,
    Images,
    ImagesBusy,
    ImageTooLarge,
    Picture,
    require_kind,
)

_BUSY: Final = {"retry-after": "1"}


class PillowImages(Images):
    """Prepares at most ``workers`` images at once, each in a process of its own.

    ``max_waiting`` more may wait. ``processor_s`` is what an image may cost before its worker is ended and the image
    refused; ``wait_s`` bounds the wait for a worker, and then that for its answer: past it the machine is at fault.
    ``max_bytes``, ``max_side_px`` and ``max_pixels`` bound what is read at all, ``memory_bytes`` the address space of a
    worker. A worker that had nothing to do for ``idle_s`` seconds is ended. Serves one event loop.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        max_waiting: int = 32,
        wait_s: float = 20.0,
        processor_s: int = 10,
        idle_s: float = 60.0,
        max_bytes: int = 20_000_000,
        max_side_px: int = 30_000,
        max_pixels: int = 100_000_000,
        memory_bytes: int = 1_500_000_000,
    ) -> None:
        self._bounds = Bounds(max_bytes=max_bytes, max_side_px=max_side_px, max_pixels=max_pixels)
        self._memory_bytes = memory_bytes
        self._wait_s = wait_s
        self._processor_s = processor_s
        self._idle_s = idle_s
        self._max_waiting = max_waiting
        self._waiting = 0
        self._most = workers
        self._places = asyncio.Semaphore(workers)
        # A thread a worker waits on its socket: megabytes pass without the event loop, and a new process starts beside it.
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="images")
        self._graves = ThreadPoolExecutor(1, thread_name_prefix="images-end")
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def workers(self) -> int:
        """How many worker processes there are now."""
        return len(self._idle) + len(self._busy)

    async def prepare(self, content: bytes, *, limits: ImageLimits) -> Picture:
        """See :meth:`samovar.ports.images.Images.prepare`."""
        if self._closed:
            raise self._shutting_down()
        require_kind(content)
        if len(content) > self._bounds.max_bytes:
            raise ImageTooLarge(
                f"The image has {len(content):,} bytes; at most {self._bounds.max_bytes:,} are read. Send a smaller one."
            )
        await self._take_place()
        try:
            return await self._work(Job(self._bounds, limits), content)
        finally:
            self._places.release()

    async def _take_place(self) -> None:
        if self._places.locked() and self._waiting >= self._max_waiting:
            raise ImagesBusy("Too many images are being prepared. Try again in a moment.", headers=_BUSY)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise ImagesBusy(
                f"No worker was free for the image within {self._wait_s:g} s. Try again in a moment.", headers=_BUSY
            ) from None
        finally:
            self._waiting -= 1

    async def _work(self, job: Job, content: bytes) -> Picture:
        if self._closed:
            raise self._shutting_down()
        worker = self._idle.pop() if self._idle else self._new_worker()
        self._busy.add(worker)
        asked = self._threads.submit(worker.ask, job, content)
        try:
            async with asyncio.timeout(self._wait_s):
                answer, result = await asyncio.wrap_future(asked)
        except TimeoutError:
            worker.kill()
            raise ImagesBusy(
                "The machine is too busy to prepare the image in time. Try again.", headers=_BUSY
            ) from None
        except WorkerLost as lost:
            raise self._failure(lost) from None
        except BaseException:
            worker.kill()  # whoever waited is gone, and so is the worker's reason to go on
            raise
        finally:
            self._busy.discard(worker)
            self._keep(worker, asked)
        if isinstance(answer, Refused):
            raise refusal(answer)
        assert isinstance(answer, Done)
        return Picture(
            content=result,
            kind=ImageKind(answer.kind),
            width_px=answer.width_px,
            height_px=answer.height_px,
            recoded=answer.recoded,
        )

    def _failure(self, lost: WorkerLost) -> ImagesBusy | BrokenImage:
        if self._closed:
            return self._shutting_down()
        match lost:
            case WorkerUnstarted():
                return ImagesBusy("No process could be started to prepare the image.", headers=_BUSY)
            case WorkerOverdue():
                return BrokenImage(f"The image takes more than {self._processor_s} s to decode.")
            case _:
                return BrokenImage("The image broke the process that decoded it.")

    @staticmethod
    def _shutting_down() -> ImagesBusy:
        return ImagesBusy("Samovar is shutting down.", headers=_BUSY)

    def _new_worker(self) -> Worker:
        return Worker(max_bytes=self._bounds.max_bytes, memory_bytes=self._memory_bytes, processor_s=self._processor_s)

    def _keep(self, worker: Worker, asked: Future[tuple[Message, bytes]]) -> None:
        if worker.spent or self._closed:
            worker.kill()
            # Its thread may still be about to see that the process is gone.
            asked.add_done_callback(lambda _: self._graves.submit(worker.bury))
            return
        self._idle.append(worker)
        if self._reaper is not None:
            self._reaper.cancel()
        self._reaper = asyncio.get_running_loop().call_later(self._idle_s, self._end_idle)

    def _end_idle(self) -> None:
        while self._idle:
            worker = self._idle.pop()
            worker.kill()
            self._graves.submit(worker.bury)

    async def close(self) -> None:
        """See :meth:`samovar.ports.images.Images.close`."""
        if self._closed:
            return
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        self._end_idle()
        for worker in self._busy:
            worker.kill()
        for _ in range(self._most):
            await self._places.acquire()  # whoever had one, or waited for one, has been told by then
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._graves.shutdown)
