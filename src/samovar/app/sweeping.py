"""One look a second at all connections of a process: a timer for each request would cost more."""

import asyncio
from typing import Any, Final

from uvicorn.server import ServerState

_EVERY_S: Final = 1.0
_SWEEPING: Final = "samovar_sweeping"


def keep_sweeping(loop: asyncio.AbstractEventLoop, state: ServerState) -> None:
    """Call ``look`` of each connection, from now on until there is none."""
    if _SWEEPING not in vars(state):
        vars(state)[_SWEEPING] = True
        loop.call_later(_EVERY_S, _sweep, loop, state)


def _sweep(loop: asyncio.AbstractEventLoop, state: ServerState) -> None:
    now = loop.time()
    connection: Any
    for connection in list(state.connections):
        connection.look(now)
    if state.connections:
        loop.call_later(_EVERY_S, _sweep, loop, state)
    else:
        del vars(state)[_SWEEPING]
