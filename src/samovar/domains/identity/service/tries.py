"""How many wrong credentials an address may send."""

from collections import OrderedDict
from contextlib import suppress
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from samovar.domains.identity.errors import TooManyWrongCredentials
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock
from samovar.ports.limits import Limit, Limiter

_BLOCKED_ADDRESSES: Final = 10_000


def network_of(address: str) -> str:
    """Whom an address stands for: itself, or of IPv6 its /64, for one subscriber has at least that many addresses
    (RFC 6177). An IPv4 address written as IPv6 is the IPv4 one."""
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped or IPv6Network((int(found) >> 64 << 64, 64)))


class Tries:
    """The limit on wrong credentials of one address (of IPv6 one /64). Fails open when the limiter is away. ``what`` tells this
    limit from others; ``limiter`` or ``limit`` ``None`` is no limit."""

    def __init__(self, what: str, *, clock: Clock, limiter: Limiter | None, limit: Limit | None) -> None:
        self._what = what
        self._clock = clock
        self._limiter = limiter
        self._limit = limit
        self._blocked_until: OrderedDict[str, float] = OrderedDict()

    def check(self, address: str | None) -> None:
        """Raises :class:`TooManyWrongCredentials` while the address must wait."""
        if not self._blocked_until or address is None:
            return
        address = network_of(address)
        until = self._blocked_until.get(address)
        if until is None:
            return
        left = until - self._clock.monotonic()
        if left > 0:
            raise _too_many(left)
        del self._blocked_until[address]

    async def count(self, address: str | None) -> None:
        """One more wrong one. Raises :class:`TooManyWrongCredentials` when it is one too many."""
        if self._limiter is None or self._limit is None or address is None:
            return
        address = network_of(address)
        with suppress(Unavailable):
            verdict = await self._limiter.hit(f"identity:{self._what}:{address}", self._limit)
            if not verdict.allowed:
                self._blocked_until[address] = self._clock.monotonic() + verdict.retry_after_s
                self._blocked_until.move_to_end(address)
                if len(self._blocked_until) > _BLOCKED_ADDRESSES:
                    self._blocked_until.popitem(last=False)
                raise _too_many(verdict.retry_after_s)


def _too_many(wait_s: float) -> TooManyWrongCredentials:
    seconds = max(1, int(-(-wait_s // 1)))
    return TooManyWrongCredentials(
        f"Too many wrong credentials came from your address. Wait {seconds} s, then send the right one.",
        headers={"Retry-After": str(seconds)},
    )
