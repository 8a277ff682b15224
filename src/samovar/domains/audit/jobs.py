"""What audit does as a job: pruning, by the clock."""

from collections.abc import Callable
from typing import Final

from samovar.domains.audit.service import AuditService
from samovar.kernel.principal import Principal
from samovar.ports.jobs import CronJob, Job, JobContext, JobKind, Retry

PRUNE_JOB: Final = "audit-prune"
_MOST_S: Final = 12 * 3_600.0


def prune_kind(service: Callable[[], AuditService], *, actor: Principal) -> JobKind:
    """Tried again, it goes on where it stood. A chain that does not verify is not pruned: the dead letter says why."""

    async def run(job: Job, context: JobContext) -> None:
        await service().prune(actor, service="jobs")

    return JobKind(
        name=PRUNE_JOB, handler=run, retry=Retry(max_attempts=4, first_s=60, most_s=1_800), timeout_s=_MOST_S
    )


def prune_cron(schedule: str) -> CronJob:
    """Pruning by the clock."""
    return CronJob(name=PRUNE_JOB, kind=PRUNE_JOB, schedule=schedule)
