"""The element's own threads. What was begun in one is waited for, whatever happens to whoever asked: nobody cleans up behind a
thread that still writes."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

from samovar.adapters.disk.together import AT_ONCE, Outcome, run_together
from samovar.kernel.batches import Batches
from samovar.kernel.tasks import ended

P = ParamSpec("P")
T = TypeVar("T")


_TOGETHER_AT_MOST: Final = 32


class Threads:
    """Bounded pools: for what changes something, what reads and what sends, so that none waits for another."""

    def __init__(self, *, name: str, writers: int, readers: int) -> None:
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix=f"{name}-write")
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix=f"{name}-read")
        self._senders = ThreadPoolExecutor(readers, thread_name_prefix=f"{name}-send")
        self._syncers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"{name}-sync")
        # One batch at a time: two threads of them take the interpreter from each other, and are slower than one.
        self._together = Batches(self._run_together, name=f"{name}-together", at_most=_TOGETHER_AT_MOST)

    async def write(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``step``. When the caller is cancelled this waits for the step's end, then is cancelled."""
        return await ended(self.begin(step, *args, **kwargs))

    async def write_together(self, step: Callable[[], T]) -> T:
        """As :meth:`write`, in lockstep with what else comes just now: it needs little time but for what it waits for."""
        outcome: Outcome[T] = await ended(self._together.begin(step))
        return outcome.get()

    async def _run_together(self, steps: Sequence[Callable[[], Any]]) -> list[Outcome[Any]]:
        return await self.write(run_together, self._syncers, steps)

    async def drained(self) -> None:
        """Wait until nothing runs in lockstep any more."""
        await self._together.close()

    async def read(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, of what changes nothing."""
        return await ended(self.begin_reading(step, *args, **kwargs))

    async def send(self, step: Callable[[], T]) -> T:
        """The same, of what is on its way to a client: it may take longer."""
        return await ended(_submitted(self._senders, step))

    def begin(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Begin ``step``; whoever calls waits for it with :func:`ended`."""
        return _submitted(self._writers, lambda: step(*args, **kwargs))

    def begin_reading(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """The same, of what changes nothing."""
        return _submitted(self._readers, lambda: step(*args, **kwargs))

    def close(self) -> None:
        """Nothing is taken any more; what runs ends. Blocks."""
        self._writers.shutdown()
        self._syncers.shutdown()
        self._senders.shutdown()
        self._readers.shutdown()


def _submitted(pool: ThreadPoolExecutor, step: Callable[[], T]) -> "asyncio.Future[T]":
    return asyncio.get_running_loop().run_in_executor(pool, step)
