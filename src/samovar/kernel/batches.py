"""What many ask for one by one, done together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AT_MOST: Final = 200


class Batches(Generic[T, R]):
    """All that arrive while one batch is worked on go into the next one together: that costs a transaction, or a sync, a fraction
    of one each, and nobody waits for company.

    ``settle`` is given a batch and answers for each of it, in order; what it raises is raised to all of them. ``then`` is done
    with the batch before the next one, and nobody waits for it: it raises nothing. A task does the work while there is some.
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
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, done))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name=self._name)
        return await done

    async def close(self) -> None:
        """Let what was asked for be done."""
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
                await self._do(some)
        finally:
            self._worker = None

    async def _do(self, some: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        batch = [one for one, _ in some]
        try:
            results = await self._settle(batch)
        except Exception as error:  # noqa: BLE001 - handed to each who waits
            for _, done in some:
                if not done.done():
                    done.set_exception(error)
            return
        for (_, done), result in zip(some, results, strict=True):
            if not done.done():
                done.set_result(result)
        if self._then is not None:
            await self._then(batch)
