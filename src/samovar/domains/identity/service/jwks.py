"""The keys that check tokens, for a process without the database: fetched from the JWKS of one that has it."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from samovar.domains.identity.service import jose
from samovar.domains.identity.service.tokens import PublicKey
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock
from samovar.ports.transport import HttpRequest, Timeouts, Transport, TransportFailure

LOOK_EVERY_S: Final = 5.0
"""How often at most a key that nobody knows makes a process look for new ones."""
_MAX_BYTES: Final = 256 * 1024
_MAX_KEYS: Final = 1000
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.ASCII)
_MAX_AGE_S: Final = 300.0
_TIMEOUTS: Final = Timeouts(connect_s=2.0, first_byte_s=5.0, idle_s=5.0, total_s=5.0)


class _Jwks(msgspec.Struct):
    keys: list[dict[str, Any]]


class RemoteKeys:
    """A :class:`~samovar.domains.identity.service.tokens.KeySource` over HTTP.

    What was fetched is remembered as long as the answer allows, five minutes at most. A key that is not known makes it look
    again, once in ``look_every_s`` seconds at most; so does a server that does not answer. What is known stays good until it
    retires.
    """

    def __init__(self, *, url: str, transport: Transport, clock: Clock, look_every_s: float = LOOK_EVERY_S) -> None:
        self._log = structlog.get_logger("samovar.identity")
        self._url = url
        self._transport = transport
        self._clock = clock
        self._look_every_s = look_every_s
        self._turn = asyncio.Lock()
        self._keys: dict[str, PublicKey] = {}
        self._looked_at: float | None = None
        self._stale_at = 0.0
        self._failure: str | None = None

    async def find(self, kid: str) -> PublicKey | None:
        """See the protocol."""
        found = self._fresh(kid)
        if found is not None:
            return found
        async with self._turn:
            # Many may have waited for one answer.
            found = self._fresh(kid)
            if found is None and self._may_look():
                await self._look()
                found = self._keys.get(kid)
        found = found or self._keys.get(kid)
        if found is None and self._failure is not None:
            raise Unavailable(
                f"The keys that check tokens cannot be fetched from {self._url}: {self._failure}",
                headers={"Retry-After": str(max(1, int(self._look_every_s)))},
            )
        return found

    def _fresh(self, kid: str) -> PublicKey | None:
        return self._keys.get(kid) if self._clock.monotonic() < self._stale_at else None

    def _may_look(self) -> bool:
        return self._looked_at is None or self._clock.monotonic() - self._looked_at >= self._look_every_s

    async def _look(self) -> None:
        self._looked_at = self._clock.monotonic()
        try:
            keys, max_age_s = await self._fetched()
        except (TransportFailure, ValueError) as error:
            self._failure = str(error)
            self._log.warning("keys that check tokens not fetched", url=self._url, reason=self._failure)
            return
        self._keys, self._failure = keys, None
        self._stale_at = self._looked_at + max_age_s

    async def _fetched(self) -> tuple[dict[str, PublicKey], float]:
        request = HttpRequest("GET", self._url, [("accept", "application/json")])
        async with self._transport.send(request, timeouts=_TIMEOUTS) as answer:
            if answer.status != 200:
                raise ValueError(f"it answers with status {answer.status}")
            age = _MAX_AGE.search(answer.header("cache-control") or "")
            raw = await answer.read(max_bytes=_MAX_BYTES)
        try:
            listed = msgspec.json.decode(raw, type=_Jwks).keys
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError("it answers with no JWKS") from error
        found = (_key(jwk) for jwk in listed[:_MAX_KEYS])
        return {kid: key for kid, key in found if key is not None}, min(
            _MAX_AGE_S, float(age[1]) if age else _MAX_AGE_S
        )


def _key(jwk: dict[str, Any]) -> tuple[str, PublicKey | None]:
    """A key of ours says when it retires; any other is passed over."""
    kid, end = jwk.get("kid"), jwk.get("exp")
    if not isinstance(kid, str) or not isinstance(end, int):
        return "", None
    try:
        return kid, PublicKey(jose.imported(jwk), datetime.fromtimestamp(end, UTC))
    except (ValueError, OverflowError, OSError):
        return kid, None
