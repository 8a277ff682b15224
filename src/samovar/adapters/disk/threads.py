"""The element's own threads. What was begun in one is waited for, whatever happens to whoever asked: nobody cleans up behind a
thread that still writes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from samovar.kernel.tasks import ended

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """One bounded pool for what changes something and one for what reads, so that neither waits for the other."""

    def __init__(self, *, name: str, writers: int, readers: int) -> None:
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix=f"{name}-write")
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix=f"{name}-read")

    async def write(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``step``. When the caller is cancelled this waits for the step's end, then is cancelled."""
        return await ended(self.begin(step, *args, **kwargs))

    async def read(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, of what changes nothing."""
        return await ended(self.begin_reading(step, *args, **kwargs))

    def begin(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Begin ``step``; whoever calls waits for it with :func:`ended`."""
        return _submitted(self._writers, lambda: step(*args, **kwargs))

    def begin_reading(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """The same, of what changes nothing."""
        return _submitted(self._readers, lambda: step(*args, **kwargs))

    def close(self) -> None:
        """Nothing is taken any more; what runs ends. Blocks."""
        self._writers.shutdown()
        self._readers.shutdown()


def _submitted(pool: ThreadPoolExecutor, step: Callable[[], T]) -> "asyncio.Future[T]":
    return asyncio.get_running_loop().run_in_executor(pool, step)
