"""What stands before a write where the servers behind it are away."""

import pytest

from samovar.adapters.memory import MemoryCache, MemoryLimiter
from samovar.domains.prompts.errors import NonceReplayed, TooManyWrites
from samovar.domains.prompts.service import GateRules, WriteGate
from samovar.kernel.errors import Forbidden, Unavailable
from samovar.ports.limits import Limit, Verdict
from tests.domains.prompts.conftest import ADMIN, OTHER, reader
from tests.support.clock import ManualClock


class AwayLimiter(MemoryLimiter):
    async def hit(self, key: str, limit: Limit, *, cost: int = 1) -> Verdict:
        raise Unavailable("away")


class AwayCache(MemoryCache):
    async def add(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        raise Unavailable("away")


async def test_a_sent_nonce_fails_closed_and_the_limit_open(clock: ManualClock) -> None:
    gate = WriteGate(rules=GateRules(), limiter=AwayLimiter(clock=clock), cache=AwayCache(clock=clock), clock=clock)
    assert await gate.admit(ADMIN, nonce=None, timestamp=None) == []
    with pytest.raises(Unavailable):
        await gate.admit(ADMIN, nonce="n", timestamp=None)


async def test_each_caller_has_a_limit_and_nonces_of_its_own(clock: ManualClock) -> None:
    rules = GateRules(writes=Limit(amount=2, window_s=60))
    gate = WriteGate(rules=rules, limiter=MemoryLimiter(clock=clock), cache=MemoryCache(clock=clock), clock=clock)
    for principal in (ADMIN, OTHER):
        await gate.admit(principal, nonce="n", timestamp=None)
        with pytest.raises(NonceReplayed):
            await gate.admit(principal, nonce="n", timestamp=None)
        with pytest.raises(TooManyWrites):
            await gate.admit(principal, nonce="m", timestamp=None)
    clock.advance(31)
    # What the limit refused did not use its nonce up.
    await gate.admit(ADMIN, nonce="m", timestamp=None)
    with pytest.raises(Forbidden):
        await gate.admit(reader(), nonce=None, timestamp=None)


async def test_a_nonce_is_remembered_as_long_as_its_timestamp_is_taken(clock: ManualClock) -> None:
    gate = WriteGate(
        rules=GateRules(writes=None), limiter=MemoryLimiter(clock=clock), cache=MemoryCache(clock=clock), clock=clock
    )
    ahead = str(int(clock.now().timestamp()) + 59)
    await gate.admit(ADMIN, nonce="n", timestamp=ahead)
    clock.advance(358)
    with pytest.raises(NonceReplayed):
        await gate.admit(ADMIN, nonce="n", timestamp=ahead)
