"""What a process has in hand of one wallet.

Taking from a lease that has enough is a comparison and a subtraction. A lease that runs low is filled up beside the path;
only a call that finds too little waits, and all who wait share one transaction. A lease that must end (its day is over, or
nobody uses it) takes no new call: it *retires*, gives back at once what no call holds, and is closed when its last call
stands in the ledger.

At the end of a wallet a call waits for those under way, which mostly cost less than is held for them: for ``patience_s``,
unless even all of it would not do. What is too little for those who wait goes back meanwhile: it may do for another process.

Where somebody lowered a budget below what is leased, what no call holds goes back as far as it is too much.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from samovar.domains.billing.errors import PaymentRefused, TooManyWaiting
from samovar.domains.billing.model.ledger import MICROSECONDS_A_DAY
from samovar.domains.billing.model.wallets import SHARE, PurseState, day_of, midnight_after
from samovar.domains.billing.service.money.journal import Journal, Place
from samovar.domains.billing.service.money.leasing import Grant, Leasing, Wish, spent_out
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock

_QUICK_S: Final = 1.0
_SLOW_S: Final = 10.0
_MOST_GROWTH: Final = 256
# A lease that has more than its wallet has left goes back this soon: others may be waiting for it.
_SHORT_IDLE_S: Final = 1.0
_REFUSED_FOR_S: Final = 0.25
# Between two looks at a wallet at whose end callers wait: the first, and the longest.
_PAUSES_S: Final = (0.02, 0.25)
MAX_WAITING: Final = 10_000


class _Waiting(NamedTuple):
    """Who needs ``bound``, and will have waited long enough at ``until`` (monotonic)."""

    bound: int
    place: "asyncio.Future[Lease]"
    until: float


class Lease:
    """``amount`` was taken in all, ``free`` of it is neither spent nor held (below zero where a call cost more than its
    hold), ``holds`` calls are under way."""

    __slots__ = (
        "amount",
        "day",
        "first_at",
        "free",
        "holds",
        "id",
        "last_at",
        "last_mark",
        "takes",
        "until",
        "used_at",
        "used_takes",
    )

    def __init__(self, grant: Grant, *, now_s: float) -> None:
        self.id = grant.lease_id
        self.day = grant.day
        self.first_at = int(grant.taken_at.timestamp() * 1_000_000)
        self.last_at = (grant.day + 1) * MICROSECONDS_A_DAY - 1
        self.until = midnight_after(grant.day)
        self.amount = grant.amount
        self.free = grant.amount
        self.holds = 0
        self.last_mark: Place | None = None
        self.takes = 0
        self.used_takes = 0
        self.used_at = now_s

    def moment(self, now: datetime) -> int:
        """``now`` in microseconds since 1970, within the lease: clocks jump, and a charge belongs to its lease's day."""
        at = int(now.timestamp() * 1_000_000)
        return at if self.first_at <= at <= self.last_at else self.first_at if at < self.first_at else self.last_at


