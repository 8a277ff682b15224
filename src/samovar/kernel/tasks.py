"""Tasks that run beside a block of code, and end with it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


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
