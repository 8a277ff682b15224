"""One limit of one subject, as a process keeps it: alone, or together with others through leased blocks."""

import asyncio
from typing import Final, Protocol

from samovar.domains.billing.errors import QuotaUnavailable
from samovar.domains.billing.model.quotas import Blocks, Bucket, lease_of
from samovar.domains.billing.service.quotas.line import Away, Line
from samovar.kernel.errors import Unavailable
from samovar.ports.limits import Limit

_ROUNDS: Final = 8
_HALVINGS: Final = 3


class Meter(Protocol):
    """``title`` names the limit to whoever runs into it, ``capacity`` is the limit's. Times are monotonic seconds."""

    title: str
    limit: Limit
    capacity: int

    def try_take(self, cost: int, now: float) -> bool:
        """Take from what is here, without waiting; ``False`` says only that :meth:`take` must be asked."""
        ...

    async def take(self, cost: int) -> bool:
        """Take all of ``cost``, or nothing. Raises ``QuotaUnavailable``."""
        ...

    def put_back(self, cost: int, now: float) -> None:
        """What was just taken is not used after all. Limits kept in blocks do not take it back: it would outlive its block."""
        ...

    def correct(self, by: int, now: float) -> None:
        """What was used beyond what was taken; less than 0 for what was not used."""
        ...

    def remaining(self, now: float) -> int:
        """What could be taken now, as far as is known here."""
        ...

    def stand(self, now: float) -> tuple[int, float]:
        """:meth:`remaining` and :meth:`reset_s`."""
        ...

    def largest(self, now: float) -> int:
        """The most that one take can have, however long it waits."""
        ...

    def wait_s(self, cost: int, now: float) -> float:
        """When to come back, in seconds."""
        ...

    def reset_s(self, now: float) -> float:
        """When the limit is whole again, in seconds."""
        ...

    def idle(self, now: float) -> bool:
        """Whether forgetting it would change nothing."""
        ...

    def close(self) -> None:
        """Stop what runs beside the path."""
        ...


class OwnMeter:
    """A limit of this process alone: exact, and never waits."""

    __slots__ = (
        "_bucket",
        "capacity",
        "correct",
        "limit",
        "remaining",
        "reset_s",
        "stand",
        "title",
        "try_take",
        "wait_s",
    )

    def __init__(self, limit: Limit, title: str) -> None:
        self.limit = limit
        self.title = title
        self.capacity = limit.capacity
        self._bucket = Bucket(capacity=limit.capacity, rate=limit.amount / limit.window_s)
        # The bucket's own methods: each gateway call takes this path.
        self.try_take = self._bucket.take
        self.remaining = self._bucket.remaining
        self.stand = self._bucket.stand
        self.reset_s = self._bucket.reset_s
        self.wait_s = self._bucket.wait_s
        self.correct = self._bucket.correct

    async def take(self, cost: int) -> bool:
        """See :class:`Meter`."""
        return False

    def put_back(self, cost: int, now: float) -> None:
        """See :class:`Meter`."""
        self._bucket.correct(-cost, now)

    def largest(self, now: float) -> int:
        """See :class:`Meter`."""
        return self.capacity

    def idle(self, now: float) -> bool:
        """See :class:`Meter`."""
        return self._bucket.reset_s(now) == 0.0

    def close(self) -> None:
        """See :class:`Meter`."""


