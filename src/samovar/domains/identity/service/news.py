"""Telling of a credential that changed: this process at once, the others over the bus."""

from collections.abc import Callable

import structlog

from samovar.domains.identity.model import KEYS_CHANGED
from samovar.kernel.errors import Unavailable
from samovar.ports.events import Bus


class News:
    """``forget`` is told the id of each key or service account that changed, before the bus is."""

    def __init__(self, *, bus: Bus, forget: Callable[[str], None]) -> None:
        self._log = structlog.get_logger("samovar.identity")
        self._bus = bus
        self._forget = forget

    async def changed(self, id_: str) -> None:
        """The change is committed: what is known of this key or account is not so any more."""
        self._forget(id_)
        try:
            await self._bus.publish(KEYS_CHANGED, id_.encode())
        except Unavailable:
            # Without the news other processes notice when what they remember is stale: 10 s.
            self._log.warning("bus away: other processes notice a changed key within seconds, not at once", key_id=id_)
