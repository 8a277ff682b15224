"""What a process remembers, and how it hears that it must not."""

import asyncio

import pytest

from samovar.adapters.memory import MemoryBus
from samovar.adapters.sqlite import SqliteDatabase
from samovar.domains.prompts.model import PromptChange, PromptPage, PromptQuery
from samovar.domains.prompts.service import CacheBounds, PromptService
from samovar.domains.prompts.service.cache import Change, Kept, PromptCache
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database
from tests.domains.prompts.conftest import ADMIN, OTHER, Process, draft
from tests.support.clock import ManualClock


class Deaf(MemoryBus):
    """Redis away: nothing is sent."""

    async def publish(self, topic: str, message: bytes) -> None:
        raise Unavailable("the bus is away")


@pytest.fixture
def database(sqlite_database: SqliteDatabase) -> Database:
    """One engine is enough for what happens in memory."""
    return sqlite_database


@pytest.fixture
async def pair(process: Process, bus: MemoryBus) -> tuple[PromptService, PromptService]:
    """Two processes that hear of each other."""
    one, other = process(), process()
    await bus.start()
    return one, other


async def heard() -> None:
    """Until the bus has worked off what was sent."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_write_here_ends_what_another_process_remembers(pair: tuple[PromptService, PromptService]) -> None:
    here, there = pair
    made = await here.writes.create(ADMIN, draft(make_default=True))
    await here.writes.create(OTHER, draft())
    await heard()
    query = PromptQuery()
    for _ in range(2):
        await there.reads.find("default", made.id)
        await there.reads.find_default("default", "default", "en")
        await there.reads.find_page("default", query)
        await there.resolve("default", prompt_name="greeting")
        await there.reads.find_page("other", query)
        await there.reads.find_page("default", PromptQuery(namespace="x"))
    assert (await there.reads.find("default", made.id)).is_hit
    await here.writes.update(ADMIN, made.id, PromptChange(text="Hi"))
    await heard()
    assert not (found := await there.reads.find("default", made.id)).is_hit
    assert found.prompt is not None
    assert found.prompt.text == "Hi"
    assert (await there.resolve("default", prompt_name="greeting")).text == "Hi"
    assert not (await there.reads.find_page("default", query)).is_hit
    # What the write did not touch is still there.
    assert (await there.reads.find_page("other", query)).is_hit
    assert (await there.reads.find_page("default", PromptQuery(namespace="x"))).is_hit


async def test_a_write_whose_news_was_lost_is_seen_within_ten_seconds(process: Process) -> None:
    here, there = process(bus=Deaf()), process(bus=MemoryBus())
    made = await here.writes.create(ADMIN, draft())
    await there.compare()
    await there.reads.find("default", made.id)
    await there.compare()
    assert (await there.reads.find("default", made.id)).is_hit is False
    await there.compare()
    assert (await there.reads.find("default", made.id)).is_hit
    await here.writes.update(ADMIN, made.id, PromptChange(text="Hi"))
    assert (await there.reads.find("default", made.id)).is_hit
    await there.compare()
    found = await there.reads.find("default", made.id)
    assert (found.is_hit, found.prompt and found.prompt.text) == (False, "Hi")


async def test_a_gap_in_the_news_empties_the_memory(process: Process, bus: MemoryBus) -> None:
    prompts = process()
    made = await prompts.writes.create(ADMIN, draft())
    await prompts.reads.find("default", made.id)
    await bus.start()
    bus._inbox.tell_gap()
    await heard()
    assert len(prompts.memory) == 0


async def test_that_nothing_is_there_is_remembered_until_it_is(prompts: PromptService) -> None:
    assert not (await prompts.reads.find("default", 1)).is_hit
    assert (await prompts.reads.find("default", 1)).is_hit
    assert (await prompts.reads.find_default("default", "default", "en")).kept.found is None
    made = await prompts.writes.create(ADMIN, draft(make_default=True))
    assert made.id == 1
    assert (await prompts.reads.find("default", 1)).prompt == made
    assert (await prompts.reads.find_default("default", "default", "en")).prompt == made


async def test_an_answer_is_remembered_for_its_time_and_no_longer(prompts: PromptService, clock: ManualClock) -> None:
    await prompts.writes.create(ADMIN, draft())
    await prompts.reads.find("default", 1)
    await prompts.reads.find_page("default", PromptQuery())
    clock.advance(59)
    assert (await prompts.reads.find_page("default", PromptQuery())).is_hit
    clock.advance(2)
    assert not (await prompts.reads.find_page("default", PromptQuery())).is_hit
    assert (await prompts.reads.find("default", 1)).is_hit
    clock.advance(240)
    assert not (await prompts.reads.find("default", 1)).is_hit


def memory(clock: ManualClock, **bounds: float) -> PromptCache:
    return PromptCache(CacheBounds(**bounds), monotonic=clock.monotonic)  # type: ignore[arg-type]


def test_what_was_read_before_a_write_is_not_remembered_after_it(clock: ManualClock) -> None:
    cache = memory(clock)
    key = ("t", "id", 1)
    before = cache.generation
    cache.note(Change("t", 1, ("n",), (1,)))
    cache.put(key, Kept(None), generation=before)
    assert cache.get(key) is None
    cache.put(key, Kept(None), generation=cache.generation)
    assert cache.get(key) is not None


def test_a_number_left_out_ends_all_of_the_team(clock: ManualClock) -> None:
    cache = memory(clock)
    cache.note(Change("t", 1, ("n",), (1,)))
    for team, prompt_id in (("t", 7), ("u", 7)):
        cache.put((team, "id", prompt_id), Kept(None), generation=cache.generation)
    cache.note(Change("t", 2, ("n",), (1,)))
    assert cache.get(("t", "id", 7)) is not None
    cache.note(Change("t", 4, ("n",), (1,)))
    assert cache.get(("t", "id", 7)) is None
    assert cache.get(("u", "id", 7)) is not None


def test_memory_is_bounded_in_number_and_in_bytes(clock: ManualClock) -> None:
    few = memory(clock, max_entries=10)
    for number in range(100):
        few.put(("t", "list", "n", number), Kept(PromptPage((), None)), generation=0)
    assert len(few) == 10
    assert few.get(("t", "list", "n", 99)) is not None
    small = memory(clock, max_bytes=5_000)
    for number in range(100):
        small.put(("t", "list", "n", number), Kept(PromptPage((), None)), generation=0)
    assert 0 < small.size_bytes <= 5_000
    small.clear()
    assert (len(small), small.size_bytes) == (0, 0)
    off = memory(clock, list_s=0)
    off.put(("t", "list", "n"), Kept(PromptPage((), None)), generation=0)
    assert len(off) == 0
