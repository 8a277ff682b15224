"""Workers on both engines: claims, leases, retries, and what becomes of jobs whose worker is gone."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from samovar.adapters.memory import MemoryBus
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemIds
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database
from samovar.ports.jobs import MAX_ERROR_CHARS, GiveUp, Job, JobContext, JobKind, JobState, LeaseLost, Priority, Retry
from tests.support.clock import ManualClock
from tests.support.jobs import LEASE_S, Hands, Shop, ended, eventually, fails, pour, work_off

GATE_S = 10


@pytest.fixture
def slow() -> Hands:
    """A handler that waits until its task is cancelled."""

    async def wait(job: Job, context: JobContext) -> None:
        await asyncio.Event().wait()

    return Hands(wait)


@pytest.fixture
def shop(database: Database, clock: ManualClock, ids: SystemIds, slow: Hands) -> Shop:
    """Jobs on each engine."""
    kinds = [
        JobKind(name="spill", handler=fails, retry=Retry(max_attempts=3, first_s=10.0, most_s=15.0)),
        JobKind(name="steep", handler=slow, retry=Retry(max_attempts=2, first_s=10.0)),
        JobKind(name="hurry", handler=slow, retry=Retry(max_attempts=1), timeout_s=0.01),
    ]
    return Shop(database, clock, ids, kinds=kinds)


async def test_jobs_run_by_priority_and_then_in_the_order_they_are_due(shop: Shop, clock: ManualClock) -> None:
    low = await shop.enqueue(priority=Priority.LOW)
    late = await shop.enqueue(run_at=clock.now() + timedelta(seconds=5))
    soon = await shop.enqueue(run_at=clock.now() + timedelta(seconds=2))
    high = await shop.enqueue(priority=Priority.HIGH, run_at=clock.now() + timedelta(seconds=9))
    await work_off(shop.worker(at_once=1))
    assert [job.id for job in shop.hands.jobs] == [low.id]
    clock.advance(10)
    await shop.enqueue(priority=Priority.LOW)
    await work_off(shop.worker(at_once=1))
    assert [job.id for job in shop.hands.jobs[1:4]] == [high.id, soon.id, late.id]


async def test_a_worker_runs_no_more_at_once_than_it_may(shop: Shop) -> None:
    for _ in range(5):
        await shop.enqueue("steep")
    worker = shop.worker(at_once=3)
    await pour(worker)
    await pour(worker)
    assert len(await shop.all(JobState.RUNNING)) == 3
    await worker.stop()


async def test_a_kind_that_a_worker_does_not_know_waits_for_one_that_does(
    database: Database, clock: ManualClock, ids: SystemIds, shop: Shop
) -> None:
    made = await shop.enqueue("spill")
    older = Shop(database, clock, ids)
    await work_off(older.worker())
    assert (await shop.get(made.id)).state is JobState.QUEUED


async def test_what_failed_rests_longer_each_time_and_is_a_dead_letter_in_the_end(shop: Shop) -> None:
    made = await shop.enqueue("spill")
    worker = shop.worker()
    for attempt, rest_s in ((1, 10), (2, 15)):
        await work_off(worker)
        job = await shop.get(made.id)
        assert (job.state, job.attempt, job.error) == (JobState.QUEUED, attempt, "ValueError: no tea left")
        assert job.run_at - shop.clock.now() == timedelta(seconds=rest_s)
        shop.clock.advance(rest_s - 1)
        await work_off(worker)
        assert (await shop.get(made.id)).attempt == attempt
        shop.clock.advance(1)
    await work_off(worker)
    job = await shop.get(made.id)
    assert (job.state, job.attempt, job.finished_at) == (JobState.DEAD, 3, shop.clock.now())
    assert worker.ended == {("spill", "retried"): 2, ("spill", "dead"): 1}


async def test_a_handler_that_gives_up_is_not_tried_again(shop: Shop) -> None:
    async def give_up(job: Job, context: JobContext) -> None:
        raise GiveUp("the leaf is gone")

    shop.hands.work = give_up
    made = await shop.enqueue()
    await work_off(shop.worker())
    job = await shop.get(made.id)
    assert (job.state, job.attempt, job.error) == (JobState.DEAD, 1, "GiveUp: the leaf is gone")


async def test_an_attempt_that_takes_too_long_has_failed(shop: Shop) -> None:
    made = await shop.enqueue("hurry")
    await work_off(shop.worker())
    job = await shop.get(made.id)
    assert (job.state, job.error) == (JobState.DEAD, "it took longer than 0.01 s")


async def test_a_wait_that_is_cancelled_from_within_is_a_failure(shop: Shop) -> None:
    async def stumble(job: Job, context: JobContext) -> None:
        raise asyncio.CancelledError

    shop.hands.work = stumble
    made = await shop.enqueue()
    await work_off(shop.worker())
    job = await shop.get(made.id)
    assert (job.state, job.attempt, job.error) == (JobState.QUEUED, 1, "CancelledError")


async def test_the_text_of_an_error_is_bounded_and_holds_no_nul(shop: Shop) -> None:
    async def shout(job: Job, context: JobContext) -> None:
        raise ValueError("no\0tea " * MAX_ERROR_CHARS)

    shop.hands.work = shout
    made = await shop.enqueue()
    await work_off(shop.worker())
    error = (await shop.get(made.id)).error
    assert error is not None
    assert error.startswith("ValueError: notea notea")
    assert len(error) == MAX_ERROR_CHARS


async def test_a_job_whose_worker_is_gone_is_done_by_another_after_its_lease(shop: Shop) -> None:
    made = await shop.enqueue("steep")
    dead = shop.worker()
    await pour(dead)
    taken = await shop.get(made.id)
    assert (taken.state, taken.attempt) == (JobState.RUNNING, 1)
    other = shop.worker()
    await pour(other)
    assert (await shop.get(made.id)).worker == taken.worker
    shop.clock.advance(LEASE_S + 1)
    await pour(other)
    rests = await shop.get(made.id)
    assert (rests.state, rests.attempt) == (JobState.QUEUED, 1)
    assert rests.error == "the worker that ran it died, or lost the database for longer than its lease"
    shop.clock.advance(10)
    await pour(other)
    job = await shop.get(made.id)
    assert (job.state, job.attempt, job.worker != taken.worker) == (JobState.RUNNING, 2, True)
    for worker in (dead, other):
        await worker.stop()


async def test_a_job_that_kills_its_workers_is_a_dead_letter_in_the_end(shop: Shop, slow: Hands) -> None:
    made = await shop.enqueue("steep")
    workers = [shop.worker() for _ in range(3)]
    for worker in workers:
        await pour(worker)
        shop.clock.advance(LEASE_S + 11)
    await pour(workers[-1])
    shop.clock.advance(LEASE_S)
    await pour(workers[-1])
    job = await shop.get(made.id)
    assert (job.state, job.attempt, len(slow.jobs)) == (JobState.DEAD, 2, 2)
    for worker in workers:
        await worker.stop()
    assert (await shop.get(made.id)).state is JobState.DEAD


async def test_a_worker_whose_lease_is_over_cannot_end_the_job_of_the_next_one(shop: Shop) -> None:
    gate = asyncio.Event()

    async def wait(job: Job, context: JobContext) -> None:
        await gate.wait()
        if job.attempt == 1:
            raise ValueError("a failure of the first, too late to count")

    shop.hands.work = wait
    made = await shop.enqueue()
    first, second = shop.worker(), shop.worker()
    await pour(first)
    shop.clock.advance(LEASE_S + 1)
    await pour(second)
    shop.clock.advance(11)
    await pour(second)
    taken = await shop.get(made.id)
    assert (taken.state, taken.attempt) == (JobState.RUNNING, 2)
    gate.set()
    await ended(first)
    await first.turn()
    still = await shop.get(made.id)
    assert (still.state, still.attempt, still.lease_until) == (JobState.RUNNING, 2, taken.lease_until)
    assert first.ended == {("brew", "lost"): 1}
    await work_off(second)
    assert (await shop.get(made.id)).state is JobState.DONE


async def test_a_lease_that_is_renewed_goes_on(shop: Shop) -> None:
    made = await shop.enqueue("steep")
    worker, other = shop.worker(), shop.worker()
    await pour(worker)
    for _ in range(4):
        shop.clock.advance(LEASE_S - 1)
        await worker.renew(list(worker._running.values()))
        await pour(other)
    job = await shop.get(made.id)
    assert (job.state, job.attempt, job.lease_until) == (
        JobState.RUNNING,
        1,
        shop.clock.now() + timedelta(seconds=LEASE_S),
    )
    await worker.stop()


async def test_a_heartbeat_says_that_the_lease_is_lost(shop: Shop) -> None:
    gate, said = asyncio.Event(), []

    async def ask(job: Job, context: JobContext) -> None:
        await gate.wait()
        try:
            await context.heartbeat()
        except (LeaseLost, asyncio.CancelledError) as error:
            said.append(error)
            raise

    shop.hands.work = ask
    made = await shop.enqueue()
    worker, other = shop.worker(), shop.worker()
    await pour(worker)
    shop.clock.advance(LEASE_S + 1)
    await other.turn()
    gate.set()
    await ended(worker)
    assert len(said) == 1
    await worker.turn()
    job = await shop.get(made.id)
    assert (job.state, job.attempt) == (JobState.QUEUED, 1)
    assert worker.ended == {("brew", "lost"): 1}


async def test_a_running_job_that_is_cancelled_stops_at_its_workers_next_heartbeat(shop: Shop) -> None:
    made = await shop.enqueue("steep", key="pot")
    worker = shop.worker()
    await pour(worker)
    asked = await shop.cancel(made.id)
    assert asked is not None
    assert (asked.state, asked.cancel_asked) == (JobState.RUNNING, True)
    assert not (await shop.enqueue("steep", key="pot")).is_new
    await worker.renew(list(worker._running.values()))
    await ended(worker)
    await worker.turn()
    job = await shop.get(made.id)
    assert (job.state, job.finished_at) == (JobState.CANCELLED, shop.clock.now())


async def test_a_cancelled_job_whose_attempt_fails_or_whose_worker_dies_is_not_tried_again(shop: Shop) -> None:
    gate = asyncio.Event()

    async def fail_late(job: Job, context: JobContext) -> None:
        await gate.wait()
        raise ValueError("too late")

    shop.hands.work = fail_late
    failing, dying = await shop.enqueue(), await shop.enqueue("steep")
    worker, other = shop.worker(), shop.worker()
    await pour(worker)
    for made in (failing, dying):
        await shop.cancel(made.id)
    gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await worker.turn()
    job = await shop.get(failing.id)
    assert (job.state, job.error) == (JobState.CANCELLED, "ValueError: too late")
    assert job.finished_at is not None
    shop.clock.advance(LEASE_S + 1)
    await other.turn()
    assert (await shop.get(dying.id)).state is JobState.CANCELLED
    await worker.stop()


async def test_a_worker_that_stops_gives_its_leases_back_and_no_attempt_is_lost(shop: Shop) -> None:
    made = await shop.enqueue("steep")
    first = shop.worker()
    await pour(first)
    await first.stop()
    job = await shop.get(made.id)
    assert (job.state, job.attempt, job.max_attempts, job.run_at) == (JobState.QUEUED, 1, 3, shop.clock.now())
    assert job.lease_until is None
    second = shop.worker()
    await pour(second)
    assert (await shop.get(made.id)).attempt == 2
    await second.stop()
    assert second.ended == {("steep", "given_back"): 1}


async def test_a_worker_that_stops_lets_short_jobs_end_and_claims_no_more(shop: Shop) -> None:
    gate = asyncio.Event()

    async def wait(job: Job, context: JobContext) -> None:
        await gate.wait()

    shop.hands.work = wait
    made = await shop.enqueue()
    worker = shop.worker(grace_s=GATE_S)
    await pour(worker)
    waiting = await shop.enqueue()
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0.01)
    gate.set()
    await stopping
    assert (await shop.get(made.id)).state is JobState.DONE
    assert (await shop.get(waiting.id)).state is JobState.QUEUED


async def test_ends_that_cannot_be_written_are_written_later(
    sqlite_database: Database, clock: ManualClock, ids: SystemIds, tmp_path: Path
) -> None:
    impatient = SqliteDatabase(tmp_path / "samovar.db", wait_s=0.05)
    shop = Shop(impatient, clock, ids)
    made = await shop.enqueue()
    worker = shop.worker()
    await worker.turn()
    await ended(worker)
    # Somebody else has the database's one write lock, for longer than this writer waits.
    async with sqlite_database.transaction():
        with pytest.raises(Unavailable):
            await worker.turn()
    await worker.turn()
    assert (await shop.get(made.id)).state is JobState.DONE
    await impatient.close()


async def test_the_loops_run_what_is_enqueued_and_wakes_need_no_poll(
    database: Database, clock: ManualClock, ids: SystemIds
) -> None:
    bus = MemoryBus()
    shop = Shop(database, clock, ids, bus=bus)
    ran = asyncio.Event()

    async def note(job: Job, context: JobContext) -> None:
        ran.set()

    shop.hands.work = note
    worker = shop.worker(poll_s=60.0)
    worker.subscribe()
    await bus.start()
    running = asyncio.create_task(worker.run())
    # Its first look is over before there is anything, and the next one is a minute away.
    await asyncio.sleep(0)
    async with worker._turning:
        await shop.enqueue()
    await shop.table.wake()
    async with asyncio.timeout(GATE_S):
        await ran.wait()
    await worker.stop()
    running.cancel()
    await asyncio.wait([running])
    await bus.close()
    assert [job.state for job in await shop.all()] == [JobState.DONE]


async def test_a_cancelled_job_hears_of_it_at_once_where_news_reach_its_worker(
    database: Database, clock: ManualClock, ids: SystemIds, slow: Hands
) -> None:
    bus = MemoryBus()
    shop = Shop(database, clock, ids, kinds=[JobKind(name="steep", handler=slow)], bus=bus)
    worker = shop.worker(poll_s=0.02)
    worker.subscribe()
    await bus.start()
    made = await shop.enqueue("steep")
    running = asyncio.create_task(worker.run())

    async def is_steeping() -> bool:
        return bool(slow.jobs)

    async def is_cancelled() -> bool:
        return (await shop.get(made.id)).state is JobState.CANCELLED

    await eventually(is_steeping)
    await shop.cancel(made.id)
    await shop.table.tell_cancelled(made.id)
    await eventually(is_cancelled)
    await worker.stop()
    running.cancel()
    await asyncio.wait([running])
    await bus.close()
