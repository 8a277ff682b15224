"""What operations do as jobs: a backup, by the clock or when somebody asks for one."""

from collections.abc import Callable
from typing import Final

from samovar.domains.identity.model import administrator
from samovar.domains.operations.model.backups import StoredBackup
from samovar.domains.operations.service.backups import BACKUP_JOB, Backups
from samovar.kernel.errors import SamovarError
from samovar.ports.jobs import CronJob, Job, JobContext, JobKind, Retry

_MOST_S: Final = 12 * 3_600.0


def backup_kind(service: Callable[[], Backups], *, tell: Callable[[Job, StoredBackup | SamovarError], None]) -> JobKind:
    """Tried again, it begins anew: a half backup is nowhere to be seen. ``tell`` hears what came of each."""

    async def run(job: Job, context: JobContext) -> None:
        try:
            made = await service().run(administrator())
        except SamovarError as error:
            tell(job, error)
            raise
        tell(job, made)

    return JobKind(
        name=BACKUP_JOB, handler=run, retry=Retry(max_attempts=4, first_s=60, most_s=1_800), timeout_s=_MOST_S
    )


def backup_cron(schedule: str) -> CronJob:
    """Backups by the clock."""
    return CronJob(name=BACKUP_JOB, kind=BACKUP_JOB, schedule=schedule)
