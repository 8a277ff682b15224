"""What many ask for one by one, done together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AT_MOST: Final = 200


class Batches(Generic[T, R]):
    """All that arrive while one batch is worked on go into the next one together: that costs a transaction, or a sync, a fraction
    of one each, and nobody waits for company.

    ``settle`` is given a batch and answers for each of it, in order; what it raises is raised to all of them, to each as an
    exception of their own. ``then`` is done with the batch before the next one, and nobody waits for it: what it raises goes to
    the loop. A task does the work while there is some, with nothing of who asked first in its context; should it be cancelled, so
    are those who wait.
    """

    def __init__(
        self,
        settle: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        name: str,
        then: Callable[[Sequence[T]], Awaitable[None]] | None = None,
        at_most: int = _AT_MOST,
    ) -> None:
        self._settle = settle
        self._then = then
        self._name = name
        self._at_most = at_most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def add(self, one: T) -> R:
        """Have it done with the next batch; what came of it."""
        return await self.begin(one)

    def begin(self, one: T) -> asyncio.Future[R]:
        """The same, for who waits for it in another way."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, done))
        if self._worker is None:
            self._begin()
        return done

    async def close(self) -> None:
        """Let what was asked for be done."""
        if self._worker is not None:
            await asyncio.wait([self._worker])

    def _begin(self) -> None:
        # Else all batches would be logged, and traced, as the first caller's.
        self._worker = asyncio.create_task(self._work(), name=self._name, context=Context())

    async def _work(self) -> None:
        some: list[tuple[T, asyncio.Future[R]]] = []
        try:
            while self._waiting:
                some, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
                await self._do(some)
        except asyncio.CancelledError:
            # Nobody else would ever answer them.
            for _, done in (*some, *self._waiting):
                done.cancel()
            self._waiting = []
            raise
        finally:
            self._worker = None

    async def _do(self, some: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        batch = [one for one, _ in some]
        try:
            results = await self._settle(batch)
            if len(results) != len(batch):
                raise ValueError(f"{len(results)} answers for {len(batch)} who asked")
        except Exception as error:  # noqa: BLE001 - handed to each who waits
            for _, done in some:
                if not done.done():
                    done.set_exception(_like(error))
            return
        for (_, done), result in zip(some, results, strict=True):
            if not done.done():
                done.set_result(result)
        await self._follow(batch)

    async def _follow(self, batch: Sequence[T]) -> None:
        if self._then is not None:
            try:
                await self._then(batch)
            except Exception as error:  # noqa: BLE001 - edge: those who wait are not to wait for ever
                said = {"message": f"behind a batch of {self._name}", "exception": error}
                asyncio.get_running_loop().call_exception_handler(said)


def _like(error: Exception) -> Exception:
    """Another one like it: who catches an error may write in it, its headers above all."""
    made = type(error).__new__(type(error), *error.args)
    made.__dict__.update({name: dict(of) if isinstance(of, dict) else of for name, of in error.__dict__.items()})
    made.__cause__, made.__suppress_context__ = error.__cause__, error.__suppress_context__
    return made.with_traceback(error.__traceback__)
