"""The images port over its adapter."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from samovar.adapters.pillow import PillowImages


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production; each test starts a process, and the other loop would double them."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def images() -> AsyncIterator[PillowImages]:
    """With one worker, as patient as a busy machine needs it."""
    adapter = PillowImages(workers=1, wait_s=60, processor_s=30)
    yield adapter
    await adapter.close()
    assert adapter.workers == 0
