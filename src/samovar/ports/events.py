"""News between processes: at most once, unordered, small. What must not be lost goes into the database instead."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeAlias

import structlog

Handler: TypeAlias = Callable[[bytes], Awaitable[None]]
GapHandler: TypeAlias = Callable[[], Awaitable[None]]

_HANDLER_S: Final = 5.0


class Bus(Protocol):
    """Publish reaches every process that subscribed, this one included."""

    async def start(self) -> None:
        """Begin to deliver; subscriptions made before are in force when this returns. Raises ``Unavailable`` when the
        bus cannot be reached; it may then be started again."""
        ...

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Call ``handler`` for each message of ``topic``. A handler that raises is logged and does not stop others.
        Raises ``RuntimeError`` after :meth:`start`: what a process listens to is known when it is put together."""
        ...

    async def publish(self, topic: str, message: bytes) -> None:
        """Send. Raises ``Unavailable`` when the bus cannot be reached."""
        ...

    def on_gap(self, handler: GapHandler) -> None:
        """Call ``handler`` after an interruption in which messages may have been missed (drop your caches)."""
        ...

    async def close(self) -> None:
        """Stop delivering."""
        ...


class Inbox:
    """What every adapter of :class:`Bus` does with a message that has arrived: a bounded queue, and one handler after the
    other, each with 5 s and none able to stop the rest. A message that finds the queue full is lost, and the gap
    handlers run as soon as the queue has been worked off."""

    def __init__(self, *, max_waiting: int) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        self._gap_handlers: list[GapHandler] = []
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(max_waiting)
        self._news = asyncio.Event()
        self._gap = False
        self._worker: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("samovar.events")

    @property
    def topics(self) -> tuple[str, ...]:
        """What somebody here listens to."""
        return tuple(self._handlers)

    def subscribe(self, topic: str, handler: Handler) -> None:
        """See :meth:`Bus.subscribe`."""
        if self._worker is not None:
            raise RuntimeError("the bus has started; subscribe before")
        self._handlers.setdefault(topic, []).append(handler)

    def on_gap(self, handler: GapHandler) -> None:
        """See :meth:`Bus.on_gap`."""
        self._gap_handlers.append(handler)

    def start(self) -> None:
        """Begin to call handlers. Starting again changes nothing."""
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="samovar-events")

    def put(self, topic: str, message: bytes) -> None:
        """A message came. Never waits."""
        if topic not in self._handlers or self._worker is None:
            return
        try:
            self._waiting.put_nowait((topic, message))
        except asyncio.QueueFull:
            self._gap = True
        self._news.set()

    def tell_gap(self) -> None:
        """Messages may have been missed."""
        self._gap = True
        self._news.set()

    async def close(self) -> None:
        """Stop calling handlers."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait([worker])

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while not self._waiting.empty():
                topic, message = self._waiting.get_nowait()
                for handler in self._handlers[topic]:
                    await self._call(topic, partial(handler, message))
            if self._gap:
                self._gap = False
                for gap_handler in self._gap_handlers:
                    await self._call("gap", gap_handler)

    async def _call(self, topic: str, work: GapHandler) -> None:
        try:
            async with asyncio.timeout(_HANDLER_S):
                await work()
        except Exception:  # noqa: BLE001 - the edge of a handler: one that fails must not stop the others
            self._log.exception("event handler failed", topic=topic)
