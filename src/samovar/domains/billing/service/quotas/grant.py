"""What one call was granted, and what it gives back at its end."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from samovar.domains.billing.errors import RateLimited, TargetLimited
from samovar.domains.billing.service.quotas.gates import Gate
from samovar.domains.billing.service.quotas.load import Caller, Load
from samovar.domains.billing.service.quotas.meters import Meter
from samovar.ports.asgi import Lines, pairs_of
from samovar.ports.clock import Clock


class Account(msgspec.Struct, frozen=True):
    """All that limits a caller, or a target, each once: requests shortest window first. ``target_of`` makes the account of a
    provider and its model, where any is limited for the caller's team."""

    caller: Caller
    requests: tuple[Meter, ...] = ()
    tokens: tuple[Meter, ...] = ()
    gates: tuple[Gate, ...] = ()
    target_of: "Callable[[Caller, str, str], Account] | None" = None


_NO_LINES: Final = Lines(b"", 0)
USUAL_ANSWER_TOKENS: Final = 1_024
"""Left for an answer at least where a call did not name the most it may be answered."""


async def take_all(
    meters: Sequence[Meter], cost: int, clock: Clock, *, refused: type[RateLimited] = RateLimited, start: int = 0
) -> None:
    """Take ``cost`` from each, or from none; from those before ``start`` it was taken already. Raises ``refused`` naming the
    meter that had it not, ``QuotaUnavailable``."""
    now = clock.monotonic()
    for place, meter in enumerate(meters):
        if place < start or meter.try_take(cost, now):
            continue
        try:
            if await meter.take(cost):
                continue
            now = clock.monotonic()
            raise _limited(meter, cost, now, refused)
        except BaseException:
            # Cancelled, too: what was taken of the others is not used.
            for other in meters[:place]:
                other.put_back(cost, now)
            raise


async def enter_all(
    gates: Sequence[Gate], now: float, refused: type[RateLimited] = RateLimited, *, start: int = 0
) -> None:
    """Enter each, or none; those before ``start`` were entered already. Raises ``refused`` naming the gate that was full,
    ``QuotaUnavailable``."""
    for place, gate in enumerate(gates):
        if place < start or gate.try_enter(now):
            continue
        try:
            if await gate.enter():
                continue
            raise refused(
                f"{gate.title}: all are under way; send the next when one of them has ended",
                headers={"Retry-After": "1"},
            )
        except BaseException:
            for other in gates[:place]:
                other.leave()
            raise


