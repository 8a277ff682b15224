"""Random lives of jobs and of two workers, with crashes at any point, against a model of a few lines."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from samovar.adapters.jobs.worker import Worker
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemIds
from samovar.ports.database import Database
from samovar.ports.jobs import Job, JobContext, JobState
from tests.support.clock import ManualClock
from tests.support.jobs import LEASE_S, RETRY, Shop

AT_ONCE = 2
WORKER = st.integers(0, 1)
ANY = st.integers(0, 9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enqueue"), st.sampled_from(["", "", "a", "b"]), st.sampled_from([0, 0, 0, 25])),
        st.tuples(st.just("turn"), WORKER, ANY),
        st.tuples(st.just("succeed"), WORKER, ANY),
        st.tuples(st.just("fail"), WORKER, ANY),
        st.tuples(st.just("renew"), WORKER, ANY),
        st.tuples(st.just("wait"), st.just(0), st.sampled_from([1, 11, 31, 700])),
        st.tuples(st.just("cancel"), st.just(0), ANY),
        st.tuples(st.just("replay"), st.just(0), ANY),
        st.tuples(st.just("crash"), WORKER, ANY),
        st.tuples(st.just("stop"), WORKER, ANY),
    ),
    max_size=40,
)


@dataclass
class Known:
    """What the model says of a job."""

    key: str
    run_at: datetime
    state: JobState = JobState.QUEUED
    attempt: int = 0
    most: int = RETRY.max_attempts
    lease: datetime | None = None
    asked: bool = False

    def seen(self) -> tuple[object, ...]:
        return self.state, self.attempt, self.most, self.asked, self.state is JobState.QUEUED and self.run_at

    @property
    def unfinished(self) -> bool:
        return self.state in (JobState.QUEUED, JobState.RUNNING)

    def end(self, now: datetime, how: str) -> None:
        """An attempt ends."""
        if how == "succeed":
            self.state = JobState.DONE
        elif self.asked:
            self.state = JobState.CANCELLED
        elif how == "back":
            self.state, self.run_at, self.most = JobState.QUEUED, now, self.most + 1
        elif self.attempt >= self.most:
            self.state = JobState.DEAD
        else:
            self.state, self.run_at = JobState.QUEUED, now + timedelta(seconds=RETRY.delay_s(self.attempt, 1.0))
        if how == "back" and self.state is JobState.CANCELLED:
            self.most += 1


class World:
    """The real thing, and the model beside it."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock()
        self.shop = Shop(database, self.clock, SystemIds(clock=self.clock))
        self.shop.hands.work = self.run
        self.gates: dict[tuple[str, int], asyncio.Future[None]] = {}
        self.workers: list[Worker] = [self.fresh(), self.fresh()]
        self.graves: list[Worker] = []
        self.known: dict[str, Known] = {}
        self.ends: list[list[tuple[str, int, str, datetime]]] = [[], []]
        self.held: list[list[tuple[str, int]]] = [[], []]

    def fresh(self) -> Worker:
        """A process that begins."""
        return self.shop.worker(at_once=AT_ONCE, grace_s=0.02)

    async def run(self, job: Job, context: JobContext) -> None:
        """Every attempt waits for its step, and runs while nobody else's does."""
        assert self.known[job.id].attempt == job.attempt
        gate = self.gates[job.id, job.attempt] = asyncio.get_running_loop().create_future()
        await gate

    async def step(self, kind: str, which: int, figure: int) -> None:
        """One event, in both."""
        match kind:
            case "turn":
                await self.turn(which)
            case "succeed" | "fail" if self.held[which]:
                await self.end(which, figure, kind)
            case "renew":
                await self.renew(which)
            case "wait":
                self.clock.advance(figure)
            case "cancel" | "replay" if self.known:
                await self.ask(kind, sorted(self.known)[figure % len(self.known)])
            case "crash":
                self.graves.append(self.workers[which])
                self.workers[which], self.ends[which], self.held[which] = self.fresh(), [], []
            case "stop":
                await self.stop(which)

    async def enqueue(self, key: str, delay_s: int) -> None:
        now = self.clock.now()
        made = await self.shop.enqueue(key=key or None, run_at=now + timedelta(seconds=delay_s))
        same = [name for name, one in self.known.items() if key and one.key == key and one.unfinished]
        assert ([] if made.is_new else [made.id]) == same
        if made.is_new:
            self.known[made.id] = Known(key, now + timedelta(seconds=delay_s))

    async def turn(self, which: int) -> None:
        now = self.clock.now()
        self.write(which)
        for one in self.known.values():
            if one.state is JobState.RUNNING and one.lease is not None and one.lease < now:
                one.end(now, "fail")
        due = [name for name, one in self.known.items() if one.state is JobState.QUEUED and one.run_at <= now]
        due.sort(key=lambda name: (self.known[name].run_at, name))
        taken = due[: max(0, AT_ONCE - len(self.held[which]))]
        for name in taken:
            one = self.known[name]
            one.state, one.attempt, one.lease = JobState.RUNNING, one.attempt + 1, now + timedelta(seconds=LEASE_S)
            self.held[which].append((name, one.attempt))
        assert await self.workers[which].turn() == len(taken)
        await self.settle()
        assert all((name, self.known[name].attempt) in self.gates for name in taken)

    def write(self, which: int) -> None:
        """The ends of a worker's attempts count where the attempt is still its own."""
        for name, attempt, how, at in self.ends[which]:
            one = self.known[name]
            if one.state is JobState.RUNNING and one.attempt == attempt:
                one.end(at, how)
        self.ends[which] = []

    async def end(self, which: int, figure: int, how: str) -> None:
        hold = self.held[which].pop(figure % len(self.held[which]))
        gate = self.gates[hold]
        gate.set_result(None) if how == "succeed" else gate.set_exception(ValueError("no tea left"))
        self.ends[which].append((*hold, how, self.clock.now()))
        await self.settle()

    async def renew(self, which: int) -> None:
        worker = self.workers[which]
        under_way = [one for one in worker._running.values() if one.task is not None and not one.task.done()]
        if under_way:
            await worker.renew(under_way)
        for hold in list(self.held[which]):
            one = self.known[hold[0]]
            is_mine = one.state is JobState.RUNNING and one.attempt == hold[1]
            if is_mine:
                one.lease = self.clock.now() + timedelta(seconds=LEASE_S)
            if not is_mine or one.asked:
                self.held[which].remove(hold)
                self.ends[which] += [(*hold, "fail", self.clock.now())] if is_mine else []
        await self.settle()

    async def ask(self, kind: str, name: str) -> None:
        one = self.known[name]
        if kind == "cancel":
            assert ((await self.shop.cancel(name)) is not None) == one.unfinished
            if one.state is JobState.QUEUED:
                one.state = JobState.CANCELLED
                one.asked = True
            one.asked = one.asked or one.unfinished
            return
        same = any(one.key and other.key == one.key and other.unfinished for other in self.known.values())
        may = one.state in (JobState.DEAD, JobState.CANCELLED) and not same
        assert ((await self.shop.replay(name)) is not None) == may
        if may:
            one.state, one.run_at, one.asked = JobState.QUEUED, self.clock.now(), False
            one.most = one.attempt + RETRY.max_attempts

    async def stop(self, which: int) -> None:
        await self.workers[which].stop()
        self.ends[which] += [(*hold, "back", self.clock.now()) for hold in self.held[which]]
        self.write(which)
        self.workers[which], self.held[which] = self.fresh(), []

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    async def check(self) -> None:
        """Both say the same of every job."""
        found = {job.id: job for job in await self.shop.all()}
        assert {
            name: (
                job.state,
                job.attempt,
                job.max_attempts,
                job.cancel_asked,
                job.state is JobState.QUEUED and job.run_at,
            )
            for name, job in found.items()
        } == {name: one.seen() for name, one in self.known.items()}

    async def finish(self) -> None:
        """In the end nothing is lost: every job is done, dead or cancelled."""
        while any(one.unfinished for one in self.known.values()):
            self.clock.advance(700)
            await self.turn(0)
            while self.held[0]:
                await self.end(0, 0, "succeed")
        for worker in (*self.workers, *self.graves):
            for one in worker._running.values():
                if one.task is not None:
                    one.task.cancel()
                    await asyncio.wait([one.task])
        await self.check()


async def live(database: Database, steps: list[tuple[str, int, int]]) -> None:
    world = World(database)
    try:
        for kind, which, figure in steps:
            if kind == "enqueue":
                await world.enqueue(str(which), figure)
            else:
                await world.step(kind, which, figure)
            await world.check()
        await world.finish()
    finally:
        await database.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_jobs_live_as_the_model_says_on_sqlite(sqlite_template: Path, steps: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samovar.db"
        shutil.copyfile(sqlite_template, path)
        asyncio.run(live(SqliteDatabase(path, synchronous="NORMAL"), steps))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_jobs_live_as_the_model_says_on_postgresql(postgres_url: str, steps: list[tuple[str, int, int]]) -> None:
    async def run() -> None:
        database = PostgresDatabase(postgres_url)
        async with database.transaction() as tx:
            await tx.execute(text("DELETE FROM jobs"))
        await live(database, steps)

    asyncio.run(run())


@pytest.mark.soak
@pytest.mark.timeout(1200)
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_a_thousand_lives_of_jobs_go_as_the_model_says(
    sqlite_template: Path, steps: list[tuple[str, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samovar.db"
        shutil.copyfile(sqlite_template, path)
        asyncio.run(live(SqliteDatabase(path, synchronous="NORMAL"), steps))
