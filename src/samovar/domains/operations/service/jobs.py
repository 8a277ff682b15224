"""Jobs as an admin sees them: list, show, replay, cancel, and begin a run of a cron job."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from samovar.domains.identity.model import Permission, require
from samovar.domains.operations.errors import CronNotFound, JobNotFound, JobStateForbids
from samovar.kernel.errors import Flaw, Invalid
from samovar.kernel.principal import Principal
from samovar.ports.database import Database
from samovar.ports.jobs import UNFINISHED, Cron, CronEntry, Job, Jobs, JobState

MAX_PAGE: Final = 100


class JobPage(NamedTuple):
    """Some jobs, the newest first; ``next_cursor`` leads on, ``None`` at the end."""

    items: Sequence[Job]
    next_cursor: str | None


class JobsService:
    """Everything is the principal's team's; the cron jobs are those of the installation, and its default team's."""

    def __init__(self, *, database: Database, jobs: Jobs, cron: Cron) -> None:
        self._database = database
        self._jobs = jobs
        self._cron = cron

    async def page(
        self, principal: Principal, *, state: JobState | None, kind: str | None, cursor: str | None, limit: int
    ) -> JobPage:
        """The team's jobs, the newest first. Raises ``Forbidden``, ``Invalid``."""
        require(principal, Permission.JOBS_READ)
        if not 1 <= limit <= MAX_PAGE:
            raise Invalid(
                f"limit must be from 1 to {MAX_PAGE}.", flaws=[Flaw("limit", f"must be from 1 to {MAX_PAGE}")]
            )
        async with self._database.reading() as tx:
            found = await self._jobs.page(tx, principal.team_id, state=state, kind=kind, before=cursor, limit=limit + 1)
        shown = found[:limit]
        return JobPage(shown, shown[-1].id if len(found) > limit else None)

    async def get(self, principal: Principal, job_id: str) -> Job:
        """Raises ``Forbidden``, :class:`JobNotFound`."""
        require(principal, Permission.JOBS_READ)
        async with self._database.reading() as tx:
            found = await self._jobs.get(tx, principal.team_id, job_id)
        if found is None:
            raise JobNotFound(_NO_JOB)
        return found

    async def cancel(self, principal: Principal, job_id: str) -> Job:
        """End a job that waits; ask one that runs to stop. Raises ``Forbidden``, :class:`JobNotFound`,
        :class:`JobStateForbids`."""
        require(principal, Permission.JOBS_WRITE)
        async with self._database.transaction() as tx:
            ended = await self._jobs.cancel(tx, principal.team_id, job_id)
            found = ended or await self._jobs.get(tx, principal.team_id, job_id)
        if found is None:
            raise JobNotFound(_NO_JOB)
        if ended is None:
            raise JobStateForbids(f"The job is {found.state.value}: there is nothing left to cancel.")
        if ended.state is JobState.RUNNING:
            await self._jobs.tell_cancelled(job_id)
        return ended

    async def replay(self, principal: Principal, job_id: str) -> Job:
        """Queue a dead or cancelled job anew. Raises ``Forbidden``, :class:`JobNotFound`, :class:`JobStateForbids`."""
        require(principal, Permission.JOBS_WRITE)
        async with self._database.transaction() as tx:
            queued = await self._jobs.replay(tx, principal.team_id, job_id)
            found = queued or await self._jobs.get(tx, principal.team_id, job_id)
        if found is None:
            raise JobNotFound(_NO_JOB)
        if queued is None:
            raise JobStateForbids(_why_not_replayed(found))
        await self._jobs.wake()
        return queued

    async def cron(self, principal: Principal) -> Sequence[CronEntry]:
        """The cron jobs that the principal's team has. Raises ``Forbidden``."""
        require(principal, Permission.JOBS_READ)
        if principal.team_id != self._cron.team_id:
            return ()
        async with self._database.reading() as tx:
            return await self._cron.entries(tx)

    async def run_now(self, principal: Principal, name: str) -> Job:
        """Begin a run of a cron job beside its schedule. Raises ``Forbidden``, :class:`CronNotFound`,
        :class:`JobStateForbids`."""
        require(principal, Permission.JOBS_WRITE)
        async with self._database.transaction() as tx:
            made = await self._cron.run_now(tx, name) if principal.team_id == self._cron.team_id else None
            if made is None:
                raise CronNotFound("There is no such cron job; GET /api/jobs/cron lists those there are.")
            found = await self._jobs.get(tx, principal.team_id, made.id)
        assert found is not None
        if not made.is_new:
            raise JobStateForbids(f"A run of it, {found.id}, is {found.state.value}: wait for it, or cancel it first.")
        await self._jobs.wake()
        return found


_NO_JOB: Final = "Your team has no such job; it may be past its retention."


def _why_not_replayed(job: Job) -> str:
    if job.state in (*UNFINISHED, JobState.DONE):
        return f"The job is {job.state.value}: only one that is dead or cancelled can be replayed."
    return "Another job with its key is unfinished: wait for that one, or cancel it first."
