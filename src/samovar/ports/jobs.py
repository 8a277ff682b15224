"""Work that is done later, and not lost: jobs in the database, enqueued in the caller's transaction.

A job is run *at least* once: its worker may die between the work and the note that it is done. A handler makes itself
idempotent by the job's id, which stays the same over all its attempts. While a worker's lease holds nobody else runs the job;
whoever lost it cannot end it any more, for the attempt's number is checked (a fencing token that only grows).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Final, Protocol

import msgspec

from samovar.ports.database import Tx

MAX_PAYLOAD_BYTES: Final = 64 * 1024
MAX_ERROR_CHARS: Final = 2_000
MAX_KIND_CHARS: Final = 64
MAX_KEY_CHARS: Final = 200
MAX_ATTEMPTS: Final = 100
MAX_ORDERS: Final = 10_000


class JobState(StrEnum):
    """Where a job stands. ``dead`` is a dead letter: all attempts failed; it waits for somebody to replay it."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


UNFINISHED: Final = (JobState.QUEUED, JobState.RUNNING)


class Priority(IntEnum):
    """Which of the jobs that are due begins first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often a job is tried, and how long it rests between: ``first_s`` doubling up to ``most_s``."""

    max_attempts: int = 5
    first_s: float = 1.0
    most_s: float = 600.0

    def delay_s(self, attempt: int, chance: float) -> float:
        """The rest after the failure of ``attempt`` (from 1). ``chance``, from 0 to 1, spreads it over its upper half, so that
        jobs which failed together do not come back together."""
        whole_s = min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 60))
        return whole_s * (0.5 + chance / 2)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands. ``attempt`` counts the attempts that were begun, over all its life; ``run_at`` is when it is due.
    ``error`` is that of the last attempt that failed. A job of a cron job names it, and the instant it was due at."""

    id: str
    team_id: str
    kind: str
    payload: Any
    state: JobState
    priority: Priority
    attempt: int
    max_attempts: int
    created_at: datetime
    run_at: datetime
    key: str | None = None
    cron: str | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    worker: str | None = None
    error: str | None = None
    cancel_asked: bool = False


class JobOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is wanted. ``payload`` is JSON, holds no secret (it is shown to admins), and is at most
    :data:`MAX_PAYLOAD_BYTES`. Of one ``key`` a team has one unfinished job of a kind. Without ``run_at`` it is due at once;
    without ``max_attempts`` its kind's :class:`Retry` holds."""

    kind: str
    team_id: str
    payload: Mapping[str, Any]
    run_at: datetime | None = None
    key: str | None = None
    priority: Priority = Priority.NORMAL
    max_attempts: int | None = None


class Enqueued(msgspec.Struct, frozen=True):
    """The job, and whether it was made now: with a key it may be one that was there."""

    id: str
    is_new: bool


class Jobs(Protocol):
    """The job table. All of it happens in the caller's transaction; where that rolls back, nothing was enqueued."""

    async def enqueue(
        self,
        tx: Tx,
        kind: str,
        payload: Mapping[str, Any],
        *,
        team_id: str,
        run_at: datetime | None = None,
        key: str | None = None,
        priority: Priority = Priority.NORMAL,
        max_attempts: int | None = None,
    ) -> Enqueued:
        """Order one. Raises ``ValueError`` for what breaks a bound or for a kind that is not in the table: defects."""
        ...

    async def enqueue_many(self, tx: Tx, orders: Sequence[JobOrder]) -> list[Enqueued]:
        """Order many at once, at most :data:`MAX_ORDERS`; those without a key cost little. Raises as :meth:`enqueue`."""
        ...

    async def wake(self) -> None:
        """Tell the workers to look now. Call it after the commit; without it they look within a second. Never raises."""
        ...

    async def tell_cancelled(self, job_id: str) -> None:
        """Tell the worker of a running job, after the commit; without it it hears at its next heartbeat. Never raises."""
        ...

    async def get(self, tx: Tx, team_id: str, job_id: str) -> Job | None:
        """One of the team's."""
        ...

    async def unfinished(self, tx: Tx, team_id: str, kind: str, *, key_prefix: str, limit: int) -> list[Job]:
        """The team's jobs of a kind that wait or run and whose key begins so, ordered by key. ``key_prefix`` is letters, digits,
        ``-`` and ``/``."""
        ...

    async def page(
        self, tx: Tx, team_id: str, *, state: JobState | None, kind: str | None, before: str | None, limit: int
    ) -> list[Job]:
        """The team's, the newest first, from the one after the id ``before``."""
        ...

    async def cancel(self, tx: Tx, team_id: str, job_id: str) -> Job | None:
        """A queued job ends here; of a running one it is asked, and its worker stops it at its next heartbeat. The job as it
        is then; ``None`` where it is finished or not the team's."""
        ...

    async def replay(self, tx: Tx, team_id: str, job_id: str) -> Job | None:
        """A dead or cancelled job is queued anew, with as many attempts as at first. ``None`` where it is neither, is not the
        team's, or where its key has an unfinished job by now."""
        ...


class LeaseLost(Exception):
    """The job is not ours any more: its lease ran out, or it was cancelled. Stop, and leave no trace."""


class GiveUp(Exception):
    """Raised by a handler: trying again would not help. The job becomes a dead letter at once."""


class NotYet(Exception):
    """Raised by a handler: what the job needs is not there yet. It is due again after ``rest_s``, and the attempt does not count;
    when to :class:`GiveUp` is the handler's to say."""

    def __init__(self, reason: str, *, rest_s: float) -> None:
        super().__init__(reason)
        self.rest_s = rest_s


class JobContext(Protocol):
    """What a handler is given beside its job."""

    async def heartbeat(self) -> None:
        """Lengthen the lease now, and see that it is still ours; before a step that cannot be undone. (The worker lengthens
        the leases of all it runs by itself.) Raises :class:`LeaseLost`, ``Unavailable``."""
        ...


class Handler(Protocol):
    """Does the work of a kind, outside of any transaction. What it raises is a failed attempt."""

    async def __call__(self, job: Job, context: JobContext) -> None: ...


class JobKind(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table of kinds. An attempt that takes longer than ``timeout_s`` has failed."""

    name: str
    handler: Handler
    retry: Retry = Retry()
    timeout_s: float = 3_600.0


class CronJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that comes again and again. ``schedule`` is five fields of cron; empty or ``off`` switches it off. A run that was
    missed while nobody was there is made up for, several as one, unless the last is ``catch_up_s`` ago; no run begins while
    the one before is unfinished."""

    name: str
    kind: str
    schedule: str
    payload: Mapping[str, Any] = {}
    catch_up_s: float = 7 * 86_400.0


class CronEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A cron job as it stands. ``next_at`` is ``None`` where it is off or nobody has planned it yet."""

    name: str
    kind: str
    schedule: str
    time_zone: str
    next_at: datetime | None
    last_at: datetime | None
    last_job_id: str | None


class Cron(Protocol):
    """The installation's cron jobs."""

    @property
    def team_id(self) -> str:
        """Whose jobs they make."""
        ...

    async def entries(self, tx: Tx) -> list[CronEntry]:
        """All of the table, by name."""
        ...

    async def run_now(self, tx: Tx, name: str) -> Enqueued | None:
        """Enqueue a run beside the schedule, or find the one that is unfinished; ``None`` for a name that is not there."""
        ...


class JobFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs of the installation stand, by kind, and what this process ended (by kind and outcome)."""

    waiting: Mapping[str, int] = {}
    running: Mapping[str, int] = {}
    oldest_waiting_s: float = 0.0
    ended: Mapping[tuple[str, str], int] = {}
