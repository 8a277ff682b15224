"""Tasks that run beside a block of code, and end with it; and work that is waited for to its end, whoever asked for it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def background(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.TaskGroup]:
    """Run ``loops`` beside the block, and cancel them when it ends; they let no exception through. The group is for tasks that
    the block starts itself, and ends before it does."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop) for loop in loops]
            try:
                yield group
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as several:
        # The loops let nothing through, so this is what the block raised: give it back unwrapped.
        raise several.exceptions[0] from None


async def ended(step: "asyncio.Future[T]") -> T:
    """The outcome of ``step``, however often the caller is cancelled while it runs."""
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        await all_ended([step])
        # Else the loop complains of a failure that nobody looked at.
        step.exception()
        raise


async def all_ended(steps: "Iterable[asyncio.Future[Any]]") -> None:
    """Wait until all have ended, well or badly; cancelled, it waits all the same, and is cancelled then."""
    every = list(steps)
    pending = {step for step in every if not step.done()}
    cancelled: asyncio.CancelledError | None = None
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
            pending = {step for step in pending if not step.done()}
    if cancelled is not None:
        for step in every:
            # Else the loop complains of a failure that nobody looked at.
            step.exception()
        raise cancelled
