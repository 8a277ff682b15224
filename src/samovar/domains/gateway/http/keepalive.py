"""Keep-alives of a stream: while the first content is awaited, and in long silences after it.

A timer, not a task, waits: only when it fires (a slow stream) is a task made. After the first beat the status is out.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from samovar.ports.asgi import Send

_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class KeepAlive:
    """Armed from its making. Between :meth:`stop` and :meth:`watch` it is silent.

    A beat may only stand between two events, so it is held back while the last block that went out ended inside one.
    """

    def __init__(
        self,
        *,
        send: Send,
        headers: Sequence[tuple[bytes, bytes]],
        beat: bytes,
        after_s: float,
        every_s: float,
        request_id: str,
    ) -> None:
        self._send = send
        self._headers = [*headers, (b"x-request-id", request_id.encode())]
        self._beat = beat
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._started = False
        self._between_events = True
        self._task: asyncio.Task[None] | None = None
        self._due = self._loop.time() + after_s
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(after_s, self._fire)

    def watch(self, first: bytes) -> None:
        """Content has begun; from now on long silences are filled."""
        self._started = True
        if self._beat:
            self._between_events = first.endswith(_EVENT_ENDS)
            self._due = self._loop.time() + self._every_s
            self._timer = self._loop.call_later(self._every_s, self._fire)

    async def send(self, block: bytes) -> None:
        """Pass a block on; the silence begins anew."""
        if self._task is not None:
            await self._end_task()
        self._due = self._loop.time() + self._every_s
        self._between_events = block.endswith(_EVENT_ENDS)
        await self._send({"type": "http.response.body", "body": block, "more_body": True})

    async def stop(self) -> bool:
        """No more beats. Returns whether the answer's start is out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            await self._end_task()
        return self._started

    def _fire(self) -> None:
        now = self._loop.time()
        if now < self._due:
            self._timer = self._loop.call_at(self._due, self._fire)
            return
        self._due = now + self._every_s
        self._timer = self._loop.call_at(self._due, self._fire)
        if self._between_events and self._is_free():
            # Owned by this object: every way out of the entrance awaits `stop`.
            self._task = self._loop.create_task(self._once())

    def _is_free(self) -> bool:
        """No beat is being written. One that failed is the last: whoever awaits it hears why."""
        task = self._task
        return task is None or (task.done() and not task.cancelled() and task.exception() is None)

    async def _once(self) -> None:
        if not self._started:
            self._started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
        if self._beat:
            await self._send({"type": "http.response.body", "body": self._beat, "more_body": True})

    async def _end_task(self) -> None:
        # Never cancelled in the middle of a write, which `await task` would do to it when the caller leaves: a beat is
        # short, and half of one would garble the stream.
        while (task := self._task) is not None:
            await asyncio.wait((task,))
            if self._task is task:
                self._task = None
            task.result()