def limit_lines(account: Account, now: float) -> Lines:
    """``X-RateLimit-*`` of the tightest limit on requests (on tokens, where there is none on requests)."""
    reset_s, left, most = None, 0, 1
    for meter in account.requests or account.tokens:
        (other, full_in_s), capacity = meter.stand(now), meter.capacity
        if reset_s is None or other * most < left * capacity:
            reset_s, left, most = full_in_s, other, capacity
    if reset_s is None:
        return _NO_LINES
    said = (most, left, math.ceil(reset_s))
    return Lines(b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\nx-ratelimit-reset: %d" % said, 3)


class Grant:
    """One for each call. :meth:`release` in every case; :meth:`settle` once where tokens were taken."""

    __slots__ = ("_account", "_asked", "_clock", "_estimate", "_load", "_open", "_target", "_targets", "counts_tokens")

    def __init__(self, account: Account, load: Load, clock: Clock) -> None:
        self._account = account
        self._load = load
        self._clock = clock
        self._target: Account | None = None
        self._targets: list[tuple[Account, int]] | None = None
        self._asked = (0, 0, True)
        self._estimate = 0
        self._open = True
        self.counts_tokens = bool(account.tokens) or account.target_of is not None
        """Whether :meth:`take_tokens` is needed."""

    def take_tokens(self, input_tokens: int, output_tokens: int, *, is_named: bool = True) -> Awaitable[None] | None:
        """Take an estimate before the call: what it says, and what it may be answered at most. Where the caller did not name
        that, the call takes what is left, if that is less. Await what comes back, if anything does: it raises
        ``RateLimited``, ``QuotaUnavailable``."""
        self._asked = (input_tokens, output_tokens, is_named)
        if not is_named:
            return self._take_rest(0)
        meters, now = self._account.tokens, self._clock.monotonic()
        estimate = _most_of(meters, input_tokens, output_tokens, now)
        for meter in meters:
            if not meter.try_take(estimate, now):
                return self._take_rest(meters.index(meter))
        self._estimate = estimate
        return None

    def to_target(self, provider: str, model: str) -> Awaitable[None] | None:
        """Ask the limits of a provider and its model, where there are any, before an attempt goes there; ``None``: none.
        It raises ``TargetLimited``, ``QuotaUnavailable``."""
        account = self._account
        if account.target_of is None:
            return None
        return self._enter_target(account.target_of(account.caller, provider, model))

    def settle(self, tokens: int) -> None:
        """The call used so many tokens (0: none): set right what was taken by estimate."""
        now = self._clock.monotonic()
        _correct(self._account, tokens - self._estimate, now)
        self._estimate = tokens
        targets = self._targets
        if targets is None:
            return
        for place, (target, taken) in enumerate(targets, 1):
            # Only the last attempt can have used any, and a target may have had several.
            used = tokens if place == len(targets) and target is self._target else 0
            _correct(target, used - taken, now)

    def release(self) -> None:
        """The call ended, however it did. Again is harmless."""
        if not self._open:
            return
        self._open = False
        account = self._account
        self._load.leave(account.caller)
        for gate in account.gates:
            gate.leave()
        if self._target is not None:
            self._leave_target()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """``X-RateLimit-*`` of the tightest limit on requests (on tokens, where there is none on requests)."""
        return pairs_of(self.lines())

    def lines(self) -> Lines:
        """The same, joined."""
        return limit_lines(self._account, self._clock.monotonic())

    async def _take_rest(self, start: int) -> None:
        self._estimate = await self._take_estimate(self._account, RateLimited, start=start)

    async def _enter_target(self, target: Account) -> None:
        self._leave_target()
        await enter_all(target.gates, self._clock.monotonic(), TargetLimited)
        # Noted at once, so that :meth:`release` leaves the gates whatever comes.
        self._target = Account(target.caller, (), (), target.gates)
        await take_all(target.requests, 1, self._clock, refused=TargetLimited)
        estimate = await self._take_estimate(target, TargetLimited)
        self._target = target
        self._targets = [*(self._targets or ()), (target, estimate)]

    async def _take_estimate(self, account: Account, refused: type[RateLimited], *, start: int = 0) -> int:
        """From the meters before ``start`` it was taken already."""
        said, answered, is_named = self._asked
        now = self._clock.monotonic()
        estimate = _most_of(account.tokens, said, answered, now)
        if account.tokens and not is_named:
            # Nor a wish that nobody spoke while there is room for a usual answer: it takes what is left.
            least = min(estimate, said + USUAL_ANSWER_TOKENS)
            estimate = min(estimate, max(least, min(meter.remaining(now) for meter in account.tokens)))
            if estimate > least:
                try:
                    await take_all(account.tokens, estimate, self._clock, refused=refused)
                except refused:
                    # Other processes took of it: what is left is known here as of the last exchange.
                    estimate = least
                else:
                    return estimate
        await take_all(account.tokens, estimate, self._clock, refused=refused, start=start)
        return estimate

    def _leave_target(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            for gate in target.gates:
                gate.leave()


def _most_of(meters: Sequence[Meter], said: int, answered: int, now: float) -> int:
    # A large wish for output alone shall not keep a call out for ever: it takes the whole limit at most.
    for meter in meters:
        room = meter.largest(now) - said
        if room < answered:
            answered = min(answered, max(0, room))
    return said + answered


def _correct(account: Account, difference: int, now: float) -> None:
    if difference:
        for meter in account.tokens:
            meter.correct(difference, now)


def _limited(meter: Meter, cost: int, now: float, refused: type[RateLimited]) -> RateLimited:
    wait_s = max(1, math.ceil(meter.wait_s(cost, now)))
    headers = {
        "Retry-After": str(wait_s),
        "X-RateLimit-Limit": str(meter.limit.capacity),
        "X-RateLimit-Remaining": str(meter.remaining(now)),
        "X-RateLimit-Reset": str(math.ceil(meter.reset_s(now))),
    }
    if cost > meter.largest(now):
        words = f"this call needs about {cost}, more than fit into the limit at all: make it smaller"
    else:
        words = f"used up; try again in {wait_s} s"
    return refused(f"{meter.title}: {words}", headers=headers)
