"""Several processes on one Redis, and a Redis that goes away."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from samovar.domains.billing.errors import (
    QuotaUnavailable,
)
from samovar.domains.billing.model.quotas import EVERY, Subject
from samovar.domains.billing.service.quotas import (
    Away,
    AwayRules,
    QuotaDefaults,
)
from tests.domains.billing.quotas.conftest import ADMIN, Join, key, passed, until
from tests.support.own_redis import OwnRedis


async def test_those_that_were_started_together_count_before_they_all_have_said_so(joined: Join) -> None:
    one = await joined(processes=3)
    for _ in range(2):
        await one.upkeep()
        assert one.figures().processes == 3


def test_three_processes_on_one_redis_never_pass_the_limit(
    redis_server: str, redis_prefix: str, tmp_path: Path
) -> None:
    burst, rate = 60, 80
    program, limits = str(Path(__file__).with_name("worker.py")), f"{rate}/second burst {burst}"
    workers = [
        subprocess.Popen(
            [sys.executable, program, redis_server, redis_prefix, limits, "3", str(tmp_path / f"{n}.db")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(3)
    ]
    times = sorted(float(line) for worker in workers for line in worker.communicate(timeout=60)[0].splitlines())
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    took = times[-1] - times[0]
    assert took > 2
    for first, start in enumerate(times):
        # Redis' clock and ours run alike, but what it gave was on its way for a moment.
        assert all(
            last - first + 1 <= burst + rate * (end - start + 0.02)
            for last, end in enumerate(times[first:], start=first)
        )
    # The burst was used, and some of what flowed in after it: how much is for the bench to say.
    assert len(times) > 1.2 * burst


async def test_without_redis_each_process_keeps_its_share_and_with_it_again_they_keep_it_together(
    own_redis: OwnRedis, joined: Join
) -> None:
    one, two = await joined(), await joined()
    await one.upkeep()
    assert one.figures().processes == 2
    assert await passed(one, key(), 20) == 20
    own_redis.stop()
    # What is left of forty, halved; the blocks that are out and one given up make it a few less.
    alone = [await passed(process, key(), 100) for process in (one, two)]
    assert one.figures().modes == {"requests": "share", "tokens": "share", "concurrency": "local"}
    assert 5 <= alone[0] <= 10
    assert alone[1] <= 20
    own_redis.start()
    for process in (one, two):
        await until(lambda process=process: process.figures().modes["requests"] == "leased", do=process.upkeep)
    # This Redis forgot what was: the limit is whole, and shared.
    both = [await passed(process, key(), 100) for process in (one, two)]
    assert 38 <= sum(both) <= 40


@pytest.mark.parametrize(("away", "expected"), [(Away.LOCAL, 40), (Away.OPEN, 100)])
async def test_the_setting_says_what_holds_without_redis(
    own_redis: OwnRedis, joined: Join, away: Away, expected: int
) -> None:
    quotas = await joined(away=AwayRules(requests=away))
    own_redis.stop()
    assert expected - 1 <= await passed(quotas, key(), 100) <= expected


@pytest.mark.parametrize("away", [Away.SHARE, Away.LOCAL, Away.OPEN])
async def test_a_large_wish_for_output_goes_on_without_redis(own_redis: OwnRedis, joined: Join, away: Away) -> None:
    quotas, other = await joined(away=AwayRules(tokens=away)), await joined()
    await quotas.rows.add(ADMIN, subject=Subject.KEY, subject_id=EVERY, tokens="1000/minute")
    await other.upkeep()
    await quotas.upkeep()
    own_redis.stop()
    for name in ("key_1", "key_2"):
        grant = await quotas.admit(key(name))
        taking = grant.take_tokens(2, 100_000)
        if taking is not None:
            await taking
        grant.release()


async def test_closed_means_that_nothing_passes_without_redis(own_redis: OwnRedis, joined: Join) -> None:
    quotas = await joined(away=AwayRules(requests=Away.CLOSED))
    own_redis.stop()
    with pytest.raises(QuotaUnavailable):
        await quotas.admit(key())
    assert quotas.figures().in_flight == 0
    assert quotas.figures().modes["requests"] == "closed"


async def test_a_redis_that_goes_in_mid_load_holds_nobody_up(own_redis: OwnRedis, joined: Join) -> None:
    quotas = await joined(defaults=QuotaDefaults(key="1000000/second"))
    async with quotas.running():
        loop = asyncio.get_running_loop()
        slowest, calls, end = 0.0, 0, loop.time() + 2.5
        stopped = started = False
        while loop.time() < end:
            began = loop.time()
            (await quotas.admit(key())).release()
            slowest, calls = max(slowest, loop.time() - began), calls + 1
            await asyncio.sleep(0.001)
            if not stopped and loop.time() > end - 2:
                own_redis.stop()
                stopped = True
            if stopped and not started and loop.time() > end - 1:
                await asyncio.to_thread(own_redis.start)
                started = True
        assert started
        # One deadline of Redis, and the machine's own hiccups; never one for each call.
        assert slowest < 1.0
        assert calls > 300
        await until(lambda: quotas.figures().modes["requests"] == "leased")
