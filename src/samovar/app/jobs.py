"""Jobs' object graph, and its two tables: kind to handler, and what comes by the clock."""

import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from samovar.adapters.jobs.cron import TableCron
from samovar.adapters.jobs.table import JobTable
from samovar.adapters.jobs.upkeep import JobUpkeep
from samovar.adapters.jobs.worker import Worker, WorkerSettings
from samovar.app.background import forever
from samovar.app.settings import Settings
from samovar.app.telemetry.redaction import redact_text
from samovar.domains.audit.jobs import prune_cron, prune_kind
from samovar.domains.files.jobs import file_crons, file_kinds
from samovar.domains.identity.model import DEFAULT_TEAM_ID, administrator
from samovar.domains.operations.jobs import backup_cron, backup_kind
from samovar.domains.operations.service.jobs import JobsService
from samovar.kernel.tasks import background
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.events import Bus
from samovar.ports.jobs import CronJob, JobFigures, JobKind

if TYPE_CHECKING:
    from samovar.app.services import Services


def job_kinds(services: "Services") -> tuple[JobKind, ...]:
    """The table of kinds. A handler reaches for its service when it runs (``lambda job, context: services.x.y(job)``), for
    that service may need the job table itself."""
    return (
        backup_kind(lambda: services.backups.service, tell=services.audit.backup_run),
        prune_kind(lambda: services.audit.service, actor=administrator()),
        *file_kinds(lambda: services.files.care),
    )


def cron_jobs(settings: Settings) -> tuple[CronJob, ...]:
    """The table of what comes by the clock."""
    files = file_crons(
        collect=settings.file_collect_schedule,
        orphans=settings.file_orphans_schedule,
        scrub=settings.file_scrub_schedule,
    )
    return (backup_cron(settings.backup_schedule), prune_cron(settings.audit_prune_schedule), *files)


class JobDesk:
    """``table`` is for those who enqueue, ``service`` for those who administer. ``runs`` is whether this process runs jobs;
    in any case it may enqueue them."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        bus: Bus,
        kinds: Sequence[JobKind],
        cron: Sequence[CronJob],
        runs: bool,
        report: Callable[[BaseException, str], None],
    ) -> None:
        self._runs = runs and bool(kinds)
        self.table = JobTable(kinds=kinds, clock=clock, ids=ids, bus=bus)
        self.cron = TableCron(
            table=cron,
            time_zone=settings.timezone,
            team_id=DEFAULT_TEAM_ID,
            jobs=self.table,
            database=database,
            clock=clock,
            report=report,
        )
        self._kinds = kinds
        self._make_worker = partial(
            Worker,
            database=database,
            bus=bus,
            clock=clock,
            chance=random.random,
            report=report,
            redact=redact_text,
            settings=WorkerSettings(at_once=settings.jobs_at_once, lease_s=settings.job_lease_s),
        )
        self._name = ids.new("worker")
        self.worker = self._make_worker(name=self._name, kinds=kinds)
        self.upkeep = JobUpkeep(
            database=database,
            clock=clock,
            kinds=[kind.name for kind in kinds],
            retention=timedelta(days=settings.jobs_retention_days),
            dead_retention=timedelta(days=settings.dead_jobs_retention_days),
            report=report,
        )
        self.service = JobsService(database=database, jobs=self.table, cron=self.cron)

    def figures(self) -> JobFigures:
        """For metrics."""
        return msgspec.structs.replace(self.upkeep.figures, ended=self.worker.ended)

    def subscribe(self) -> None:
        """Before the bus starts."""
        if self._runs:
            self.worker.subscribe()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run jobs beside the block. At its end they have a moment, then their leases go back for others."""
        if not self._runs:
            yield
            return
        async with background(
            forever("jobs", self.worker.run),
            forever("cron", self.cron.run),
            forever("jobs' upkeep", self.upkeep.run),
        ):
            try:
                yield
            finally:
                await self.worker.stop()

    @asynccontextmanager
    async def running_only(self, names: Collection[str]) -> AsyncIterator[None]:
        """Run jobs of these kinds beside the block, and nothing that comes by the clock: for a command that waits for one, where
        no server runs. Without names there is nothing to run."""
        if not names:
            yield
            return
        worker = self._make_worker(
            name=f"{self._name}-only", kinds=[kind for kind in self._kinds if kind.name in names]
        )
        async with background(forever("jobs", worker.run)):
            try:
                yield
            finally:
                await worker.stop()
