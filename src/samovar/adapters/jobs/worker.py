"""Runs jobs: claims them in batches, keeps their leases, and writes how they ended, in as few transactions as may be."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec
import structlog

from samovar.adapters.jobs import leases
from samovar.adapters.jobs.leases import Failure, Hold
from samovar.adapters.jobs.table import JOBS_WAITING
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.ports.clock import Clock
from samovar.ports.database import Database, Tx
from samovar.ports.events import Bus
from samovar.ports.jobs import MAX_ERROR_CHARS, GiveUp, Job, JobKind, JobState, LeaseLost, NotYet, Retry
from samovar.ports.outages import Outage

_DIED: Final = "the worker that ran it died, or lost the database for longer than its lease"

log = structlog.get_logger("samovar.jobs")


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``at_once`` bounds the jobs under way here. A lease of ``lease_s`` is renewed three times in its life. Who is not woken
    looks every ``poll_s``. When told to stop, jobs have ``grace_s`` to end; then their leases are given back."""

    at_once: int = 64
    lease_s: float = 30.0
    poll_s: float = 1.0
    grace_s: float = 5.0


class _Why(StrEnum):
    """For what reason a job was stopped from outside."""

    LOST = "its lease is lost"
    CANCELLED = "it was cancelled"
    STOPPING = "its worker stops"


class _Running:
    """A job under way, until its end is written. ``why`` stands where its task was cancelled by us."""

    __slots__ = ("job", "lease_ends", "task", "why")

    def __init__(self, job: Job, lease_ends: float) -> None:
        self.job = job
        self.lease_ends = lease_ends
        self.task: asyncio.Task[None] | None = None
        self.why: _Why | None = None

    @property
    def hold(self) -> Hold:
        return self.job.id, self.job.attempt

    def stop(self, why: _Why) -> None:
        self.why = self.why or why
        if self.task is not None:
            self.task.cancel()


class _Context:
    """A :class:`samovar.ports.jobs.JobContext`."""

    def __init__(self, worker: "Worker", running: _Running) -> None:
        self._worker = worker
        self._running = running

    async def heartbeat(self) -> None:
        """See the port."""
        await self._worker.renew([self._running])
        if self._running.why is not None:
            raise LeaseLost(self._running.why)


