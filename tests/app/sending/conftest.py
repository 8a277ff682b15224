"""Each test here runs twice."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What a transport writes at once and what later differs between the two."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
