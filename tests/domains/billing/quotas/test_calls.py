"""What a call meets: one meaning in one process and over Redis."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime, timedelta

import pytest

from samovar.adapters.system import SystemClock
from samovar.domains.billing import TargetLimited
from samovar.domains.billing.errors import (
    RateLimited,
)
from samovar.domains.billing.model.quotas import EVERY, Subject
from samovar.domains.billing.service.quotas import (
    Grant,
    QuotaDefaults,
    QuotaService,
)
from tests.domains.billing.quotas.conftest import ADMIN, Make, key, passed, refusal


async def taken(taking: Awaitable[None] | None) -> None:
    """What waits only where it must."""
    if taking is not None:
        await taking


async def test_of_racing_calls_as_many_come_in_as_the_limit_allows(make: Make) -> None:
    quotas = make(defaults=QuotaDefaults(key="40/hour"))
    # With blocks of one second outstanding one of forty is given up.
    assert 39 <= await passed(quotas, key(), 300) <= 40
    assert await passed(quotas, key(), 10) == 0
    assert await passed(quotas, key("key_2"), 10) == 10


async def test_a_limit_of_a_few_is_exact(make: Make) -> None:
    assert await passed(make(defaults=QuotaDefaults(key="3/hour")), key(), 50) == 3


async def test_two_processes_share_one_limit_where_they_share_a_redis(make: Make) -> None:
    one, two = make(defaults=QuotaDefaults(key="40/hour")), make(defaults=QuotaDefaults(key="40/hour"))
    both = await asyncio.gather(*(passed(process, key(), 100) for process in (one, two)))
    shared = one.figures().modes["requests"] == "leased"
    assert sum(both) in ((39, 40) if shared else (80,))


async def test_every_limit_of_several_holds(make: Make) -> None:
    quotas = make(defaults=QuotaDefaults(key="5/hour; 4/day burst 9"))
    assert await passed(quotas, key(), 20) == 5
    quotas = make(defaults=QuotaDefaults(key="9/second; 4/hour"))
    assert await passed(quotas, key("key_2"), 20) == 4


async def test_a_refusal_names_the_limit_and_says_when_to_come_back(make: Make) -> None:
    quotas = make(defaults=QuotaDefaults(key="60/minute burst 2"))
    assert await passed(quotas, key(), 2) == 2
    error = await refusal(quotas, key())
    assert error.code == "rate_limited"
    assert "key" in error.detail
    assert "60/minute burst 2" in error.detail
    assert error.headers["Retry-After"] == "1"
    assert error.headers["X-RateLimit-Limit"] == "2"
    assert error.headers["X-RateLimit-Remaining"] == "0"
    await asyncio.sleep(float(error.headers["Retry-After"]))
    assert await passed(quotas, key(), 1) == 1


async def test_a_grant_tells_of_the_tightest_limit(make: Make) -> None:
    quotas = make(defaults=QuotaDefaults(key="8/minute; 4/hour"))
    grant = await quotas.admit(key())
    told = dict(grant.headers())
    assert told[b"x-ratelimit-limit"] == b"4"
    assert told[b"x-ratelimit-remaining"] == b"3"
    assert 800 <= int(told[b"x-ratelimit-reset"]) <= 901
    grant.release()


async def test_who_has_no_limit_is_told_of_none(make: Make) -> None:
    grant = await make().admit(key())
    assert grant.headers() == []
    grant.release()


async def test_what_flows_in_can_be_used_and_no_more(make: Make) -> None:
    quotas = make(defaults=QuotaDefaults(key="100/second burst 50"))
    loop = asyncio.get_running_loop()
    start, count = loop.time(), 0
    # The burst, and what flows in within a second; where the machine is busy it comes later, but it comes.
    while count < 150 and loop.time() < start + 30:
        count += await passed(quotas, key(), 5)
        assert count <= 50 + 100 * (loop.time() - start)
        await asyncio.sleep(0.005)
    assert count >= 150


async def with_tokens(make: Make, tokens: str) -> QuotaService:
    quotas = make()
    await quotas.rows.add(ADMIN, subject=Subject.KEY, subject_id=EVERY, tokens=tokens)
    return quotas


async def tokens_of(quotas: QuotaService, said: int, answered: int = 0) -> Grant:
    grant = await quotas.admit(key())
    try:
        await taken(grant.take_tokens(said, answered))
    except RateLimited:
        grant.release()
        raise
    return grant


async def test_tokens_are_taken_by_estimate_and_set_right_afterwards(make: Make) -> None:
    quotas = await with_tokens(make, "9/hour")
    grant = await tokens_of(quotas, 3, 5)
    with pytest.raises(RateLimited, match="9/hour tokens"):
        await tokens_of(quotas, 2)
    grant.settle(4)
    grant.release()
    await settled()
    grant = await tokens_of(quotas, 5)
    with pytest.raises(RateLimited):
        await tokens_of(quotas, 1)
    grant.release()


async def test_tokens_used_beyond_the_estimate_are_a_debt(make: Make) -> None:
    quotas = await with_tokens(make, "9/hour")
    grant = await tokens_of(quotas, 1)
    grant.settle(20)
    grant.release()
    await settled()
    with pytest.raises(RateLimited) as caught:
        await tokens_of(quotas, 1)
    assert int(caught.value.headers["Retry-After"]) == pytest.approx(12 * 400, abs=5)


@pytest.mark.parametrize(("limit", "amount"), [("9/hour", 9), ("1000/minute", 1000), ("10/second", 10)])
async def test_a_large_wish_for_output_takes_the_whole_limit_and_a_large_prompt_never_fits(
    make: Make, limit: str, amount: int
) -> None:
    quotas = await with_tokens(make, limit)
    with pytest.raises(RateLimited, match="more than fit"):
        await tokens_of(quotas, amount + 1)
    (await tokens_of(quotas, 2, 100_000)).release()


async def test_who_needs_more_is_told_to_wait_longer(make: Make) -> None:
    quotas = await with_tokens(make, "3600/hour")
    (await tokens_of(quotas, 3_000)).release()
    for needed, wait_s in ((700, 100), (1_600, 1_000)):
        with pytest.raises(RateLimited) as caught:
            await tokens_of(quotas, needed)
        assert int(caught.value.headers["Retry-After"]) == pytest.approx(wait_s, abs=3)


async def test_an_answer_that_nobody_bounded_takes_no_more_than_is_left_and_gives_it_back(make: Make) -> None:
    quotas = await with_tokens(make, "3000/hour")
    for used in (300, 200):
        grant = await quotas.admit(key())
        await taken(grant.take_tokens(50, 128_000, is_named=False))
        with pytest.raises(RateLimited, match="3000/hour tokens"):
            await tokens_of(quotas, 1_700)
        grant.settle(used)
        grant.release()
        await settled()
    with pytest.raises(RateLimited):
        await tokens_of(quotas, 50, 2_950)
    (await tokens_of(quotas, 50, 2_400)).release()


async def settled() -> None:
    """Let what runs beside the path reach Redis."""
    await asyncio.sleep(0.1)


async def test_so_many_calls_at_once_and_no_more(make: Make) -> None:
    quotas = make()
    await quotas.rows.add(ADMIN, subject=Subject.KEY, subject_id=EVERY, concurrency=3)

    async def admitted() -> Grant | None:
        try:
            return await quotas.admit(key())
        except RateLimited:
            return None

    grants = [grant for grant in await asyncio.gather(*(admitted() for _ in range(20))) if grant is not None]
    assert len(grants) == 3
    error = await refusal(quotas, key())
    assert "3 calls at once" in error.detail
    assert error.headers["Retry-After"] == "1"
    grants[0].release()
    grants[0].release()
    (await quotas.admit(key("key_2"))).release()
    again = await quotas.admit(key())
    assert await admitted() is None
    for grant in (*grants, again):
        grant.release()
    assert quotas.figures().in_flight == 0


async def test_a_call_that_another_limit_refuses_leaves_its_place(make: Make) -> None:
    quotas = make()
    await quotas.rows.add(ADMIN, subject=Subject.KEY, subject_id=EVERY, concurrency=1, limits="2/hour")
    (await quotas.admit(key())).release()
    (await quotas.admit(key())).release()
    for _ in range(3):
        assert "2/hour" in (await refusal(quotas, key())).detail
    assert quotas.figures().in_flight == 0


async def test_places_that_are_not_in_use_are_free_for_other_processes(make: Make) -> None:
    one, two = make(), make()
    await one.rows.add(ADMIN, subject=Subject.KEY, subject_id=EVERY, concurrency=2)
    await two.load()
    held = [await one.admit(key()), await one.admit(key())]
    if one.figures().modes["concurrency"] == "leased":
        with pytest.raises(RateLimited):
            await two.admit(key())
    for grant in held:
        grant.release()
    await one.upkeep()
    await asyncio.sleep(0.15)
    (await two.admit(key())).release()


async def test_a_model_and_a_provider_are_limited_for_the_whole_team(make: Make) -> None:
    quotas = make()
    await quotas.rows.add(ADMIN, subject=Subject.MODEL, subject_id="openai/gpt-5", limits="1/hour", concurrency=1)
    await quotas.rows.add(ADMIN, subject=Subject.PROVIDER, subject_id="openai", limits="2/hour")

    async def sent(name: str, model: str) -> None:
        grant = await quotas.admit(key(name))
        try:
            asked = grant.to_target("openai", model)
            assert asked is not None
            await asked
        finally:
            grant.release()

    await sent("key_1", "openai/gpt-5")
    with pytest.raises(TargetLimited, match="model openai/gpt-5"):
        await sent("key_2", "openai/gpt-5")
    # What the model refused was not taken from its provider.
    await settled()
    await sent("key_2", "openai/gpt-5-mini")
    with pytest.raises(TargetLimited, match="provider openai"):
        await sent("key_2", "openai/gpt-5-mini")


async def test_a_target_that_is_tried_twice_is_charged_for_what_was_used_once(make: Make) -> None:
    quotas = make()
    await quotas.rows.add(ADMIN, subject=Subject.MODEL, subject_id="openai/gpt-5", tokens="100/hour")

    async def sent(name: str, tokens: int, *, tries: int) -> None:
        grant = await quotas.admit(key(name))
        try:
            await taken(grant.take_tokens(tokens, 0))
            for _ in range(tries):
                asked = grant.to_target("openai", "openai/gpt-5")
                assert asked is not None
                await asked
            grant.settle(tokens)
        finally:
            grant.release()

    await sent("key_1", 30, tries=2)
    await settled()
    await sent("key_2", 60, tries=1)
    with pytest.raises(TargetLimited, match="model openai/gpt-5"):
        await sent("key_2", 11, tries=1)


# --- clocks ---------------------------------------------------------------------------------------------------------


class JumpyClock(SystemClock):
    """A wall clock that jumps a year at each look, to and fro; and a monotonic one that does what it must."""

    def __init__(self) -> None:
        self._ahead = False

    def now(self) -> datetime:
        """A year ahead or behind."""
        self._ahead = not self._ahead
        return super().now() + timedelta(days=365 if self._ahead else -365)


async def test_a_wall_clock_that_jumps_to_and_fro_changes_no_limit(make: Make) -> None:
    quotas = make(defaults=QuotaDefaults(key="40/hour"), clock=JumpyClock())
    row = await quotas.rows.add(ADMIN, subject=Subject.TEAM, subject_id=EVERY, limits="30/hour")
    assert 29 <= await passed(quotas, key(), 100) <= 30
    # A row that changes under such a clock is noticed all the same.
    await quotas.rows.change(ADMIN, row.id, limits="off", tokens="", concurrency=None)
    assert 9 <= await passed(quotas, key(), 100) <= 11
    assert await passed(quotas, key(), 10) == 0
