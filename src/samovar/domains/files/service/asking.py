"""Questions to what may never answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Asking(Generic[T]):
    """A question under way, for all who wait for its answer. A disk that hangs holds whoever waits for it, even cancelled: so it
    is not waited for longer than one likes, and not asked again before it has answered. ``over`` is called when it has."""

    def __init__(self, question: Coroutine[Any, Any, T], *, over: Callable[[], object] = lambda: None) -> None:
        self._over = over
        self._task = asyncio.ensure_future(question)
        self._task.add_done_callback(self._answered)

    @property
    def is_over(self) -> bool:
        """Whether it answered."""
        return self._task.done()

    async def answer(self, timeout_s: float) -> T | None:
        """``None`` where it has not answered by then. Raises what it raised."""
        await asyncio.wait({self._task}, timeout=timeout_s)
        return self._task.result() if self._task.done() and not self._task.cancelled() else None

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        self._task.cancel()

    def _answered(self, task: asyncio.Task[T]) -> None:
        self._over()
        # Else the loop complains of a failure that nobody waited for.
        if not task.cancelled():
            task.exception()
