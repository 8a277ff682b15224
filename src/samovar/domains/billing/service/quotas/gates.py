"""Calls at once of one subject: counted in this process, or by places that processes hold for a while."""

import asyncio
from typing import Final, Protocol

from samovar.domains.billing.errors import QuotaUnavailable
from samovar.domains.billing.service.quotas.line import LIFE_S, Away, Line
from samovar.kernel.errors import Unavailable

_ASK_AGAIN_S: Final = 0.1
_SPARE_PART: Final = 16


class Gate(Protocol):
    """``most`` calls at once, ``inside`` of them here."""

    title: str
    most: int
    inside: int

    def try_enter(self, now: float) -> bool:
        """Enter without waiting; ``False`` says only that :meth:`enter` must be asked."""
        ...

    async def enter(self) -> bool:
        """Whether there was a place. Raises ``QuotaUnavailable``."""
        ...

    def leave(self) -> None:
        """A call that entered has ended."""
        ...


class OwnGate:
    """A limit of this process alone: exact."""

    __slots__ = ("inside", "most", "title")

    def __init__(self, most: int, title: str) -> None:
        self.most = most
        self.title = title
        self.inside = 0

    def try_enter(self, now: float) -> bool:
        """See :class:`Gate`."""
        if self.inside >= self.most:
            return False
        self.inside += 1
        return True

    async def enter(self) -> bool:
        """See :class:`Gate`."""
        return False

    def leave(self) -> None:
        """See :class:`Gate`."""
        self.inside -= 1


class SharedGate:
    """A limit of all processes. Each holds places of ``name`` for :data:`LIFE_S` and holds them anew while it needs them
    (:meth:`renew`); a few more than it needs, where the limit is not near."""

    def __init__(self, most: int, title: str, *, name: str, line: Line, away: Away) -> None:
        self.most = most
        self.title = title
        self.inside = 0
        self._name = name
        self._line = line
        self._away = away
        self._held = 0
        self._held_until = 0.0
        self._none_until = 0.0
        # One exchange at a time: of two that overtake each other, the older answer would stand for the newer claim.
        self._exchange = asyncio.Lock()

    def try_enter(self, now: float) -> bool:
        """See :class:`Gate`."""
        if self.inside >= self._held or now >= self._held_until or self._line.is_away:
            return False
        self.inside += 1
        return True

    async def enter(self) -> bool:
        """See :class:`Gate`."""
        now = self._line.now()
        if not self._line.is_away and not (now < self._none_until and self.inside >= self._held):
            # Counted before the wait: calls that ask at the same time must ask for a place each.
            self.inside += 1
            entered = False
            try:
                async with self._exchange:
                    entered = self._has_place() or (await self._hold(self._spare()) and self._has_place())
            finally:
                if not entered:
                    self.inside -= 1
            if entered:
                return True
        return self._enter_alone() if self._line.is_away else False

    def leave(self) -> None:
        """See :class:`Gate`."""
        self.inside -= 1

    async def renew(self) -> None:
        """Hold what is in use, and free what is not: once a second or so."""
        if self._line.is_away or not (self._held or self.inside):
            return
        if self._held == self.inside and self._line.now() < self._held_until - LIFE_S / 2:
            return
        async with self._exchange:
            await self._hold(0)

    def _has_place(self) -> bool:
        return self.inside <= self._held and self._line.now() < self._held_until

    def _spare(self) -> int:
        return min(self.inside, self.most // _SPARE_PART)

    async def _hold(self, spare: int) -> bool:
        """Whether it answered."""
        asked = self._line.now()
        try:
            held = await self._line.limits.hold(
                self._name, owner=self._line.owner, wanted=self.inside + spare, most=self.most, ttl_s=LIFE_S
            )
        except Unavailable as error:
            self._line.failed(error)
            return False
        self._held, self._held_until = held.granted, asked + LIFE_S
        self._none_until = asked + _ASK_AGAIN_S if self._held < self.inside else 0.0
        return True

    def _enter_alone(self) -> bool:
        if self._away is Away.CLOSED:
            raise QuotaUnavailable(
                f"{self.title} is kept in Redis, which does not answer; by this installation's setting nothing passes"
                " meanwhile. Try again.",
                headers={"Retry-After": "1"},
            )
        most = max(1, self.most // self._line.processes) if self._away is Away.SHARE else self.most
        if self._away is not Away.OPEN and self.inside >= most:
            return False
        self.inside += 1
        return True
