"""``/api/jobs``: what is done later, what failed for good, and what comes by the clock."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, Field

from samovar.domains.operations.service.jobs import JobsService
from samovar.kernel.principal import Principal
from samovar.ports import problems
from samovar.ports.jobs import MAX_KIND_CHARS, CronEntry, Job, JobState
from samovar.ports.routes import Routes

Authenticate = Callable[[Request], Awaitable[Principal]]

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before.")]
JobId = Annotated[str, Path(min_length=1, max_length=64)]
CronName = Annotated[str, Path(min_length=1, max_length=MAX_KIND_CHARS)]
KindWanted = Annotated[str | None, Query(max_length=MAX_KIND_CHARS, description="Only this kind.")]
StateWanted = Annotated[
    JobState | None,
    Query(description="Only jobs that stand so; `dead` are the dead letters: all their attempts failed."),
]

_REFUSALS: Final = {
    400: "The request cannot be read",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission",
    404: "Your team has no such thing",
    409: "The job's state does not allow this",
    422: "A parameter breaks a rule; `errors` names each",
    429: "Too many requests; see Retry-After",
    503: "The database does not answer",
}


class JobAnswer(BaseModel):
    """A job. ``attempt`` of ``max_attempts`` is the last that was begun; ``run_at`` is when it is due; ``lease_until`` is how
    long its worker has it unless it is heard of; ``error`` is that of the last attempt that failed. A job of a cron job has its
    name in ``cron``, and in ``scheduled_at`` the time it stands for (none if somebody began it by hand)."""

    id: str
    kind: str
    state: JobState
    priority: Annotated[str, Field(description="high, normal or low.")]
    payload: Any
    key: str | None
    attempt: int
    max_attempts: int
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    lease_until: datetime | None
    worker: str | None
    error: str | None
    cancel_asked: bool
    cron: str | None
    scheduled_at: datetime | None


class JobList(BaseModel):
    """The newest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[JobAnswer, ...]
    next_cursor: str | None


class CronAnswer(BaseModel):
    """A cron job. ``next_at`` is ``null`` where it is off, or no worker has planned it yet."""

    name: str
    kind: str
    schedule: Annotated[str, Field(description="Minute, hour, day, month, weekday; or `off`.", examples=["0 3 * * *"])]
    time_zone: str
    next_at: datetime | None
    last_at: datetime | None
    last_job_id: str | None


class CronList(BaseModel):
    """By name."""

    items: tuple[CronAnswer, ...]
    next_cursor: str | None = None


def router(*, service: JobsService, authenticate: Authenticate) -> Routes:
    """Cron jobs: list, run now. Jobs: list, show, cancel, replay."""
    routes = Routes(tags=["jobs"], prefix="/api/jobs")
    # Before those of jobs, whose `{job_id}` would take the word for an id.
    _cron(routes, service, authenticate)
    _jobs(routes, service, authenticate)
    return routes


def _cron(routes: Routes, service: JobsService, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("/cron", summary="List what comes by the clock", responses=_refusals())
    async def listing(principal: caller) -> CronList:
        return CronList(items=tuple(_entry(entry) for entry in await service.cron(principal)))

    @routes.post("/cron/{name}/run", status_code=201, summary="Run a cron job now", responses=_refusals(404, 409))
    async def run(principal: caller, name: CronName) -> JobAnswer:
        """Beside its schedule, which stays as it is. 409 while a run of it is unfinished."""
        return _answer(await service.run_now(principal, name))


def _jobs(routes: Routes, service: JobsService, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("", summary="List the team's jobs", responses=_refusals())
    async def listing(
        principal: caller,
        state: StateWanted = None,
        kind: KindWanted = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> JobList:
        page = await service.page(principal, state=state, kind=kind, cursor=cursor, limit=limit)
        return JobList(items=tuple(_answer(job) for job in page.items), next_cursor=page.next_cursor)

    @routes.get("/{job_id}", summary="Show a job", responses=_refusals(404))
    async def show(principal: caller, job_id: JobId) -> JobAnswer:
        return _answer(await service.get(principal, job_id))

    @routes.post("/{job_id}/cancel", summary="Cancel a job", responses=_refusals(404, 409))
    async def cancel(principal: caller, job_id: JobId) -> JobAnswer:
        """One that waits ends here. One that runs is asked to stop (`cancel_asked`), and is cancelled once its worker has
        heard of it: at once where events reach it, else at its next heartbeat."""
        return _answer(await service.cancel(principal, job_id))

    @routes.post("/{job_id}/replay", summary="Run a dead or cancelled job again", responses=_refusals(404, 409))
    async def replay(principal: caller, job_id: JobId) -> JobAnswer:
        """It is due at once, with as many attempts as at first; they are counted on."""
        return _answer(await service.replay(principal, job_id))


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return problems.refusals(_REFUSALS, 401, 403, 422, 429, 503, *statuses)


def _answer(job: Job) -> JobAnswer:
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        state=job.state,
        priority=job.priority.name.lower(),
        payload=job.payload,
        key=job.key,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        created_at=job.created_at,
        run_at=job.run_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        lease_until=job.lease_until,
        worker=job.worker,
        error=job.error,
        cancel_asked=job.cancel_asked,
        cron=job.cron,
        scheduled_at=job.scheduled_at,
    )


def _entry(entry: CronEntry) -> CronAnswer:
    return CronAnswer(
        name=entry.name,
        kind=entry.kind,
        schedule=entry.schedule,
        time_zone=entry.time_zone,
        next_at=entry.next_at,
        last_at=entry.last_at,
        last_job_id=entry.last_job_id,
    )
