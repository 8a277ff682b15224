"""News from a process to itself."""

from samovar.ports.events import GapHandler, Handler, Inbox


class MemoryBus:
    """A :class:`samovar.ports.events.Bus` for one process."""

    def __init__(self, *, max_waiting: int = 1000) -> None:
        self._inbox = Inbox(max_waiting=max_waiting)

    async def start(self) -> None:
        """See the port."""
        self._inbox.start()

    def subscribe(self, topic: str, handler: Handler) -> None:
        """See the port."""
        self._inbox.subscribe(topic, handler)

    async def publish(self, topic: str, message: bytes) -> None:
        """See the port. Never waits: where the handlers are too far behind, the message is lost and the gap is told."""
        self._inbox.put(topic, message)

    def on_gap(self, handler: GapHandler) -> None:
        """See the port."""
        self._inbox.on_gap(handler)

    async def close(self) -> None:
        """See the port."""
        await self._inbox.close()
