"""Addresses: how often one may ask without a credential, and those that are shut out because they were refused too often.

The tries are counted in a limit that all processes share, so whichever refuses the last one knows; it tells the others over
the bus, and one that missed the news finds the limit used up at the next try.
"""

import math
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec
import structlog

from samovar.domains.billing.errors import AddressBlocked, QuotaNotFound, QuotaUnavailable
from samovar.domains.billing.model.quotas import Allowance
from samovar.domains.billing.service.quotas.book import Book
from samovar.domains.billing.service.quotas.grant import take_all
from samovar.domains.billing.service.quotas.meters import Meter
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.events import Bus
from samovar.ports.limits import Limit

ADDRESSES_CHANGED: Final = "billing.addresses.changed"
"""Bus topic. The message is JSON: the address and for how many seconds it is blocked, 0 for no more."""

_MOST: Final = 10_000


class AddressBounds(msgspec.Struct, frozen=True, kw_only=True):
    """``anonymous`` bounds requests without a credential, ``tries`` refused ones; ``None`` switches either off."""

    anonymous: Limit | None = None
    tries: Limit | None = None
    block_s: float = 900.0


class Blocked(NamedTuple):
    """An address that is shut out."""

    address: str
    until: datetime


class _News(msgspec.Struct, frozen=True):
    address: str
    for_s: float


class Addresses:
    """Bounded: of more than ten thousand blocked addresses the earliest is let in again."""

    def __init__(self, *, book: Book, bounds: AddressBounds, clock: Clock, bus: Bus) -> None:
        self._log = structlog.get_logger("samovar.quotas")
        self._book = book
        self._bounds = bounds
        self._clock = clock
        self._bus = bus
        self._until: OrderedDict[str, float] = OrderedDict()
        self._anonymous = Allowance((bounds.anonymous,)) if bounds.anonymous else Allowance()
        self._tries = Allowance((bounds.tries,)) if bounds.tries else Allowance()

    def __len__(self) -> int:
        return len(self._until)

    def refusal(self, address: str | None) -> AddressBlocked | None:
        """Why a request of this address is not looked at; ``None``: it is."""
        if not self._until or address is None:
            return None
        until = self._until.get(address)
        if until is None:
            return None
        left_s = until - self._clock.monotonic()
        if left_s <= 0:
            del self._until[address]
            return None
        wait_s = max(1, math.ceil(left_s))
        return AddressBlocked(
            f"too many requests of your address were refused; it is shut out for {wait_s} s more. An admin can let it in"
            " before: DELETE /api/quotas/blocked/{address}.",
            headers={"Retry-After": str(wait_s)},
        )

    async def admit_anonymous(self, address: str | None) -> None:
        """A request without a credential. Raises ``RateLimited``."""
        if address is not None:
            meters = self._book.requests(f"anonymous|{address}", "the limit without a credential", self._anonymous)
            await take_all(meters, 1, self._clock)

    async def refused(self, address: str | None) -> None:
        """A request of this address was refused for its credential, or for the lack of one. Never raises."""
        if address is None or address in self._until or not self._tries.limits:
            return
        [meter] = self._meters(address)
        try:
            allowed = meter.try_take(1, self._clock.monotonic()) or await meter.take(1)
        except QuotaUnavailable:
            return
        if not allowed:
            await self._tell(address, self._bounds.block_s)

    async def blocked(self, principal: Principal) -> tuple[Blocked, ...]:
        """All that are shut out, by address. Raises ``Forbidden``."""
        require(principal, Permission.QUOTAS_READ)
        now, monotonic = self._clock.now(), self._clock.monotonic()
        return tuple(
            Blocked(address, now + timedelta(seconds=until - monotonic))
            for address, until in sorted(self._until.items())
            if until > monotonic
        )

    async def unblock(self, principal: Principal, address: str) -> None:
        """Let an address in again. Raises ``Forbidden``, ``QuotaNotFound``."""
        require(principal, Permission.QUOTAS_WRITE)
        if address not in self._until:
            raise QuotaNotFound(
                f"The address {address[:100]!r} is not blocked; GET /api/quotas/blocked lists those that are."
            )
        now = self._clock.monotonic()
        for meter in self._meters(address):
            # Its tries are forgiven, or the next one would shut it out again.
            meter.correct(-meter.limit.capacity, now)
        await self._tell(address, 0.0)

    async def on_changed(self, message: bytes) -> None:
        """Bus handler for :data:`ADDRESSES_CHANGED`."""
        news = msgspec.json.decode(message, type=_News)
        self._note(news.address, news.for_s)

    async def _tell(self, address: str, for_s: float) -> None:
        self._note(address, for_s)
        self._log.warning("address blocked" if for_s else "address let in again", address=address, for_s=for_s)
        try:
            await self._bus.publish(ADDRESSES_CHANGED, msgspec.json.encode(_News(address, for_s)))
        except Unavailable as error:
            self._log.warning("other processes do not hear of an address", reason=error.detail)

    def _note(self, address: str, for_s: float) -> None:
        if for_s <= 0:
            self._until.pop(address, None)
            return
        self._until[address] = self._clock.monotonic() + for_s
        self._until.move_to_end(address)
        if len(self._until) > _MOST:
            self._until.popitem(last=False)

    def _meters(self, address: str) -> list[Meter]:
        return self._book.requests(f"tries|{address}", "the limit on refused requests", self._tries)
