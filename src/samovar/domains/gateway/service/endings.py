"""Calls that ended, told of once a turn of the event loop.

At full load many end in each turn. One right after the other, what their ends come to takes a third of the processor's time that
it takes between the other work of each call; and none of them waits for it, since their answers go out before.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from samovar.domains.gateway.model import CallFinished
from samovar.domains.gateway.service.trail import Trail


class Endings:
    """``answered`` learns from each call that a provider answered well, ``tell`` takes the event of every call."""

    def __init__(self, *, answered: Callable[[Trail], None], tell: Callable[[CallFinished], None]) -> None:
        self._answered = answered
        self._tell = tell
        self._waiting: deque[Trail] = deque()

    def add(self, trail: Trail) -> None:
        """It has ended, see :meth:`Trail.ended`, and changes no more. Told of before another turn begins."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._settle)
        self._waiting.append(trail)

    def _settle(self) -> None:
        waiting = self._waiting
        try:
            while waiting:
                trail = waiting.popleft()
                if trail.is_lesson:
                    self._answered(trail)
                self._tell(trail.finished())
        finally:
            if waiting:
                # A defect over one of them must not take the others along.
                asyncio.get_running_loop().call_soon(self._settle)
