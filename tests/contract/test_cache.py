"""The cache port, in memory and over Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from samovar.adapters.memory import MemoryCache
from samovar.adapters.redis import RedisCache, RedisLink
from samovar.adapters.system import SystemClock
from samovar.kernel.errors import Unavailable
from samovar.ports.cache import Cache
from tests.support.clock import ManualClock
from tests.support.sockets import closed_port, silent_server


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    made: Cache
    if request.param == "memory":
        made = MemoryCache(clock=SystemClock())
    else:
        url, prefix = request.getfixturevalue("redis_server"), request.getfixturevalue("redis_prefix")
        # The suite asks what the operations mean; how long they may take is asked below.
        made = RedisCache(link=RedisLink(url, clock=SystemClock(), deadline_s=5), prefix=prefix)
    yield made
    await made.close()


async def test_a_value_is_there_until_it_is_dropped(cache: Cache) -> None:
    await cache.put("tea", b"\x00green\xff", ttl_s=60)
    assert await cache.get("tea") == b"\x00green\xff"
    await cache.put("tea", b"black", ttl_s=60)
    assert await cache.get("tea") == b"black"
    await cache.drop("tea")
    assert await cache.get("tea") is None
    await cache.drop("tea")


async def test_a_value_is_gone_when_its_time_is_over(cache: Cache) -> None:
    await cache.put("short", b"1", ttl_s=0.05)
    await cache.put("long", b"2", ttl_s=60)
    assert await cache.add("added", b"3", ttl_s=0.05)
    await asyncio.sleep(0.1)
    assert await cache.get("short") is None
    assert await cache.get("long") == b"2"
    assert await cache.add("added", b"4", ttl_s=60)
    assert await cache.take("short") is None


async def test_put_starts_the_time_anew(cache: Cache) -> None:
    await cache.put("key", b"1", ttl_s=0.05)
    await cache.put("key", b"1", ttl_s=60)
    await asyncio.sleep(0.1)
    assert await cache.get("key") == b"1"


async def test_of_a_hundred_racing_adds_one_wins(cache: Cache) -> None:
    won = await asyncio.gather(*(cache.add("nonce", str(n).encode(), ttl_s=60) for n in range(100)))
    assert won.count(True) == 1
    assert await cache.get("nonce") == str(won.index(True)).encode()


async def test_of_a_hundred_racing_takes_one_gets_the_value(cache: Cache) -> None:
    await cache.put("ticket", b"1", ttl_s=60)
    taken = await asyncio.gather(*(cache.take("ticket") for _ in range(100)))
    assert taken.count(b"1") == 1
    assert taken.count(None) == 99


async def test_a_prefix_is_dropped_whole_and_literally(cache: Cache) -> None:
    dropped = [f"team*[1]\\?:{n}" for n in range(2500)]
    await asyncio.gather(*(cache.put(key, b"1", ttl_s=60) for key in dropped))
    await cache.put("teamX1?:7", b"2", ttl_s=60)
    await cache.drop_prefix("team*[1]\\?:")
    assert [key for key in dropped if await cache.get(key) is not None] == []
    assert await cache.get("teamX1?:7") == b"2"


@pytest.mark.parametrize("ttl_s", [0, -1])
async def test_no_time_to_live_is_refused(cache: Cache, ttl_s: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        await cache.put("key", b"1", ttl_s=ttl_s)
    with pytest.raises(ValueError, match="positive"):
        await cache.add("key", b"1", ttl_s=ttl_s)


# --- what bounds memory ---------------------------------------------------------------------------------------------


async def test_the_least_recently_used_entry_goes_first(clock: ManualClock) -> None:
    cache = MemoryCache(clock=clock, max_entries=3)
    for key in "abc":
        await cache.put(key, b"1", ttl_s=60)
    await cache.get("a")
    await cache.put("d", b"1", ttl_s=60)
    assert [key for key in "abcd" if await cache.get(key)] == ["a", "c", "d"]


async def test_bytes_are_bounded(clock: ManualClock) -> None:
    cache = MemoryCache(clock=clock, max_bytes=10_000)
    for n in range(1000):
        await cache.put(f"key{n}", b"x" * 100, ttl_s=60)
        assert cache.size_bytes <= 10_000
    assert await cache.get("key999")
    await cache.put("huge", b"x" * 20_000, ttl_s=60)
    assert await cache.get("huge") is None
    assert await cache.get("key999")


async def test_expired_entries_make_room_before_live_ones(clock: ManualClock) -> None:
    cache = MemoryCache(clock=clock, max_entries=2)
    await cache.put("lasting", b"1", ttl_s=1000)
    await cache.put("brief", b"1", ttl_s=1)
    clock.advance(2)
    await cache.put("new", b"1", ttl_s=1000)
    assert await cache.get("lasting")


async def test_a_key_rewritten_for_ever_leaves_nothing_behind(clock: ManualClock) -> None:
    cache = MemoryCache(clock=clock)
    for _ in range(10_000):
        await cache.put("key", b"1", ttl_s=60)
    size = cache.size_bytes
    await cache.drop("key")
    assert size < 1000
    assert cache.size_bytes == 0


# --- Redis away -----------------------------------------------------------------------------------------------------

Call = Callable[[Cache], Awaitable[object]]
CALLS: dict[str, Call] = {
    "get": lambda cache: cache.get("key"),
    "put": lambda cache: cache.put("key", b"1", ttl_s=1),
    "add": lambda cache: cache.add("key", b"1", ttl_s=1),
    "take": lambda cache: cache.take("key"),
    "drop": lambda cache: cache.drop("key"),
    "drop_prefix": lambda cache: cache.drop_prefix("k"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_a_dead_redis_is_unavailable(call: Call) -> None:
    cache = RedisCache(link=RedisLink(f"redis://127.0.0.1:{closed_port()}/0", clock=SystemClock()))
    with pytest.raises(Unavailable, match="cannot be used"):
        await call(cache)
    await cache.close()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_a_silent_redis_is_given_up_at_the_deadline(call: Call) -> None:
    async with silent_server() as port:
        cache = RedisCache(link=RedisLink(f"redis://:secret@127.0.0.1:{port}/0", clock=SystemClock(), deadline_s=0.1))
        begun = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable) as caught:
            await call(cache)
        # A server that never answers would be waited for without end.
        assert 0.09 < asyncio.get_running_loop().time() - begun < 5
        assert "secret" not in caught.value.detail
        await cache.close()


async def test_the_breaker_refuses_at_once_and_lets_one_probe_through(clock: ManualClock) -> None:
    seen: list[tuple[str, str]] = []
    async with silent_server() as port:
        link = RedisLink(
            f"redis://127.0.0.1:{port}/0",
            clock=clock,
            deadline_s=0.05,
            rest_s=1,
            observe=lambda operation, outcome: seen.append((operation, outcome)),
        )
        cache = RedisCache(link=link)
        for _ in range(6):
            with pytest.raises(Unavailable):
                await cache.get("key")
        assert seen == [("get", "error")] * 5 + [("get", "refused")]

        clock.advance(1.1)
        answers = await asyncio.gather(*(cache.get("key") for _ in range(10)), return_exceptions=True)
        assert all(isinstance(answer, Unavailable) for answer in answers)
        assert seen[6:].count(("get", "error")) == 1
        assert seen[6:].count(("get", "refused")) == 9
        await cache.close()


async def test_the_breaker_closes_when_redis_is_back(clock: ManualClock, redis_server: str, redis_prefix: str) -> None:
    link = RedisLink(redis_server, clock=clock, deadline_s=5)
    cache = RedisCache(link=link, prefix=redis_prefix)

    async def refuse() -> None:
        raise ConnectionError("away")

    for _ in range(5):
        with pytest.raises(Unavailable):
            await link.run("get", refuse)
    with pytest.raises(Unavailable, match="rests"):
        await cache.get("key")
    clock.advance(1.1)
    assert await cache.get("key") is None
    await asyncio.gather(*(cache.get("key") for _ in range(5)))
    await cache.close()


async def test_more_callers_than_connections_take_turns(redis_server: str, redis_prefix: str) -> None:
    cache = RedisCache(link=RedisLink(redis_server, clock=SystemClock(), deadline_s=5), prefix=redis_prefix)
    await cache.put("key", b"1", ttl_s=60)
    assert set(await asyncio.gather(*(cache.get("key") for _ in range(300)))) == {b"1"}
    await cache.close()
