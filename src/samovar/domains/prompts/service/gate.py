"""What stands before a write over HTTP: the limit on writes, and nonces."""

import math
from typing import Final

import msgspec

from samovar.domains.identity.model import Permission, require
from samovar.domains.prompts.errors import BadPrompt, NonceExpired, NonceReplayed, TooManyWrites
from samovar.kernel.errors import Flaw, Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.cache import Cache
from samovar.ports.clock import Clock
from samovar.ports.limits import Limit, Limiter

NONCE_TTL_S: Final = 300.0
"""How old a write's timestamp may be, and how long a nonce without one is remembered."""
CLOCKS_APART_S: Final = 60.0
"""How far the caller's clock may be ahead of ours."""
MAX_NONCE_CHARS: Final = 128
_MILLISECONDS_FROM: Final = 100_000_000_000

Headers = list[tuple[bytes, bytes]]


class GateRules(msgspec.Struct, frozen=True, kw_only=True):
    """``writes`` is each caller's, ``None`` for no limit."""

    writes: Limit | None = Limit(amount=20, window_s=60)
    nonce_required: bool = False


class WriteGate:
    """Asked once for each write.

    The limit fails open where its counters are away: who may write is decided by the credential, and a registry that cannot be
    mended while Redis is down helps nobody. A nonce fails closed: whoever sent one wants no write twice.
    """

    def __init__(self, *, rules: GateRules, limiter: Limiter, cache: Cache, clock: Clock) -> None:
        self._rules = rules
        self._limiter = limiter
        self._cache = cache
        self._clock = clock

    async def admit(self, principal: Principal, *, nonce: str | None, timestamp: str | None) -> Headers:
        """Let a write in; the answer is what to tell of the limit. Raises ``Forbidden``, ``TooManyWrites``, ``BadPrompt`` for
        headers that cannot be read or are missing, ``NonceReplayed``, ``NonceExpired``, ``Unavailable``."""
        require(principal, Permission.PROMPTS_WRITE)
        told = await self._count(principal)
        await self._spend(principal, nonce, timestamp)
        return told

    async def admit_uncounted(self, principal: Principal, *, nonce: str | None, timestamp: str | None) -> None:
        """As :meth:`admit`, for an import: many prompts in one request are no write of one after another."""
        require(principal, Permission.PROMPTS_WRITE)
        await self._spend(principal, nonce, timestamp)

    async def _count(self, principal: Principal) -> Headers:
        limit = self._rules.writes
        if limit is None:
            return []
        try:
            verdict = await self._limiter.hit(f"prompts:writes:{principal.team_id}:{principal.id}", limit)
        except Unavailable:
            return []
        told = {
            "X-RateLimit-Limit": str(limit.capacity),
            "X-RateLimit-Remaining": str(verdict.remaining),
            "X-RateLimit-Reset": str(math.ceil(verdict.reset_s)),
        }
        if not verdict.allowed:
            wait_s = max(1, math.ceil(verdict.retry_after_s))
            raise TooManyWrites(
                f"At most {limit} writes of prompts are taken of one caller. Wait {wait_s} s; importing takes many prompts in one"
                " request and does not count.",
                headers={**told, "Retry-After": str(wait_s)},
            )
        return [(name.lower().encode(), value.encode()) for name, value in told.items()]

    async def _spend(self, principal: Principal, nonce: str | None, timestamp: str | None) -> None:
        flaws = _flaws(nonce, timestamp, required=self._rules.nonce_required)
        if flaws:
            raise BadPrompt(flaws)
        remember_s = NONCE_TTL_S
        if timestamp is not None:
            now_s = self._clock.now().timestamp()
            ahead_s = _seconds(timestamp) - now_s
            if not -NONCE_TTL_S <= ahead_s <= CLOCKS_APART_S:
                raise NonceExpired(
                    f"X-Timestamp is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this server's clock; sign the"
                    f" request anew. At most {NONCE_TTL_S:.0f} s behind and {CLOCKS_APART_S:.0f} s ahead are taken."
                )
            # For as long as the timestamp would be taken, and a second more for roundings.
            remember_s += ahead_s + 1
        if nonce is None:
            return
        key = f"prompts:nonce:{principal.team_id}:{principal.id}:{nonce}"
        if not await self._cache.add(key, b"1", ttl_s=remember_s):
            raise NonceReplayed("A write with this X-Nonce was taken already; each needs one of its own.")


def _flaws(nonce: str | None, timestamp: str | None, *, required: bool) -> list[Flaw]:
    flaws = []
    if nonce is None and required:
        flaws.append(Flaw("X-Nonce", "is missing; this installation asks for one with each write"))
    if nonce is not None and not (1 <= len(nonce) <= MAX_NONCE_CHARS and nonce.isascii() and nonce.isprintable()):
        flaws.append(Flaw("X-Nonce", f"must be 1 to {MAX_NONCE_CHARS} visible ASCII characters"))
    if timestamp is None and required:
        flaws.append(Flaw("X-Timestamp", "is missing; this installation asks for one with each write"))
    if timestamp is not None and not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 13):
        flaws.append(Flaw("X-Timestamp", "must be whole seconds or milliseconds since 1970"))
    return flaws


def _seconds(timestamp: str) -> float:
    number = int(timestamp)
    return number / 1000 if number >= _MILLISECONDS_FROM else float(number)
