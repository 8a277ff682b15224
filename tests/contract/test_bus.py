"""The bus port, in process and over Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import pytest

from samovar.adapters.memory import MemoryBus
from samovar.adapters.redis import RedisBus, RedisLink
from samovar.adapters.system import SystemClock
from samovar.kernel.errors import Unavailable
from samovar.ports.events import Bus
from tests.support.sockets import Relay, closed_port, silent_server


@pytest.fixture(params=["memory", "redis"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    made: Bus
    if request.param == "memory":
        made = MemoryBus(max_waiting=10)
    else:
        url, prefix = request.getfixturevalue("redis_server"), request.getfixturevalue("redis_prefix")
        made = RedisBus(link=RedisLink(url, clock=SystemClock(), deadline_s=5), prefix=prefix, max_waiting=10)
    yield made
    await made.close()


class Heard:
    """A handler that remembers what came."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def __call__(self, message: bytes) -> None:
        self.messages.append(message)


async def until(condition: Callable[[], bool], *, timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a condition over sockets has no event to wait for
            await asyncio.sleep(0.005)


async def test_a_message_reaches_every_handler_of_its_topic_and_no_other(bus: Bus) -> None:
    first, second, other = Heard(), Heard(), Heard()
    bus.subscribe("keys", first)
    bus.subscribe("keys", second)
    bus.subscribe("limits", other)
    await bus.start()
    await bus.publish("keys", b"\x00revoked\xff")
    await bus.publish("unheard", b"1")
    await bus.publish("limits", b"last")
    await until(lambda: other.messages == [b"last"])
    assert first.messages == second.messages == [b"\x00revoked\xff"]


async def test_a_raising_handler_does_not_stop_others(bus: Bus) -> None:
    async def broken(message: bytes) -> None:
        raise LookupError("a bug in a handler")

    heard = Heard()
    bus.subscribe("keys", broken)
    bus.subscribe("keys", heard)
    await bus.start()
    await bus.publish("keys", b"1")
    await until(lambda: heard.messages == [b"1"])
    await bus.publish("keys", b"2")
    await until(lambda: heard.messages == [b"1", b"2"])


async def test_a_flood_is_cut_off_and_the_gap_is_told(bus: Bus) -> None:
    gate = asyncio.Event()
    heard: list[bytes] = []
    gaps: list[int] = []

    async def slow(message: bytes) -> None:
        await gate.wait()
        heard.append(message)

    async def gap() -> None:
        gaps.append(len(heard))

    bus.subscribe("flood", slow)
    bus.on_gap(gap)
    await bus.start()
    for n in range(100):
        await bus.publish("flood", str(n).encode())
    await asyncio.sleep(0.2)
    gate.set()
    await until(lambda: bool(gaps))
    assert 10 <= len(heard) <= 12
    # What came before the gap is heard before it is told: a cache dropped now has nothing stale put back.
    assert gaps == [len(heard)]


async def test_nobody_subscribes_after_the_start(bus: Bus) -> None:
    await bus.start()
    with pytest.raises(RuntimeError, match="before"):
        bus.subscribe("late", Heard())


async def test_nothing_is_delivered_after_closing(bus: Bus) -> None:
    heard = Heard()
    bus.subscribe("keys", heard)
    await bus.start()
    await bus.close()
    await bus.publish("keys", b"1")
    await asyncio.sleep(0.05)
    assert heard.messages == []


async def test_a_bus_that_never_started_closes(bus: Bus) -> None:
    await bus.close()


# --- Redis away -----------------------------------------------------------------------------------------------------


async def test_news_reach_another_process(redis_server: str, redis_prefix: str) -> None:
    here, there = (
        RedisBus(link=RedisLink(redis_server, clock=SystemClock(), deadline_s=5), prefix=redis_prefix) for _ in range(2)
    )
    heard = Heard()
    there.subscribe("keys", heard)
    await there.start()
    await here.publish("keys", b"1")
    await until(lambda: heard.messages == [b"1"])
    await here.close()
    await there.close()


async def test_a_bus_without_redis_does_not_start_and_does_not_publish() -> None:
    bus = RedisBus(link=RedisLink(f"redis://127.0.0.1:{closed_port()}/0", clock=SystemClock()))
    bus.subscribe("keys", Heard())
    with pytest.raises(Unavailable):
        await bus.start()
    with pytest.raises(Unavailable):
        await bus.publish("keys", b"1")
    await bus.close()


async def test_publishing_to_a_silent_redis_ends_at_the_deadline() -> None:
    async with silent_server() as port:
        bus = RedisBus(link=RedisLink(f"redis://127.0.0.1:{port}/0", clock=SystemClock(), deadline_s=0.1))
        with pytest.raises(Unavailable):
            await bus.publish("keys", b"1")
        await bus.close()


@pytest.fixture
async def relay(redis_server: str) -> AsyncIterator[Relay]:
    url = urlsplit(redis_server)
    made = Relay(url.hostname or "127.0.0.1", url.port or 6379)
    await made.start()
    yield made
    await made.cut()


async def test_after_an_interruption_the_gap_is_told_and_news_come_again(
    relay: Relay, redis_server: str, redis_prefix: str
) -> None:
    speaker = RedisBus(link=RedisLink(redis_server, clock=SystemClock(), deadline_s=5), prefix=redis_prefix)
    database = urlsplit(redis_server).path
    listener = RedisBus(
        link=RedisLink(f"redis://127.0.0.1:{relay.port}{database}", clock=SystemClock(), deadline_s=5),
        prefix=redis_prefix,
    )
    heard, gaps = Heard(), Heard()
    listener.subscribe("keys", heard)
    listener.on_gap(lambda: gaps(b"gap"))
    await listener.start()
    await speaker.publish("keys", b"before")
    await until(lambda: heard.messages == [b"before"])
    assert gaps.messages == []

    await relay.cut()
    await speaker.publish("keys", b"missed")
    await relay.start()
    await until(lambda: gaps.messages == [b"gap"])
    await speaker.publish("keys", b"after")
    await until(lambda: heard.messages == [b"before", b"after"])
    await listener.close()
    await speaker.close()


async def test_a_connection_gone_silent_is_noticed(relay: Relay, redis_prefix: str) -> None:
    bus = RedisBus(
        link=RedisLink(f"redis://127.0.0.1:{relay.port}/0", clock=SystemClock(), deadline_s=5),
        prefix=redis_prefix,
        quiet_s=0.5,
    )
    gaps = Heard()
    bus.subscribe("keys", Heard())
    bus.on_gap(lambda: gaps(b"gap"))
    await bus.start()
    # Longer than a silence that is asked about: answered questions are no gap.
    await asyncio.sleep(1.5)
    assert gaps.messages == []
    relay.silent = True
    await asyncio.sleep(1.5)
    relay.silent = False
    await until(lambda: gaps.messages == [b"gap"])
    await bus.close()
