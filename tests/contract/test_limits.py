"""The limiter port, in memory and over Redis, and the rule they share."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.adapters.memory import MemoryLimiter
from samovar.adapters.redis import RedisLimiter, RedisLink
from samovar.adapters.system import SystemClock
from samovar.kernel.errors import Unavailable
from samovar.ports.limits import FULL, Held, Limit, SharedLimits, parse_limits, spend
from tests.support.clock import ManualClock
from tests.support.sockets import silent_server

HOUR = 3600


@pytest.fixture(params=["memory", "redis"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[SharedLimits]:
    made: SharedLimits
    if request.param == "memory":
        made = MemoryLimiter(clock=SystemClock())
    else:
        url, prefix = request.getfixturevalue("redis_server"), request.getfixturevalue("redis_prefix")
        made = RedisLimiter(link=RedisLink(url, clock=SystemClock(), deadline_s=5), prefix=prefix)
    yield made
    await made.close()


async def test_the_amount_is_allowed_and_no_more(limiter: SharedLimits) -> None:
    verdicts = [await limiter.hit("key", Limit(3, HOUR)) for _ in range(5)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0, 0]
    assert verdicts[0].retry_after_s == 0
    assert verdicts[3].retry_after_s == pytest.approx(HOUR / 3, abs=1)
    assert verdicts[3].reset_s == pytest.approx(HOUR, abs=1)


async def test_of_a_hundred_racing_hits_exactly_the_amount_pass(limiter: SharedLimits) -> None:
    verdicts = await asyncio.gather(*(limiter.hit("key", Limit(17, HOUR)) for _ in range(100)))
    assert sum(verdict.allowed for verdict in verdicts) == 17


async def test_burst_bounds_what_a_full_bucket_gives(limiter: SharedLimits) -> None:
    more = [await limiter.hit("key", Limit(2, HOUR, burst=4)) for _ in range(6)]
    assert [verdict.allowed for verdict in more] == [True] * 4 + [False] * 2
    less = [await limiter.hit("key", Limit(1000, HOUR, burst=1)) for _ in range(2)]
    assert [verdict.allowed for verdict in less] == [True, False]


async def test_waiting_as_long_as_told_is_enough(limiter: SharedLimits) -> None:
    limit = Limit(30, 1, burst=1)
    for _ in range(3):
        assert (await limiter.hit("key", limit)).allowed
        refused = await limiter.hit("key", limit)
        assert not refused.allowed
        await asyncio.sleep(refused.retry_after_s)


async def test_a_refused_hit_takes_nothing(limiter: SharedLimits) -> None:
    limit = Limit(10, HOUR)
    assert (await limiter.hit("key", limit, cost=8)).remaining == 2
    assert not (await limiter.hit("key", limit, cost=3)).allowed
    assert (await limiter.hit("key", limit, cost=2)).allowed


async def test_a_cost_of_nothing_only_looks(limiter: SharedLimits) -> None:
    assert [(await limiter.hit("key", Limit(1, HOUR), cost=0)).remaining for _ in range(3)] == [1, 1, 1]


async def test_a_cost_above_the_bucket_is_never_allowed(limiter: SharedLimits) -> None:
    verdict = await limiter.hit("key", Limit(5, HOUR), cost=6)
    assert not verdict.allowed
    assert math.isfinite(verdict.retry_after_s)
    assert verdict.remaining == 5


async def test_a_negative_cost_is_refused(limiter: SharedLimits) -> None:
    with pytest.raises(ValueError, match="negative"):
        await limiter.hit("key", Limit(5, HOUR), cost=-1)


async def test_keys_and_limits_do_not_share_buckets(limiter: SharedLimits) -> None:
    assert (await limiter.hit("key", Limit(1, HOUR))).allowed
    assert (await limiter.hit("other", Limit(1, HOUR))).allowed
    assert (await limiter.hit("key", Limit(1, HOUR * 24))).allowed
    assert not (await limiter.hit("key", Limit(1, HOUR))).allowed


async def test_a_very_high_limit_is_not_lost_in_rounding(limiter: SharedLimits) -> None:
    limit = Limit(1_000_000_000, 366 * 86_400, burst=1_000_000_000)
    first = await limiter.hit("key", limit, cost=999_999_999)
    assert first.remaining == 1
    assert (await limiter.hit("key", limit)).allowed
    assert not (await limiter.hit("key", limit, cost=1000)).allowed


async def test_what_was_not_used_can_be_given_back(limiter: SharedLimits) -> None:
    limit = Limit(10, HOUR)
    await limiter.hit("key", limit, cost=10)
    await limiter.correct("key", limit, by=-4)
    assert (await limiter.hit("key", limit, cost=4)).allowed
    assert not (await limiter.hit("key", limit)).allowed


async def test_giving_back_more_than_was_taken_leaves_a_full_bucket(limiter: SharedLimits) -> None:
    limit = Limit(10, HOUR)
    await limiter.correct("key", limit, by=-4)
    assert (await limiter.hit("key", limit, cost=0)).remaining == 10


async def test_what_was_used_beyond_the_bucket_is_a_debt_that_time_pays(limiter: SharedLimits) -> None:
    limit = Limit(10, HOUR)
    await limiter.correct("key", limit, by=30)
    verdict = await limiter.hit("key", limit)
    assert not verdict.allowed
    assert verdict.remaining == 0
    assert verdict.retry_after_s == pytest.approx(21 * HOUR / 10, abs=5)


async def test_places_are_held_up_to_the_limit_by_all_owners_together(limiter: SharedLimits) -> None:
    async def held(owner: str, wanted: int) -> Held:
        return await limiter.hold("key", owner=owner, wanted=wanted, most=5, ttl_s=60)

    assert await held("one", 3) == Held(3, 1)
    assert await held("two", 3) == Held(2, 2)
    assert await held("three", 1) == Held(0, 2)
    assert await held("one", 1) == Held(1, 2)
    assert await held("two", 9) == Held(4, 2)
    assert await held("two", 0) == Held(0, 1)
    assert await held("one", 5) == Held(5, 1)


async def test_places_are_free_when_their_time_is_over(limiter: SharedLimits) -> None:
    assert (await limiter.hold("key", owner="one", wanted=1, most=1, ttl_s=0.05)).granted == 1
    assert (await limiter.hold("key", owner="two", wanted=1, most=1, ttl_s=60)).granted == 0
    await asyncio.sleep(0.06)
    assert await limiter.hold("key", owner="two", wanted=1, most=1, ttl_s=60) == Held(1, 1)


async def test_redis_and_memory_follow_the_same_arithmetic(redis_server: str, redis_prefix: str) -> None:
    redis = RedisLimiter(link=RedisLink(redis_server, clock=SystemClock(), deadline_s=5), prefix=redis_prefix)
    memory = MemoryLimiter(clock=ManualClock())
    # So slow that what time passes for Redis meanwhile stays below one unit.
    limit = Limit(977, 366 * 86_400, burst=131)
    for cost in (1, 50, 0, 79, 2, 1, 140, 1):
        theirs, ours = await redis.hit("key", limit, cost=cost), await memory.hit("key", limit, cost=cost)
        assert theirs[:2] == ours[:2]
        assert theirs.retry_after_s == pytest.approx(ours.retry_after_s, abs=10)
        assert theirs.reset_s == pytest.approx(ours.reset_s, abs=10)
    await redis.close()


async def test_buckets_in_redis_end_by_themselves(redis_server: str, redis_prefix: str) -> None:
    link = RedisLink(redis_server, clock=SystemClock(), deadline_s=5)
    limiter = RedisLimiter(link=link, prefix=redis_prefix)
    await limiter.hit("key", Limit(10, 10), cost=5)
    [name] = [key async for key in link.client.scan_iter(match=redis_prefix + "*", count=1000)]
    assert 5000 < await link.client.pttl(name) < 6001
    await limiter.close()


async def test_a_silent_redis_is_given_up_at_the_deadline() -> None:
    async with silent_server() as port:
        limiter = RedisLimiter(link=RedisLink(f"redis://127.0.0.1:{port}/0", clock=SystemClock(), deadline_s=0.1))
        with pytest.raises(Unavailable):
            await limiter.hit("key", Limit(1, 1))
        await limiter.close()


async def test_full_buckets_are_forgotten(clock: ManualClock) -> None:
    limiter = MemoryLimiter(clock=clock)
    for n in range(1000):
        await limiter.hit(f"address {n}", Limit(10, 60))
        clock.advance(0.5)
    assert len(limiter) < 50


async def test_buckets_are_bounded(clock: ManualClock) -> None:
    limiter = MemoryLimiter(clock=clock, max_buckets=100)
    for n in range(1000):
        await limiter.hit(f"address {n}", Limit(10, 60))
    assert len(limiter) <= 100


# --- the rule -------------------------------------------------------------------------------------------------------

limits = st.builds(
    Limit,
    amount=st.integers(1, 10_000),
    window_s=st.integers(1, 100_000),
    burst=st.none() | st.integers(1, 10_000),
)
# Steps of the clock in microseconds, backwards now and then, and costs.
hits = st.lists(st.tuples(st.integers(-1000, 10**9), st.integers(0, 20)), max_size=60)


@given(limit=limits, hits=hits)
def test_no_span_of_time_sees_more_than_the_bucket_promises(limit: Limit, hits: list[tuple[int, int]]) -> None:
    level, now_us, latest_us = FULL, 10**12, 10**12
    allowed: list[tuple[int, int]] = []
    for step_us, cost in hits:
        now_us += step_us
        latest_us = max(latest_us, now_us)
        level, verdict = spend(level, limit, cost=cost, now_us=now_us)
        assert 0 <= verdict.remaining <= limit.capacity
        if verdict.allowed:
            allowed.append((latest_us, cost))
    rate = Fraction(limit.amount, limit.window_s * 10**6)
    for first, (start_us, _) in enumerate(allowed):
        total = 0
        for end_us, cost in allowed[first:]:
            total += cost
            # A millionth of a unit for the rounding of doubles.
            assert total <= limit.capacity + (end_us - start_us) * rate + Fraction(1, 10**6)


@given(limit=limits, hits=hits, cost=st.integers(1, 20))
def test_a_refused_cost_passes_after_the_wait_it_was_told(limit: Limit, hits: list[tuple[int, int]], cost: int) -> None:
    level, now_us = FULL, 10**12
    for step_us, spent in hits:
        now_us += abs(step_us)
        level, _ = spend(level, limit, cost=spent, now_us=now_us)
    level, verdict = spend(level, limit, cost=cost, now_us=now_us)
    if not verdict.allowed and cost <= limit.capacity:
        _, later = spend(level, limit, cost=cost, now_us=now_us + math.ceil(verdict.retry_after_s * 10**6))
        assert later.allowed


@given(limit=limits, hits=hits)
def test_an_untouched_bucket_is_full_when_it_said(limit: Limit, hits: list[tuple[int, int]]) -> None:
    level, now_us = FULL, 10**12
    for step_us, spent in hits:
        now_us += abs(step_us)
        level, verdict = spend(level, limit, cost=spent, now_us=now_us)
        _, later = spend(level, limit, cost=0, now_us=now_us + math.ceil(verdict.reset_s * 10**6) + 1)
        assert later.remaining == limit.capacity


# --- how limits are written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("100/hour", (Limit(100, 3600),)),
        ("100/hour;1000/day", (Limit(100, 3600), Limit(1000, 86_400))),
        ("100/min burst 150, 1000/h", (Limit(100, 60, 150), Limit(1000, 3600))),
        (" 5 per 2 Minutes ", (Limit(5, 120),)),
        ("1/s; 2/sec; 3/d; 4/weeks", (Limit(1, 1), Limit(2, 1), Limit(3, 86_400), Limit(4, 604_800))),
    ],
)
def test_limits_are_read(text: str, expected: tuple[Limit, ...]) -> None:
    assert parse_limits(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("100", "is not a limit"),
        ("100/hour;", "'' is not a limit"),
        ("-1/hour", "is not a limit"),
        ("1.5/hour", "is not a limit"),
        ("٣/hour", "is not a limit"),
        ("100/fortnight", "is no unit"),
        ("0/hour", "between 1 and"),
        ("5/0 hours", "window"),
        ("5/999999 weeks", "window"),
        ("5/hour burst 0", "burst"),
        ("1/s;" * 8 + "1/s", "at most 8"),
    ],
)
def test_what_is_no_limit_is_refused_in_words(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_limits(text)


@given(st.lists(limits, max_size=8))
def test_a_written_limit_is_read_back(written: list[Limit]) -> None:
    assert parse_limits("; ".join(map(str, written))) == tuple(written)


@given(st.text(max_size=40))
def test_any_text_is_limits_or_a_value_error(text: str) -> None:
    # Any other exception fails the test by itself.
    with contextlib.suppress(ValueError):
        assert all(limit.capacity >= 1 for limit in parse_limits(text))