class Worker:
    """One of a process. :meth:`subscribe` before the bus starts, :meth:`run` until :meth:`stop`. ``name`` tells it from others,
    ``chance`` gives numbers from 0 to 1, ``redact`` takes secrets out of the texts of errors."""

    def __init__(
        self,
        *,
        name: str,
        kinds: Sequence[JobKind],
        database: Database,
        bus: Bus,
        clock: Clock,
        chance: Callable[[], float],
        report: Callable[[BaseException, str], None],
        redact: Callable[[str], str] = str,
        settings: WorkerSettings = WorkerSettings(),  # noqa: B008 - frozen
    ) -> None:
        self._name = name
        self._kinds = {kind.name: kind for kind in kinds}
        self._names = sorted(self._kinds)
        self._database = database
        self._bus = bus
        self._clock = clock
        self._chance = chance
        self._report = report
        self._redact = redact
        self._settings = settings
        self._running: dict[Hold, _Running] = {}
        self._done: list[Hold] = []
        self._failed: list[Failure] = []
        self._woken = asyncio.Event()
        self._beat = asyncio.Event()
        self._turning = asyncio.Lock()
        self._stopping = False
        self._look_at = -math.inf
        self._waiting = Outage("jobs wait: the database does not answer", logger="samovar.jobs", report=self._report)
        self._unrenewed = Outage("leases of jobs could not be renewed", logger="samovar.jobs", report=self._report)
        self.ended: Counter[tuple[str, str]] = Counter()

    def subscribe(self) -> None:
        """Hear of new jobs and of cancelled ones."""
        self._bus.subscribe(JOBS_WAITING, self._on_news)
        self._bus.on_gap(self._on_gap)

    async def run(self) -> None:
        """Run jobs until cancelled; begun again it goes on with those that are under way."""
        if not self._kinds:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claim_for_ever())
            group.create_task(self._renew_for_ever())

    async def stop(self) -> None:
        """Claim no more; let jobs end, and give back the leases of those that do not in time."""
        self._stopping = True
        async with self._turning:
            # What a turn under way has claimed is begun now.
            tasks = [one.task for one in self._running.values() if one.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._settings.grace_s)
            for one in self._running.values():
                if one.task in late:
                    one.stop(_Why.STOPPING)
            if late:
                await asyncio.wait(late, timeout=self._settings.grace_s)
        try:
            await self.turn()
        except Unavailable as error:
            self._report(error, "leases of jobs could not be given back; they run out")

    async def turn(self) -> int:
        """Write how jobs ended and begin others, in one transaction; how many began. Raises ``Unavailable``."""
        async with self._turning:
            done, self._done = self._done, []
            failed, self._failed = self._failed, []
            try:
                return await self._turn(done, failed)
            except BaseException:
                # Not written, as far as we know; to write it again does no harm.
                self._done[:0] = done
                self._failed[:0] = failed
                raise

    async def _turn(self, done: list[Hold], failed: list[Failure]) -> int:
        under_way = len(self._running) - len(done) - len(failed)
        room = 0 if self._stopping else self._settings.at_once - under_way
        now = self._clock.now()
        if not done and not failed and not await self._is_needed(room):
            return 0
        lease_ends = self._clock.monotonic() + self._settings.lease_s
        claimed: list[Job] = []
        async with self._database.transaction() as tx:
            ended = await leases.finish(tx, done, now=now)
            kept = [await leases.fail(tx, failure, now=now) for failure in failed]
            expired = await self._take_over(tx) if self._may_look() else []
            if room > 0:
                claimed = await leases.claim(
                    tx,
                    self._names,
                    worker=self._name,
                    now=now,
                    lease_until=now + timedelta(seconds=self._settings.lease_s),
                    limit=room,
                )
        for hold in done:
            self._count(hold, "done" if hold in ended else "lost")
        for failure, is_ours in zip(failed, kept, strict=True):
            self._count(failure.hold, failure.outcome if is_ours else "lost")
        for job in expired:
            self.ended[job.kind, "expired"] += 1
        for job in claimed:
            self._begin(_Running(job, lease_ends))
        return len(claimed)

    async def renew(self, some: Sequence[_Running]) -> None:
        """Lengthen the leases of these; those that are lost or cancelled are stopped. Raises ``Unavailable``."""
        lease_ends = self._clock.monotonic() + self._settings.lease_s
        until = self._clock.now() + timedelta(seconds=self._settings.lease_s)
        async with self._database.transaction() as tx:
            kept = await leases.renew(tx, [one.hold for one in some], lease_until=until)
        for one in some:
            is_cancelled = kept.get(one.hold)
            if is_cancelled is None:
                one.stop(_Why.LOST)
            elif is_cancelled:
                one.stop(_Why.CANCELLED)
            one.lease_ends = lease_ends

    # --- the loops

    async def _claim_for_ever(self) -> None:
        while not self._stopping:
            self._woken.clear()
            try:
                await self.turn()
                self._waiting.over()
            except Unavailable as error:
                self._waiting.tell(error)
                await asyncio.sleep(self._settings.poll_s)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_s):
                    await self._woken.wait()

    async def _renew_for_ever(self) -> None:
        while True:
            self._beat.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.lease_s / 3):
                    await self._beat.wait()
            under_way = [one for one in self._running.values() if one.task is not None and not one.task.done()]
            if not under_way:
                continue
            try:
                await self.renew(under_way)
                self._unrenewed.over()
            except Unavailable as error:
                self._unrenewed.tell(error)
                for one in under_way:
                    # Somebody else may have it by now: nobody shall do it twice at once.
                    if one.lease_ends <= self._clock.monotonic():
                        one.stop(_Why.LOST)

    async def _on_news(self, message: bytes) -> None:
        if not message:
            self._woken.set()
        elif any(one.job.id.encode() == message for one in self._running.values()):
            self._beat.set()

    async def _on_gap(self) -> None:
        self._woken.set()
        self._beat.set()

    def _may_look(self) -> bool:
        """Whether it is time again to look for those that died: not at each of a hundred turns a second."""
        now = self._clock.monotonic()
        if self._stopping or now < self._look_at:
            return False
        self._look_at = now + self._settings.poll_s
        return True

    async def _is_needed(self, room: int) -> bool:
        if self._stopping:
            return False
        async with self._database.reading() as tx:
            due = await leases.look(tx, self._names, now=self._clock.now())
        return due.expired or (due.queued and room > 0)

    async def _take_over(self, tx: Tx) -> list[Job]:
        """Whoever died had its attempt; the others go on without it."""
        now = self._clock.now()
        found = await leases.expired(tx, now=now)
        for job in found:
            await leases.fail(tx, self._failure(job, _DIED), now=now)
        return found

    # --- one job

    def _begin(self, running: _Running) -> None:
        self._running[running.hold] = running
        running.task = asyncio.create_task(self._attempt(running), name=f"job {running.job.id}")

    async def _attempt(self, running: _Running) -> None:
        job = running.job
        try:
            failure = await self._outcome(running, self._kinds[job.kind])
        finally:
            self._woken.set()
        if failure is not None:
            self._failed.append(failure)
        elif running.why is _Why.LOST:
            log.warning("the lease of a job was lost; another worker has it", job=job.id, kind=job.kind)
            self._count(running.hold, "lost")
        else:
            self._done.append(running.hold)

    async def _outcome(self, running: _Running, kind: JobKind) -> Failure | None:
        """How the attempt failed; ``None`` where it did not, or where it is not ours any more."""
        job = running.job
        deadline = asyncio.timeout(kind.timeout_s)
        try:
            async with deadline:
                await kind.handler(job, _Context(self, running))
        except (asyncio.CancelledError, LeaseLost) as error:
            return self._stopped(running, error)
        except GiveUp as error:
            return self._failure(job, self._words(error), is_final=True)
        except NotYet as error:
            due = self._clock.now() + timedelta(seconds=error.rest_s)
            return Failure(running.hold, JobState.QUEUED, self._words(error), due, is_free=True)
        except Exception as error:  # noqa: BLE001 - edge: whatever a handler raises is a failed attempt
            if deadline.expired():
                return self._failure(job, f"it took longer than {kind.timeout_s:g} s")
            words = self._words(error)
            log.warning("a job failed", job=job.id, kind=job.kind, attempt=job.attempt, error=words)
            return self._failure(job, words)
        return None

    def _stopped(self, running: _Running, error: BaseException) -> Failure | None:
        job, why = running.job, running.why
        if why is _Why.LOST:
            return None
        if why is _Why.CANCELLED:
            return Failure(running.hold, JobState.CANCELLED, None)
        task = asyncio.current_task()
        if why is None and (task is None or not task.cancelling()):
            # Not from outside: something that the handler waited for was cancelled.
            return self._failure(job, self._words(error))
        return Failure(running.hold, JobState.QUEUED, None, is_free=True)

    def _failure(self, job: Job, error: str, *, is_final: bool = False) -> Failure:
        hold = job.id, job.attempt
        if job.cancel_asked:
            return Failure(hold, JobState.CANCELLED, error)
        if is_final or job.attempt >= job.max_attempts:
            log.error("a job is a dead letter", job=job.id, kind=job.kind, attempt=job.attempt, error=error)
            return Failure(hold, JobState.DEAD, error)
        kind = self._kinds.get(job.kind)
        retry = Retry() if kind is None else kind.retry
        rest = timedelta(seconds=retry.delay_s(job.attempt, self._chance()))
        return Failure(hold, JobState.QUEUED, error, self._clock.now() + rest)

    def _words(self, error: BaseException) -> str:
        said = error.detail if isinstance(error, SamovarError) else str(error)
        words = f"{type(error).__name__}: {said}" if said else type(error).__name__
        return self._redact(words.replace("\0", ""))[:MAX_ERROR_CHARS]

    def _count(self, hold: Hold, outcome: str) -> None:
        ended = self._running.pop(hold, None)
        if ended is not None:
            self.ended[ended.job.kind, outcome] += 1
