"""Cron jobs on both engines: once for each time, over all processes, whatever the clock does."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.adapters.jobs.schedule import (
    BadSchedule,
    checked_schedule,
    checked_time_zone,
    last_until,
    next_after,
    zone_of,
)
from samovar.adapters.system import SystemIds
from samovar.ports.database import Database
from samovar.ports.jobs import CronEntry, CronJob, Job, JobState
from tests.support.clock import ManualClock
from tests.support.jobs import Shop, work_off

NIGHTLY = CronJob(name="nightly", kind="brew", schedule="0 3 * * *", payload={"cups": 2})
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


@pytest.fixture
def shop(database: Database, clock: ManualClock, ids: SystemIds) -> Shop:
    """Jobs on each engine; it is noon of 21 November."""
    return Shop(database, clock, ids)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


async def entry(shop: Shop, *table: CronJob) -> CronEntry:
    async with shop.database.reading() as tx:
        return (await shop.cron(*table or (NIGHTLY,)).entries(tx))[0]


async def runs(shop: Shop) -> list[datetime | None]:
    """What was enqueued, the oldest first, each by the time it stands for."""
    return [job.scheduled_at for job in (await shop.all())[::-1]]


async def test_a_job_of_the_clock_is_enqueued_when_it_is_due(shop: Shop) -> None:
    cron = shop.cron(NIGHTLY)
    await cron.tick()
    assert await runs(shop) == []
    assert (await entry(shop)).next_at == at(22, 3)
    shop.clock.advance(15 * HOUR_S - 1)
    await cron.tick()
    assert await runs(shop) == []
    shop.clock.advance(1)
    await cron.tick()
    await cron.tick()
    assert await runs(shop) == [at(22, 3)]
    job = (await shop.all())[0]
    assert (job.kind, job.payload, job.cron, job.key) == ("brew", {"cups": 2}, "nightly", "nightly")
    seen = await entry(shop)
    assert (seen.next_at, seen.last_at, seen.last_job_id) == (at(23, 3), at(22, 3), job.id)


async def test_of_many_processes_that_look_at_once_one_enqueues(shop: Shop) -> None:
    crons = [shop.cron(NIGHTLY) for _ in range(5)]
    await asyncio.gather(*(cron.tick() for cron in crons))
    for _ in range(3):
        shop.clock.advance(DAY_S)
        await asyncio.gather(*(cron.tick() for cron in crons))
        await work_off(shop.worker())
    assert await runs(shop) == [at(22, 3), at(23, 3), at(24, 3)]


async def test_missed_runs_are_made_up_for_once_by_the_latest(shop: Shop) -> None:
    await shop.cron(NIGHTLY).tick()
    shop.clock.advance(5 * DAY_S)
    cron = shop.cron(NIGHTLY)
    await cron.tick()
    await cron.tick()
    assert await runs(shop) == [at(26, 3)]
    assert (await entry(shop)).next_at == at(27, 3)


async def test_a_missed_run_that_is_too_long_ago_is_left_out(shop: Shop) -> None:
    yearly = CronJob(name="yearly", kind="brew", schedule="0 0 22 11 *", catch_up_s=DAY_S)
    await shop.cron(yearly).tick()
    shop.clock.advance(3 * DAY_S)
    await shop.cron(yearly).tick()
    assert await runs(shop) == []
    assert (await entry(shop, yearly)).next_at == datetime(2027, 11, 22, tzinfo=UTC)


async def test_a_clock_that_goes_back_runs_nothing_twice(shop: Shop) -> None:
    cron = shop.cron(NIGHTLY)
    await cron.tick()
    shop.clock.advance(15 * HOUR_S)
    await cron.tick()
    await work_off(shop.worker())
    shop.clock.advance(-HOUR_S)
    await cron.tick()
    assert (await entry(shop)).next_at == at(22, 3)
    shop.clock.advance(HOUR_S)
    await cron.tick()
    await cron.tick()
    assert await runs(shop) == [at(22, 3)]
    assert (await entry(shop)).next_at == at(23, 3)


async def test_a_clock_that_was_years_ahead_does_not_silence_the_job(shop: Shop) -> None:
    cron = shop.cron(NIGHTLY)
    await cron.tick()
    shop.clock.advance(1000 * DAY_S)
    await cron.tick()
    await work_off(shop.worker())
    shop.clock.advance(-1000 * DAY_S)
    await cron.tick()
    assert (await entry(shop)).next_at == at(22, 3)
    shop.clock.advance(15 * HOUR_S)
    await cron.tick()
    assert at(22, 3) in await runs(shop)


async def test_a_schedule_that_is_changed_is_planned_anew(shop: Shop) -> None:
    await shop.cron(NIGHTLY).tick()
    hourly = CronJob(name="nightly", kind="brew", schedule="30 * * * *")
    assert (await entry(shop, hourly)).next_at is None
    cron = shop.cron(hourly)
    await cron.tick()
    assert (await entry(shop, hourly)).next_at == at(21, 12, 30)
    shop.clock.advance(HOUR_S)
    await cron.tick()
    assert await runs(shop) == [at(21, 12, 30)]


async def test_a_time_zone_moves_the_run_and_a_change_of_it_is_planned_anew(shop: Shop) -> None:
    await shop.cron(NIGHTLY).tick()
    cron = shop.cron(NIGHTLY, time_zone="Asia/Tokyo")
    await cron.tick()
    shop.clock.advance(6 * HOUR_S)
    await cron.tick()
    assert await runs(shop) == [at(21, 18)]


async def test_no_run_begins_while_the_one_before_is_unfinished(shop: Shop) -> None:
    cron = shop.cron(NIGHTLY)
    await cron.tick()
    for _ in range(3):
        shop.clock.advance(DAY_S)
        await cron.tick()
    assert await runs(shop) == [at(22, 3)]
    await work_off(shop.worker())
    shop.clock.advance(DAY_S)
    await cron.tick()
    assert await runs(shop) == [at(22, 3), at(25, 3)]


async def test_a_job_that_is_off_never_comes(shop: Shop) -> None:
    off = CronJob(name="nightly", kind="brew", schedule="off")
    cron = shop.cron(off)
    await cron.tick()
    shop.clock.advance(3 * DAY_S)
    await cron.tick()
    assert await runs(shop) == []
    seen = await entry(shop, off)
    assert (seen.schedule, seen.next_at) == ("off", None)


async def test_a_run_can_be_begun_by_hand_and_the_schedule_stays(shop: Shop) -> None:
    cron = shop.cron(NIGHTLY)
    await cron.tick()
    async with shop.database.transaction() as tx:
        made = await cron.run_now(tx, "nightly")
        again = await cron.run_now(tx, "nightly")
        assert await cron.run_now(tx, "nobody") is None
    assert made is not None
    assert again is not None
    assert (made.is_new, again.is_new, again.id) == (True, False, made.id)
    job: Job = await shop.get(made.id)
    assert (job.cron, job.scheduled_at, job.state) == ("nightly", None, JobState.QUEUED)
    assert (await entry(shop)).last_job_id == made.id
    await work_off(shop.worker())
    shop.clock.advance(15 * HOUR_S)
    await cron.tick()
    assert await runs(shop) == [None, at(22, 3)]


async def test_a_run_by_hand_before_anybody_planned_is_noted_and_then_planned(shop: Shop) -> None:
    cron = shop.cron(NIGHTLY)
    async with shop.database.transaction() as tx:
        made = await cron.run_now(tx, "nightly")
    assert made is not None
    seen = await entry(shop)
    assert (seen.next_at, seen.last_job_id) == (None, made.id)
    await cron.tick()
    seen = await entry(shop)
    assert (seen.next_at, seen.last_job_id) == (at(22, 3), made.id)
    assert await runs(shop) == [None]


async def test_the_next_look_is_when_something_is_due_and_never_far_away(shop: Shop) -> None:
    cron = shop.cron(NIGHTLY)
    assert await cron.tick() == 30.0
    shop.clock.advance(15 * HOUR_S - 4)
    assert await cron.tick() == 4.0
    assert await shop.cron().tick() == 30.0


@pytest.mark.parametrize("text", ["0 3 * *", "61 * * * *", "* * * * * *", "0 0 30 2 *", "every day", "0 3 * * * " * 50])
def test_what_is_no_schedule_is_refused_with_its_words(text: str) -> None:
    with pytest.raises(BadSchedule, match="schedule"):
        checked_schedule(text)


def test_a_schedule_is_written_plainly() -> None:
    assert [checked_schedule(text) for text in ("  0   3 * * * ", "OFF", "")] == ["0 3 * * *", "off", ""]


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "", "Europe/Berlin\0"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(BadSchedule, match="time zone"):
        checked_time_zone(name)


def test_a_night_without_its_hour_has_its_run_all_the_same() -> None:
    berlin = zone_of("Europe/Berlin")
    # On 29 March 2026 the clock goes from 02:00 to 03:00; on 25 October from 03:00 back to 02:00.
    spring = next_after("30 2 * * *", berlin, datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert spring.date() == datetime(2026, 3, 29, tzinfo=UTC).date()
    autumn = next_after("30 2 * * *", berlin, datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert next_after("30 2 * * *", berlin, autumn).date() == datetime(2026, 10, 26, tzinfo=UTC).date()


SCHEDULES = st.sampled_from(["* * * * *", "*/7 * * * *", "0 3 * * *", "30 2 * * *", "15 1-5 * * 1", "0 0 1 * *"])
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
INSTANTS = st.integers(0, 2 * 365 * 86_400).map(lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s))


@settings(max_examples=150, deadline=None)
@given(schedule=SCHEDULES, zone=ZONES, instant=INSTANTS)
def test_the_last_time_and_the_next_one_stand_around_an_instant(schedule: str, zone: str, instant: datetime) -> None:
    place = zone_of(zone)
    last, coming = last_until(schedule, place, instant), next_after(schedule, place, instant)
    assert last <= instant < coming
    assert coming - last <= timedelta(days=32)
    assert next_after(schedule, place, last - timedelta(seconds=1)) <= last
    assert last_until(schedule, place, coming) == coming
