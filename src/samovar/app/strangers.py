"""Sign-ins that failed, on both planes, for the audit chain: one record for the first of an address, and one a minute for those
after it, so that who tries a thousand keys fills no chain."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from samovar.domains.audit.errors import AuditUnwritten
from samovar.domains.audit.model import Result
from samovar.domains.audit.service import AuditService
from samovar.ports.asgi import REQUEST_ID, Scope
from samovar.ports.clock import Clock

ACTION: Final = "sign-in"
WINDOW_S: Final = 60.0
_SWEEP_S: Final = 15.0
_MAX_ADDRESSES: Final = 1024
_OTHERS: Final = "others"
# Where a credential stands. Who sends none has not tried to sign in.
_CREDENTIALS: Final = frozenset({b"authorization", b"x-admin-token", b"x-api-key", b"x-goog-api-key", b"api-key"})

log = structlog.get_logger("samovar.audit")


class _Tries:
    """What an address did since its record: the rest of its window, and the tries in it that no record tells of."""

    __slots__ = ("more", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.more = 0


class Strangers:
    """Hears of requests that were refused for their credential. ``audit`` is asked for at the first."""

    def __init__(self, audit: Callable[[], AuditService], *, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._tries: dict[str, _Tries] = {}

    def refused(self, scope: Scope) -> None:
        """A request was answered 401. Never waits, never raises."""
        if not any(name in _CREDENTIALS for name, _ in scope["headers"]):
            return
        client = scope.get("client")
        address = client[0] if client else "local"
        if address not in self._tries and len(self._tries) >= _MAX_ADDRESSES:
            address = _OTHERS
        tries, now = self._tries.get(address), self._clock.monotonic()
        if tries is not None and now < tries.until:
            tries.more += 1
            return
        if tries is not None:
            self._tell(address, tries.more)
        self._tries[address] = _Tries(now + WINDOW_S)
        self._submit(address, 1, scope.get(REQUEST_ID), scope["path"])

    async def run(self) -> None:
        """Tell of the tries whose minute is over, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep(self._clock.monotonic())

    def sweep(self, now: float | None = None) -> None:
        """Tell of the tries whose minute is over at ``now``, or of all."""
        for address, tries in [*self._tries.items()]:
            if now is None or now >= tries.until:
                del self._tries[address]
                self._tell(address, tries.more)

    def _tell(self, address: str, more: int) -> None:
        if more:
            self._submit(address, more, None, None)

    def _submit(self, address: str, tries: int, request_id: str | None, path: str | None) -> None:
        audit = self._audit()
        facts = {"tries": tries, "path": path}
        entry = audit.entry(
            service="edge",
            action=ACTION,
            user_id=None,
            resource=f"address:{address}",
            result=Result.DENIED,
            metadata={name: fact for name, fact in facts.items() if fact is not None},
            request_id=request_id,
        )
        try:
            audit.submit(entry)
        except AuditUnwritten as error:
            log.error("a failed sign-in is not in the audit chain", address=address, tries=tries, reason=error.detail)
