"""What only an element in a bucket has: several processes at once, and what one that died left behind."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from samovar.adapters.bucket import BucketElement
from samovar.adapters.bucket.intents import Intent
from samovar.adapters.bucket.objects import Objects
from samovar.adapters.system import SystemClock
from samovar.ports.elements import ElementUnavailable, FileNotThere, Mode, ModeRefused
from tests.contract.elements.drafts import content_of, draft, pieces, walked
from tests.contract.elements.homes import LARGE
from tests.support.clock import ManualClock
from tests.support.seaweed import BUCKET, SeaweedS3
from tests.support.sockets import Connections, closed_port

Make = Callable[..., BucketElement]


@pytest.fixture
def make(seaweed: SeaweedS3) -> Make:
    """Makes elements at one place, as each process would."""
    url = f"s3://{BUCKET}/{os.urandom(6).hex()}"

    def made(**changed: object) -> BucketElement:
        values = {"element_id": "se-1", "mode": Mode.RW, "clock": SystemClock(), "lease": timedelta(hours=1)}
        config = seaweed.access.config()
        return BucketElement(url, config=config, allow_http=True, **(values | changed))  # type: ignore[arg-type]

    return made


async def die_in_mid_write(make: Make, content: bytes) -> None:
    """Leave what a process leaves that is killed when its content is up and its attributes are not."""
    dying = make()
    await dying.start()

    wanted = draft("one")
    await dying._intents.open(Intent(file_id=wanted.file_id, path=wanted.path, revision=1))
    await dying._objects.put(wanted.path, content)
    await dying.close()


async def test_what_a_process_that_died_left_is_nobodys_when_its_lease_is_over(make: Make) -> None:
    await die_in_mid_write(make, b"half of it")
    early = make()
    await early.start()
    assert await early._objects.head(draft("one").path) is not None
    assert await walked(early) == []
    with pytest.raises(FileNotThere):
        await content_of(early, draft("one").path)
    late = make(lease=timedelta(0))
    await late.start()
    assert await late._objects.head(draft("one").path) is None
    assert await late._intents.of("file_one") is None


async def test_what_a_process_that_died_left_is_no_hindrance_to_the_next_try(make: Make) -> None:
    await die_in_mid_write(make, b"half of it")
    element = make()
    await element.start()
    made = await element.write(draft("one"), pieces(b"all of it"))
    assert await content_of(element, made.path) == b"all of it"
    await element.acknowledge([(made.file_id, 1)])
    assert [one async for one in element.unacknowledged()] == []


async def test_what_the_bucket_itself_has_frozen_is_said_to_be() -> None:
    said = b"<?xml version='1.0'?>\n<Error><Code>InvalidObjectState</Code><Message>Not in this class</Message></Error>"
    head = b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(said)
    connections = Connections()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with connections.entered(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + said)
            await writer.drain()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        config = {"endpoint": f"http://127.0.0.1:{port}", "region": "r", "access_key_id": "a", "secret_access_key": "b"}
        objects = Objects("s3://bucket/prefix", element_id="se-1", config=config, allow_http=True, retries=0)
        with pytest.raises(ElementUnavailable, match="RestoreObject"):
            async for _ in objects.stream("a/b", start=0, end=3):
                pass
    await connections.break_all()


async def test_of_two_processes_that_write_the_same_both_are_told_the_same(make: Make) -> None:
    first, second = make(), make()
    await first.start()
    await second.start()
    made = await asyncio.gather(first.write(draft("one"), pieces(LARGE)), second.write(draft("one"), pieces(LARGE)))
    assert made[0] == made[1]
    assert await content_of(first, made[0].path) == LARGE


async def test_one_that_breaks_off_takes_nothing_from_another_that_committed(make: Make) -> None:
    first, second = make(), make()
    await first.start()
    await second.start()
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield LARGE
        await go_on.wait()
        raise RuntimeError("broke off")

    breaking = asyncio.ensure_future(second.write(draft("one"), slow()))
    await asyncio.sleep(0.1)
    made = await first.write(draft("one"), pieces(LARGE))
    go_on.set()
    with pytest.raises(RuntimeError, match="broke off"):
        await breaking
    assert await content_of(first, made.path) == LARGE
    assert await first.verify(made.path) is None


async def test_a_mode_that_one_process_lowered_is_seen_by_the_others_within_two_seconds(make: Make) -> None:
    clock = ManualClock()
    first, second = make(clock=clock), make(clock=clock)
    await first.start()
    await second.start()
    await first.lower_mode(Mode.RO)
    clock.advance(2)
    with pytest.raises(ModeRefused, match="ro"):
        await second.write(draft("one"), pieces(b"x"))
    assert (await second.condition()).mode is Mode.RO


async def test_a_long_upload_renews_its_lease(make: Make) -> None:
    clock = ManualClock()
    element = make(clock=clock, lease=timedelta(hours=1))
    await element.start()
    opened: list[str] = []

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield LARGE[: 2 * 1024 * 1024]
            clock.advance(1000)
            found = await element._objects.below(".element/intents")
            opened.append(str(found[0].modified_at) if found else "")
            await asyncio.sleep(1.1)

    await element.write(draft("one"), slow())
    assert len(set(opened[1:])) > 1


async def test_a_bucket_that_is_away_is_unavailable() -> None:
    config = {"endpoint": f"http://127.0.0.1:{closed_port()}", "region": "r"}
    config |= {"access_key_id": "a", "secret_access_key": "s"}
    element = BucketElement(
        "s3://bucket/x", element_id="se", mode=Mode.RW, clock=SystemClock(), config=config, allow_http=True, retries=0
    )
    with pytest.raises(ElementUnavailable) as refused:
        await element.start()
    # Whoever sends a file hears of this: where our bucket is reached is none of their business.
    assert "127.0.0.1" not in refused.value.detail
    assert refused.value.headers["Retry-After"]
    await element.close()
