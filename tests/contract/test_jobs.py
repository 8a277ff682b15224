"""The job table on both engines: who enqueues, who administers."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from samovar.adapters.jobs.upkeep import JobUpkeep
from samovar.adapters.system import SystemIds
from samovar.ports.database import Database
from samovar.ports.jobs import MAX_PAYLOAD_BYTES, JobKind, JobOrder, JobState, Priority, Retry
from tests.support.clock import ManualClock
from tests.support.jobs import TEAM, Shop, fails, pour, work_off


@pytest.fixture
def shop(database: Database, clock: ManualClock, ids: SystemIds) -> Shop:
    """Jobs on each engine."""
    return Shop(database, clock, ids, kinds=[JobKind(name="spill", handler=fails, retry=Retry(max_attempts=1))])


async def test_a_job_is_what_was_ordered(shop: Shop, clock: ManualClock) -> None:
    made = await shop.enqueue(payload={"cups": [1, {"sort": "чай"}]}, key="samovar-1", priority=Priority.HIGH)
    job = await shop.get(made.id)
    assert made.is_new
    assert (job.kind, job.team_id, job.payload, job.key) == ("brew", TEAM, {"cups": [1, {"sort": "чай"}]}, "samovar-1")
    assert (job.state, job.priority, job.attempt, job.max_attempts) == (JobState.QUEUED, Priority.HIGH, 0, 3)
    assert (job.created_at, job.run_at, job.finished_at, job.cancel_asked) == (clock.now(), clock.now(), None, False)


async def test_what_is_rolled_back_was_never_enqueued(shop: Shop) -> None:
    async def order_and_stumble(**how: Any) -> None:
        async with shop.database.transaction() as tx:
            await shop.table.enqueue(tx, "brew", {}, team_id=TEAM, **how)
            raise RuntimeError("the order is taken back")

    for how in ({}, {"key": "once"}):
        with pytest.raises(RuntimeError):
            await order_and_stumble(**how)
    assert await shop.all() == []
    assert (await shop.enqueue(key="once")).is_new


async def test_of_one_key_there_is_one_unfinished_job(shop: Shop) -> None:
    first = await shop.enqueue(key="k")
    again = await shop.enqueue(key="k")
    assert (again.id, again.is_new) == (first.id, False)
    assert (await shop.enqueue("spill", key="k")).is_new
    assert (await shop.enqueue(key="k", team_id="another team")).is_new
    worker = shop.worker()
    await pour(worker)
    assert not (await shop.enqueue(key="k")).is_new
    await work_off(worker)
    assert (await shop.enqueue(key="k")).is_new


async def test_of_processes_that_enqueue_a_key_at_once_one_does(shop: Shop) -> None:
    made = await asyncio.gather(*(shop.enqueue(key="k") for _ in range(8)))
    assert sum(one.is_new for one in made) == 1
    assert len({one.id for one in made}) == 1


async def test_many_are_enqueued_at_once_in_their_order(shop: Shop) -> None:
    orders = [JobOrder(kind="brew", team_id=TEAM, payload={"n": n}, key="k" if n in (3, 5) else None) for n in range(7)]
    async with shop.database.transaction() as tx:
        made = await shop.table.enqueue_many(tx, orders)
    assert [one.is_new for one in made] == [True] * 5 + [False, True]
    assert made[3].id == made[5].id
    assert [(await shop.get(one.id)).payload["n"] for one in made] == [0, 1, 2, 3, 4, 3, 6]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"kind": "dance"}, "no kind"),
        ({"payload": {"text": "x" * MAX_PAYLOAD_BYTES}}, "bytes"),
        ({"payload": {"text": "a\0b"}}, "NUL"),
        ({"key": ""}, "key"),
        ({"key": "k" * 201}, "key"),
        ({"max_attempts": 0}, "attempts"),
        ({"max_attempts": 101}, "attempts"),
    ],
)
async def test_what_breaks_a_bound_is_a_defect_of_its_caller(shop: Shop, how: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        await shop.enqueue(**how)
    assert await shop.all() == []


async def test_the_words_backslash_u_0000_are_no_nul(shop: Shop) -> None:
    made = await shop.enqueue(payload={"text": "\\u0000"})
    assert (await shop.get(made.id)).payload == {"text": "\\u0000"}


async def test_pages_are_the_newest_first_and_of_the_team_alone(shop: Shop, clock: ManualClock) -> None:
    made = []
    for number in range(7):
        clock.advance(1)
        made.append((await shop.enqueue("spill" if number == 2 else "brew")).id)
    await shop.enqueue(team_id="another team")
    await shop.cancel(made[4])

    async def page(**how: Any) -> list[str]:
        async with shop.database.reading() as tx:
            given: dict[str, Any] = {"state": None, "kind": None, "before": None, "limit": 3, **how}
            return [job.id for job in await shop.table.page(tx, TEAM, **given)]

    newest = made[::-1]
    assert await page() == newest[:3]
    assert await page(before=newest[2]) == newest[3:6]
    assert await page(before=newest[5]) == newest[6:]
    assert await page(kind="spill") == [made[2]]
    assert await page(state=JobState.CANCELLED) == [made[4]]
    assert await page(state=JobState.QUEUED, limit=10, before=made[4]) == newest[3:]


async def test_a_job_of_another_team_is_not_there(shop: Shop) -> None:
    made = await shop.enqueue("spill")
    async with shop.database.reading() as tx:
        assert await shop.table.get(tx, "another team", made.id) is None
    assert await shop.cancel(made.id, "another team") is None
    await work_off(shop.worker())
    assert (await shop.get(made.id)).state is JobState.DEAD
    assert await shop.replay(made.id, "another team") is None
    assert (await shop.get(made.id)).state is JobState.DEAD


async def test_a_cancelled_job_does_not_run_and_can_be_replayed(shop: Shop, clock: ManualClock) -> None:
    made = await shop.enqueue()
    cancelled = await shop.cancel(made.id)
    assert cancelled is not None
    assert (cancelled.state, cancelled.finished_at) == (JobState.CANCELLED, clock.now())
    assert await shop.cancel(made.id) is None
    worker = shop.worker()
    await work_off(worker)
    assert shop.hands.jobs == []
    assert await shop.replay(made.id) is not None
    await work_off(worker)
    job = await shop.get(made.id)
    assert (job.state, job.attempt, job.cancel_asked) == (JobState.DONE, 1, False)
    assert await shop.replay(made.id) is None


async def test_a_dead_letter_is_replayed_with_as_many_attempts_as_at_first(shop: Shop) -> None:
    made = await shop.enqueue("spill", max_attempts=2)
    worker = shop.worker()
    for _ in range(2):
        await work_off(worker)
        await shop.wait(60)
    dead = await shop.get(made.id)
    assert (dead.state, dead.attempt, dead.error) == (JobState.DEAD, 2, "ValueError: no tea left")
    again = await shop.replay(made.id)
    assert again is not None
    # Counted on: a worker that was lost must not end the new attempt with the number of an old one.
    assert (again.state, again.attempt, again.max_attempts, again.finished_at) == (JobState.QUEUED, 2, 3, None)
    await work_off(worker)
    assert (await shop.get(made.id)).state is JobState.DEAD


async def test_a_dead_letter_whose_key_is_taken_is_not_replayed(shop: Shop) -> None:
    made = await shop.enqueue("spill", key="k")
    await work_off(shop.worker())
    taken = await shop.enqueue("spill", key="k")
    assert taken.is_new
    assert await shop.replay(made.id) is None
    await shop.cancel(taken.id)
    assert await shop.replay(made.id) is not None


async def test_of_dead_letters_of_one_key_that_are_replayed_at_once_one_is(shop: Shop) -> None:
    worker = shop.worker()
    dead = []
    for _ in range(8):
        dead.append((await shop.enqueue("spill", key="k")).id)
        await work_off(worker)
    replayed = await asyncio.gather(*(shop.replay(job_id) for job_id in dead))
    assert sum(job is not None for job in replayed) == 1
    assert len(await shop.all(JobState.QUEUED)) == 1


async def test_what_waits_and_runs_is_counted_by_kind(shop: Shop, clock: ManualClock) -> None:
    upkeep = JobUpkeep(
        database=shop.database,
        clock=clock,
        kinds=["brew", "spill"],
        retention=timedelta(days=7),
        dead_retention=timedelta(days=90),
        report=lambda error, words: None,
    )
    await shop.enqueue("spill", run_at=clock.now() + timedelta(hours=1))
    for _ in range(3):
        await shop.enqueue()
    clock.advance(40)
    worker = shop.worker(at_once=1)
    gate = asyncio.Event()
    shop.hands.work = lambda job, context: _until(gate)
    await pour(worker)
    await upkeep.count()
    assert upkeep.figures.waiting == {"brew": 2, "spill": 1}
    assert upkeep.figures.running == {"brew": 1, "spill": 0}
    assert upkeep.figures.oldest_waiting_s == 40
    gate.set()
    await work_off(worker)
    await upkeep.count()
    assert (upkeep.figures.oldest_waiting_s, upkeep.figures.running["brew"]) == (0, 0)
    assert worker.ended == {("brew", "done"): 3}


async def test_jobs_are_deleted_after_their_retention_and_unfinished_ones_never(shop: Shop, clock: ManualClock) -> None:
    upkeep = JobUpkeep(
        database=shop.database,
        clock=clock,
        kinds=["brew"],
        retention=timedelta(days=7),
        dead_retention=timedelta(days=90),
        report=lambda error, words: None,
    )
    await shop.enqueue()
    dead = await shop.enqueue("spill")
    cancelled = await shop.enqueue()
    await shop.cancel(cancelled.id)
    await work_off(shop.worker())
    later = await shop.enqueue(run_at=clock.now() + timedelta(days=400))
    clock.advance(7 * 86_400 - 1)
    assert await upkeep.prune() == 0
    clock.advance(2)
    assert await upkeep.prune() == 2
    assert {job.id for job in await shop.all()} == {dead.id, later.id}
    clock.advance(90 * 86_400)
    assert await upkeep.prune() == 1
    assert [job.id for job in await shop.all()] == [later.id]


async def _until(gate: asyncio.Event) -> None:
    await gate.wait()