class LeasedMeter:
    """A limit of all processes: spends blocks of the bucket ``name`` that they share.

    One exchange with the shared bucket at a time, beside the path where a block was taken ahead of need. Where the bucket
    said no, nobody asks again before the time it named.
    """

    def __init__(self, limit: Limit, title: str, *, name: str, line: Line, away: Away) -> None:
        self.limit = limit
        self.title = title
        self.capacity = limit.capacity
        self._name = name
        self._line = line
        self._away = away
        self._lease = lease_of(limit)
        self._blocks = Blocks()
        self._shared_left = self._lease.limit.capacity
        self._full_at = 0.0
        self._closed_cost = 0
        self._closed_until = 0.0
        self._waiting: list[int] = []
        self._owed = 0
        self._exchange: asyncio.Task[None] | None = None
        self._share: Bucket | None = None
        self._outage = 0

    def try_take(self, cost: int, now: float) -> bool:
        """See :class:`Meter`."""
        if self._line.is_away or not self._blocks.take(cost, now):
            return False
        if self._exchange is None and self._blocks.is_low(cost, now) and now >= self._closed_until:
            self._begin()
        return True

    async def take(self, cost: int) -> bool:
        """See :class:`Meter`."""
        if cost > self._lease.limit.capacity:
            return False
        for _ in range(_ROUNDS):
            now = self._line.now()
            if self._line.is_away:
                return self._take_alone(cost, now)
            if self._blocks.take(cost, now):
                return True
            if cost >= self._closed_cost and now < self._closed_until:
                return False
            if not self._lease.life_s:
                break
            await self._wait_for_block(cost)
        # Others were faster each time, or blocks are not for this limit: this take is shared by itself.
        return await self._take_shared(cost)

    def put_back(self, cost: int, now: float) -> None:
        """See :class:`Meter`."""
        if self._line.is_away:
            if self._share is not None:
                self._share.correct(-cost, now)
        elif not self._lease.life_s:
            self.correct(-cost, now)

    def correct(self, by: int, now: float) -> None:
        """See :class:`Meter`."""
        if self._line.is_away:
            self._bucket_alone(now).correct(by, now)
            return
        self._owed += by - (self._blocks.pay(by, now) if by > 0 else 0)
        if self._owed and self._exchange is None:
            self._begin()

    def remaining(self, now: float) -> int:
        """See :class:`Meter`."""
        if self._line.is_away:
            return self._bucket_alone(now).remaining(now)
        return self._blocks.left(now) + (0 if now < self._closed_until else self._shared_left)

    def stand(self, now: float) -> tuple[int, float]:
        """See :class:`Meter`."""
        return self.remaining(now), self.reset_s(now)

    def largest(self, now: float) -> int:
        """See :class:`Meter`."""
        # The shared bucket holds less than the limit allows, and so does the share of it that one begins with.
        most = self._lease.limit.capacity
        if not self._line.is_away:
            return most
        return max(1, int(most * self._bucket_alone(now).capacity / self.capacity))

    def wait_s(self, cost: int, now: float) -> float:
        """See :class:`Meter`."""
        if self._line.is_away:
            return self._bucket_alone(now).wait_s(cost, now)
        # What the bucket said, it said of another cost.
        more_s = max(0, cost - self._closed_cost) * self._lease.limit.window_s / self._lease.limit.amount
        return min(max(0.0, self._closed_until - now) + more_s, self.reset_s(now))

    def reset_s(self, now: float) -> float:
        """See :class:`Meter`."""
        return max(0.0, self._full_at - now)

    def idle(self, now: float) -> bool:
        """See :class:`Meter`."""
        return self._exchange is None and not self._waiting and not self._blocks.left(now) and now >= self._closed_until

    def close(self) -> None:
        """See :class:`Meter`."""
        if self._exchange is not None:
            self._exchange.cancel()

    # --- together

    async def _wait_for_block(self, cost: int) -> None:
        self._waiting.append(cost)
        try:
            # Shielded: a caller that leaves must not end what others wait for.
            await asyncio.shield(self._exchange or self._begin())
        finally:
            self._waiting.remove(cost)

    def _begin(self) -> asyncio.Task[None]:
        self._exchange = asyncio.create_task(self._exchanged(), name="quota-block")
        return self._exchange

    async def _exchanged(self) -> None:
        try:
            if self._owed:
                await self._pay()
            if self._lease.life_s:
                await self._take_block()
        except Unavailable as error:
            self._line.failed(error)
        finally:
            self._exchange = None

    async def _pay(self) -> None:
        owed, self._owed = self._owed, 0
        try:
            await self._line.limits.correct(self._name, self._lease.limit, by=owed)
        except Unavailable:
            self._owed += owed
            raise
        if owed < 0:
            self._closed_until = 0.0

    async def _take_block(self) -> None:
        """Take what is wanted, less where that is not there, and at least what the least of those who wait needs."""
        least = min(self._waiting, default=1)
        wanted = self._blocks.wanted(sum(self._waiting), self._shared_left)
        wanted = min(max(wanted, least), self._lease.limit.capacity)
        for _ in range(_HALVINGS):
            sent = self._line.now()
            verdict = await self._line.limits.hit(self._name, self._lease.limit, cost=wanted)
            self._shared_left, self._full_at = verdict.remaining, sent + verdict.reset_s
            if verdict.allowed:
                # The block's life begins before it was asked for, so that it has ended here before it would there.
                self._blocks.add(wanted, sent + self._lease.life_s)
                self._closed_until = 0.0
                return
            if wanted == least:
                self._closed_cost, self._closed_until = least, sent + verdict.retry_after_s
                return
            wanted = max(least, min(wanted // 2, verdict.remaining // 2))

    async def _take_shared(self, cost: int) -> bool:
        sent = self._line.now()
        try:
            verdict = await self._line.limits.hit(self._name, self._lease.limit, cost=cost)
        except Unavailable as error:
            self._line.failed(error)
            return self._take_alone(cost, self._line.now())
        self._shared_left, self._full_at = verdict.remaining, sent + verdict.reset_s
        if not verdict.allowed:
            self._closed_cost, self._closed_until = cost, sent + verdict.retry_after_s
        return verdict.allowed

    # --- while the line is down

    def _take_alone(self, cost: int, now: float) -> bool:
        if self._away is Away.OPEN:
            return True
        if self._away is Away.CLOSED:
            raise QuotaUnavailable(
                f"{self.title} is kept in Redis, which does not answer; by this installation's setting nothing passes"
                " meanwhile. Try again.",
                headers={"Retry-After": "1"},
            )
        return self._bucket_alone(now).take(cost, now)

    def _bucket_alone(self, now: float) -> Bucket:
        if self._share is None or self._outage != self._line.outages:
            parts = self._line.processes if self._away is Away.SHARE else 1
            # What was used before stays used, so far as it is known. A part of less than one would let nothing through.
            capacity = max(1.0, self.capacity / parts)
            left = (self._shared_left + self._blocks.left(now)) / parts
            self._share = Bucket(
                capacity=capacity,
                rate=self.limit.amount / self.limit.window_s / parts,
                used=max(0.0, capacity - max(1.0, left)),
                at=now,
            )
            self._outage = self._line.outages
            self._blocks.clear()
        return self._share