class Purse:
    """One wallet in one process. Its calls are noted in ``journal``. ``on_unavailable`` is told when the database failed a
    refill: perhaps it was done all the same, and only the word of it was lost."""

    def __init__(
        self,
        *,
        team_id: str,
        wallet_id: str,
        leasing: Leasing,
        journal: Journal,
        clock: Clock,
        size: int,
        wait_s: float,
        patience_s: float,
        on_unavailable: Callable[[Unavailable], None],
    ) -> None:
        self.team_id = team_id
        self.wallet_id = wallet_id
        self._leasing = leasing
        self.journal = journal
        self._clock = clock
        self._smallest = self._size = size
        self._wait_s = wait_s
        self._patience_s = patience_s
        self._on_unavailable = on_unavailable
        self.lease: Lease | None = None
        self.retiring: list[Lease] = []
        self.state = PurseState.OK
        self._low = 0
        self._left: int | None = None
        self._must_ask = False
        self._waiting: deque[_Waiting] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._filled_at = clock.monotonic()
        self._refused: tuple[float, int] = (0.0, 0)

    # --- the path of a call

    def take(self, bound: int, now: datetime) -> Lease | None:
        """A lease with ``bound`` taken from it; ``None`` where it must be waited for."""
        lease = self.lease
        if lease is None or lease.free < bound or now >= lease.until:
            return None
        lease.free -= bound
        lease.holds += 1
        lease.takes += 1
        if lease.free < self._low and self._filling is None:
            self._filling = asyncio.create_task(self._fill())
        return lease

    async def wait(self, bound: int) -> Lease:
        """As :meth:`take`, once there is enough. Raises ``CreditSpent``, ``WalletGone``, ``TooManyWaiting``,
        ``Unavailable``."""
        until, available = self._refused
        if bound > available and self._clock.monotonic() < until:
            raise spent_out(self.wallet_id, bound, available)
        if len(self._waiting) >= MAX_WAITING:
            raise TooManyWaiting(
                f"{MAX_WAITING} calls wait for credits of wallet {self.wallet_id} already. Try again in a second; where it"
                " stays so, send fewer calls at once, or add credits (POST /api/wallets/{id}/credits).",
                headers={"Retry-After": "1"},
            )
        place: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(bound, place, self._clock.monotonic() + self._patience_s))
        if self._filling is None:
            self._filling = asyncio.create_task(self._fill())
        try:
            async with asyncio.timeout(self._wait_s):
                return await place
        except TimeoutError as error:
            self._let_go(bound, place)
            raise Unavailable(
                f"The database did not lease credits of wallet {self.wallet_id} within {self._wait_s:g} s. Try again.",
                headers={"Retry-After": "1"},
            ) from error
        except asyncio.CancelledError:
            self._let_go(bound, place)
            raise

    def put_back(self, lease: Lease, amount: int) -> None:
        """A call ended that did not use ``amount`` of its hold (below zero: it used more)."""
        lease.free += amount
        lease.holds -= 1
        if self._waiting and lease is self.lease:
            self._hand_out(lease)

    # --- upkeep

    def ask_again(self) -> None:
        """Somebody changed the wallet or its budgets: ask what they say, and give back what is too much."""
        self._refused = (0.0, 0)
        self._must_ask = True
        self.ask_if()

    def ask_if(self) -> None:
        """Ask where that is still to be done, or where calls that ended left something of what is too much. To be called now
        and then."""
        lease = self.lease
        if self._filling is not None:
            return
        if lease is None:
            self._must_ask = False
        elif self._must_ask or (lease.free > 0 and self._left is not None and self._left < 0):
            self._filling = asyncio.create_task(self._fill(to_know=True))

    def retire(self) -> None:
        """Let nobody else take from the lease."""
        if self.lease is not None:
            self.retiring.append(self.lease)
            self.lease = None

    def retire_if(self, *, now: datetime, idle_s: float) -> None:
        """Retire a lease of another day, or from which nobody took for ``idle_s``. To be asked now and then."""
        lease, now_s = self.lease, self._clock.monotonic()
        if lease is None:
            return
        if lease.takes != lease.used_takes:
            lease.used_takes, lease.used_at = lease.takes, now_s
        if self._left is not None and self._left < lease.free:
            idle_s = min(idle_s, _SHORT_IDLE_S)
        if day_of(now) != lease.day or (now_s - lease.used_at >= idle_s and self._filling is None):
            self.retire()

    async def give_back(self, *, moved: Place) -> None:
        """Give back what retired leases do not need; ``moved`` is how far the journal stands in the ledger. Raises
        ``Unavailable``; then it is done the next time."""
        for lease in list(self.retiring):
            if lease.last_mark is None and lease.holds == 0:
                lease.last_mark = self.journal.end  # No call takes from it any more.
            done = lease.last_mark is not None and moved >= lease.last_mark
            if done or lease.free > 0:
                given = max(0, lease.free)
                keep = 0 if done else lease.amount - given
                await self._leasing.give_back(self.team_id, lease.id, keep=keep, close=done)
                lease.amount -= given
                lease.free -= given
            if done:
                self.retiring.remove(lease)

    @property
    def lease_ids(self) -> list[str] | None:
        """The leases it knows of; ``None`` while it is asking for one."""
        if self._filling is not None:
            return None
        return [lease.id for lease in (self.lease, *self.retiring) if lease is not None]

    @property
    def is_empty(self) -> bool:
        """Nothing in hand, nobody waits."""
        return self.lease is None and not self.retiring and not self._waiting and self._filling is None

    async def close(self) -> None:
        """End the refill under way."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])

    # --- filling up

    async def _fill(self, *, to_know: bool = False) -> None:
        """Lease what those who wait need, and something for those to come; where it is only ``to_know`` what the budgets say,
        nothing for them."""
        asked = False
        try:
            comfortable = 0 if to_know else self._comfortable()
            pause_s, longest_s = _PAUSES_S
            while True:
                # What somebody changes from here on is asked for once more.
                asked, self._must_ask = self._must_ask, False
                grant = await self._ask(comfortable)
                if grant.available is not None and grant.available < 0:
                    asked = True
                    grant = await self._shrink(grant, grant.available)
                is_more = grant.ended or self._serve(grant)
                if self._must_ask:
                    comfortable = 0
                    continue
                if not self._waiting:
                    return
                if not is_more:
                    comfortable = 0
                    await self._pool()
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, longest_s)
        except (PaymentRefused, Unavailable) as error:
            if isinstance(error, Unavailable):
                self._must_ask = self._must_ask or asked
                self._on_unavailable(error)
            self._refuse_all(error)
        except BaseException as error:
            self._refuse_all(Unavailable(f"Leasing credits of wallet {self.wallet_id} failed: {error!r}."))
            raise
        finally:
            self._filling = None

    async def _ask(self, comfortable: int) -> Grant:
        now = self._clock.now()
        if self.lease is not None and now >= self.lease.until:
            self.retire()
        lease = self.lease
        wanted = [one.bound for one in self._waiting if not one.place.done()]
        wish = Wish(
            self.team_id,
            self.wallet_id,
            None if lease is None else lease.id,
            wanted,
            0 if lease is None else lease.free,
            comfortable,
        )
        grant = await self._leasing.take(wish)
        if lease is None:
            if grant.amount:
                self.lease = Lease(grant, now_s=self._clock.monotonic())
        elif grant.ended:
            # Somebody settled it by hand, or its day is over: what it still holds is charged, and nothing more taken.
            self.retire()
        elif self.lease is lease:
            lease.free += grant.amount - lease.amount
            lease.amount = grant.amount
        self.state = grant.state
        return grant

    async def _shrink(self, grant: Grant, available: int) -> Grant:
        """Give back what the budgets do not allow any more (``available`` is below zero), as far as no call holds it. Raises
        ``Unavailable``."""
        lease = self.lease
        if lease is None or lease.free <= 0:
            return grant
        # Away first, as in :meth:`_pool`. What the database leaves of it comes with the grant.
        most = min(lease.free, -available)
        lease.amount, lease.free = lease.amount - most, lease.free - most
        shrunk = await self._leasing.shrink(self.team_id, self.wallet_id, lease.id, keep=lease.amount)
        if shrunk.ended:
            self.retire()
        elif self.lease is lease:
            lease.free += shrunk.amount - lease.amount
            lease.amount = shrunk.amount
        self.state = shrunk.state
        return shrunk

    def _comfortable(self) -> int:
        """Twice as much each time a lease was gone within a second, half as much after ten."""
        now = self._clock.monotonic()
        took_s, self._filled_at = now - self._filled_at, now
        if took_s < _QUICK_S:
            self._size = min(self._size * 2, self._smallest * _MOST_GROWTH)
        elif took_s > _SLOW_S:
            self._size = max(self._size // 2, self._smallest)
        return self._size

    def _serve(self, grant: Grant) -> bool:
        """Give to those who wait, and refuse those whom no waiting helps. Whether there is more for who still waits."""
        # A quarter of what the next lease would be: near the end of a wallet it is next to nothing.
        size = self._size if grant.available is None else min(self._size, max(0, grant.available) // SHARE)
        self._low = (size if grant.share is None else min(size, grant.share)) // 4
        self._left = grant.available
        waiting, self._waiting = self._waiting, deque()
        lease, now, is_more = self.lease, self._clock.monotonic(), False
        for one in waiting:
            if one.place.done():
                continue
            if lease is not None and lease.free >= one.bound:
                _give(lease, one)
            elif grant.available is None or one.bound <= grant.available:
                # It came while the database was asked.
                is_more = True
                self._waiting.append(one)
            elif now < one.until and (grant.reach is None or one.bound <= grant.reach):
                self._waiting.append(one)
            else:
                available = grant.available + (0 if lease is None else max(0, lease.free))
                self._refused = (now + _REFUSED_FOR_S, available)
                one.place.set_exception(spent_out(self.wallet_id, one.bound, available))
        return is_more

    def _hand_out(self, lease: Lease) -> None:
        """Give what came back to those who wait, in their order."""
        if self._clock.now() >= lease.until:
            return
        while self._waiting:
            one = self._waiting[0]
            if not one.place.done():
                if lease.free < one.bound:
                    return
                _give(lease, one)
            self._waiting.popleft()

    async def _pool(self) -> None:
        """Give back what does not do for those who wait. Raises ``Unavailable``."""
        lease = self.lease
        if lease is None or lease.free <= 0:
            return
        # Away first, so that nobody takes it meanwhile. Should the database not take it, the next grant brings it again.
        lease.amount, lease.free = lease.amount - lease.free, 0
        await self._leasing.give_back(self.team_id, lease.id, keep=lease.amount, close=False)

    def _refuse_all(self, error: PaymentRefused | Unavailable) -> None:
        waiting, self._waiting = self._waiting, deque()
        for one in waiting:
            if not one.place.done():
                one.place.set_exception(error)

    def _let_go(self, bound: int, place: "asyncio.Future[Lease]") -> None:
        """Whoever waited is gone; what came for it meanwhile goes back."""
        if place.done() and not place.cancelled() and place.exception() is None:
            self.put_back(place.result(), bound)
        place.cancel()


def _give(lease: Lease, one: _Waiting) -> None:
    lease.free -= one.bound
    lease.holds += 1
    lease.takes += 1
    one.place.set_result(lease)
