"""Changes that wait: their caller asked for it, and the file's storage element was away.

Each is a job of its own. Of one file's only the first that is unfinished is made: its key says which that is. What changed
the file past this line meanwhile wins: a change made later is never written over by one that was asked for before it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, assert_never

import msgspec

from samovar.domains.audit.model import Result
from samovar.domains.audit.service import AuditService
from samovar.domains.files.errors import ChangeUnknown, ElementLost, FileUnknown, NoElement
from samovar.domains.files.model.later import (
    MOST_WAITING,
    STATE_OF,
    Doing,
    WaitingChange,
    key_after,
    prefix_of,
    reason_of,
    rest_s,
)
from samovar.domains.files.model.records import StoredFile, may_see
from samovar.domains.files.service.care.retention import FileRetention
from samovar.domains.files.service.changes import Amendment, FileChanges, is_claimed, said_otherwise
from samovar.domains.files.service.registry import Registry
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import SamovarError, StaleRevision, Unavailable
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports import element_rules
from samovar.ports.clock import Clock
from samovar.ports.database import Database, Tx
from samovar.ports.elements import Attributes, FileNotThere, RetentionKind
from samovar.ports.jobs import GiveUp, Job, JobContext, Jobs, JobState, NotYet

LATER_JOB: Final = "files-later"

_TRIES: Final = 5
_AWAY: Final = (503, 507)
_FOLLOWS_S: Final = 1.0
_LONGEST_ID: Final = "x" * 36
_NEEDS: Final = {
    Doing.AMEND: Permission.FILES_WRITE,
    Doing.DELETE: Permission.FILES_DELETE,
    Doing.FINALIZE: Permission.FILES_WRITE,
}
_KEPT: Final = frozenset(
    {Permission.FILES_WRITE, Permission.FILES_DELETE, Permission.ELEMENTS_READ, Permission.ELEMENTS_ADMIN}
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted, over the revision ``expected`` (``None``: over the one that is known when it is taken)."""

    doing: Doing
    amendment: Amendment | None = None
    expected: int | None = None


class _Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked, and what of their rights a change may need."""

    id: str
    kind: PrincipalKind
    name: str
    user_id: str | None
    permissions: tuple[str, ...]


class _Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A job's payload. ``base`` is the revision that was known; ``ahead`` are the jobs in whose wake it is made."""

    file_id: str
    owner: str
    change: Change
    caller: _Caller
    base: int
    ahead: tuple[str, ...]
    taken_at: datetime
    until: datetime


class WaitingChanges:
    """``keep_days`` is how long a change waits at most."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        changes: FileChanges,
        retention: FileRetention,
        jobs: Jobs,
        audit: Callable[[], AuditService],
        clock: Clock,
        keep_days: int,
    ) -> None:
        self._database = database
        self._registry = registry
        self._changes = changes
        self._retention = retention
        self._jobs = jobs
        self._audit = audit
        self._clock = clock
        self._keep = timedelta(days=keep_days)

    # --- taking

    async def take(self, principal: Principal, file_id: str, change: Change, refusal: SamovarError) -> WaitingChange:
        """Write it down with its audit record; the same again, while nothing came behind it, is the same one. Raises ``refusal``,
        with which it failed just now, where waiting would not help or too many wait; ``Forbidden``, ``FileUnknown``,
        ``BadFile``, ``AttributesTooLarge``, ``StaleRevision``, ``Unavailable``."""
        if isinstance(refusal, ElementLost):
            raise refusal
        require(principal, _NEEDS[change.doing])
        file = await self._changes.owned(principal, file_id)
        if isinstance(refusal, NoElement) and await self._answers(file):
            raise refusal
        _check(file.attributes, change)
        async with self._database.transaction() as tx:
            job = await self._enqueued(tx, principal, file, change)
            if job is None:
                raise refusal
        await self._jobs.wake()
        return _told(job)

    async def of_file(self, principal: Principal, file_id: str, change_id: str) -> WaitingChange:
        """How one stands. Raises ``Forbidden``, :class:`ChangeUnknown`."""
        require(principal, Permission.FILES_READ)
        async with self._database.reading() as tx:
            job = await self._jobs.get(tx, principal.team_id, change_id)
        if job is not None and job.kind == LATER_JOB:
            taken = _taken(job)
            if taken.file_id == file_id and may_see(principal, taken.owner):
                return _told(job)
        raise ChangeUnknown(f"No change {change_id[:64]} of this file waits or waited.")

    async def _answers(self, file: StoredFile) -> bool:
        return await self._registry.condition(file.attributes.storage_element_id) is not None

    async def _enqueued(self, tx: Tx, principal: Principal, file: StoredFile, change: Change) -> Job | None:
        """``None`` where too many wait. Raises ``Unavailable`` where others are always faster."""
        team_id, file_id = principal.team_id, file.attributes.file_id
        for _ in range(_TRIES):
            live = await self._live(tx, team_id, file_id)
            taken = self._wanted(principal, file, change, live)
            if live and (_taken(live[-1]).change, _taken(live[-1]).caller) == (taken.change, taken.caller):
                return live[-1]
            if len(live) >= MOST_WAITING:
                return None
            ordered = await self._jobs.enqueue(
                tx,
                LATER_JOB,
                msgspec.to_builtins(taken),
                team_id=team_id,
                run_at=taken.taken_at + timedelta(seconds=rest_s(0)),
                key=key_after(live, file_id),
            )
            job = await self._jobs.get(tx, team_id, ordered.id)
            if ordered.is_new and job is not None:
                await self._note(tx, job, "file:queue", Result.SUCCESS, until=taken.until.isoformat())
                return job
        raise Unavailable("Others changed the file at the same time. Try again.", headers={"Retry-After": "1"})

    def _wanted(self, principal: Principal, file: StoredFile, change: Change, live: list[Job]) -> _Taken:
        now = self._clock.now()
        return _Taken(
            file_id=file.attributes.file_id,
            owner=file.attributes.owner,
            change=change,
            caller=_Caller(
                id=principal.id,
                kind=principal.kind,
                name=principal.name,
                user_id=principal.user_id,
                permissions=tuple(sorted(_KEPT & principal.permissions)),
            ),
            base=file.attributes.revision,
            ahead=tuple(job.id for job in live),
            taken_at=now,
            until=now + self._keep,
        )

    async def _live(self, tx: Tx, team_id: str, file_id: str) -> list[Job]:
        return await self._jobs.unfinished(
            tx, team_id, LATER_JOB, key_prefix=prefix_of(file_id), limit=MOST_WAITING + 1
        )

    # --- making

    async def make(self, job: Job, context: JobContext) -> None:
        """The job's handler. Raises ``NotYet`` while the element is away or another change comes first, ``GiveUp`` where it is
        refused or its time is over; both are for the caller to read."""
        taken = _taken(job)
        if self._clock.now() >= taken.until:
            await self._give_up(job, context, "expired: the storage element did not come back in time")
        highest = await self._highest(job, taken)
        await context.heartbeat()
        try:
            await self._make(_principal(job.team_id, taken.caller), job.id, taken, highest)
        except SamovarError as error:
            if error.http_status not in _AWAY or isinstance(error, ElementLost):
                await self._give_up(job, context, f"{error.code}: {error.detail}")
            raise NotYet(error.detail, rest_s=self._rest_s(taken)) from error
        await context.heartbeat()
        async with self._database.transaction() as tx:
            await self._note(tx, job, "file:queue-end", Result.SUCCESS, outcome="done")

    async def _highest(self, job: Job, taken: _Taken) -> int:
        """The highest revision that nobody but this line has made. Raises ``NotYet`` where it is not this one's turn."""
        async with self._database.reading() as tx:
            first = (await self._live(tx, job.team_id, taken.file_id))[:1]
            if first and (first[0].key or "") < (job.key or ""):
                due = (first[0].run_at - self._clock.now()).total_seconds()
                raise NotYet("Another change of this file comes first.", rest_s=max(0.0, due) + _FOLLOWS_S)
            ahead = [await self._jobs.get(tx, job.team_id, one) for one in taken.ahead]
        # One that is not there any more ended long ago, and is no reason to refuse.
        made = sum(one is None or one.state is JobState.DONE for one in ahead)
        return taken.base + made if taken.change.expected is None else taken.change.expected

    async def _make(self, principal: Principal, change_id: str, taken: _Taken, highest: int) -> None:
        doing = taken.change.doing
        if doing is Doing.AMEND:
            await self._amend(principal, change_id, taken, highest)
        elif doing is Doing.DELETE:
            await self._delete(principal, taken, highest)
        elif doing is Doing.FINALIZE:
            await self._finalize(principal, taken, highest)
        else:
            assert_never(doing)

    async def _amend(self, principal: Principal, change_id: str, taken: _Taken, highest: int) -> None:
        stands = await self._stands(principal, taken)
        if stands.change == change_id:
            # Made by an attempt that did not live to say so, whatever others changed since.
            return
        _check_revision(stands, taken, highest)
        amendment = taken.change.amendment or Amendment()
        await self._changes.amend(principal, taken.file_id, amendment, expected=stands.revision, change=change_id)

    async def _delete(self, principal: Principal, taken: _Taken, highest: int) -> None:
        try:
            stands = await self._stands(principal, taken)
        except FileUnknown:
            return
        except FileNotThere:
            # It was begun: what is left of it goes too.
            await self._changes.delete(principal, taken.file_id)
            return
        if not is_claimed(stands):
            _check_revision(stands, taken, highest)
        await self._changes.delete(principal, taken.file_id, expected=stands.revision)

    async def _finalize(self, principal: Principal, taken: _Taken, highest: int) -> None:
        stands = await self._stands(principal, taken)
        if stands.retention.kind is RetentionKind.PERMANENT:
            # It was made permanent, and may have died before its move was ordered.
            await self._retention.finalize(principal, taken.file_id)
            return
        _check_revision(stands, taken, highest)
        await self._retention.finalize(principal, taken.file_id, expected=stands.revision)

    async def _stands(self, principal: Principal, taken: _Taken) -> Attributes:
        """What stands beside the file, for whoever may change it still."""
        file = await self._changes.owned(principal, taken.file_id)
        element = self._registry.serving(file.attributes.storage_element_id)
        return await element.attributes(file.attributes.path)

    def _rest_s(self, taken: _Taken) -> float:
        """Not beyond its end: then it is told at once that it is over."""
        now = self._clock.now()
        left_s = (taken.until - now).total_seconds()
        return max(0.0, min(left_s, rest_s((now - taken.taken_at).total_seconds())))

    async def _give_up(self, job: Job, context: JobContext, reason: str) -> None:
        await context.heartbeat()
        async with self._database.transaction() as tx:
            await self._note(tx, job, "file:queue-end", Result.FAILURE, outcome="refused", reason=reason)
        raise GiveUp(reason)

    async def _note(self, tx: Tx, job: Job, action: str, result: Result, **facts: object) -> None:
        taken, audit = _taken(job), self._audit()
        entry = audit.entry(
            service="files",
            action=action,
            user_id=taken.caller.id,
            resource=f"file:{taken.file_id}",
            result=result,
            metadata={"by": taken.caller.kind.value, "change": taken.change.doing.value, "job": job.id, **facts},
            team_id=job.team_id,
        )
        await audit.record_in(tx, entry)


def _check(known: Attributes, change: Change) -> None:
    """What can be told without the element is told at once."""
    if change.expected is not None and known.revision > change.expected:
        raise StaleRevision(current=known.revision)
    if change.amendment is not None:
        wanted = said_otherwise(known, change.amendment)
        element_rules.encoded(msgspec.structs.replace(wanted, change=_LONGEST_ID))


def _check_revision(stands: Attributes, taken: _Taken, highest: int) -> None:
    expected = taken.change.expected
    if stands.revision > highest or (expected is not None and stands.revision != expected):
        raise StaleRevision(current=stands.revision)


def _principal(team_id: str, caller: _Caller) -> Principal:
    return Principal(
        id=caller.id,
        kind=caller.kind,
        team_id=team_id,
        name=caller.name,
        permissions=frozenset(caller.permissions),
        user_id=caller.user_id,
    )


def _taken(job: Job) -> _Taken:
    return msgspec.convert(job.payload, _Taken)


def _told(job: Job) -> WaitingChange:
    taken = _taken(job)
    return WaitingChange(
        id=job.id,
        file_id=taken.file_id,
        change=taken.change.doing,
        state=STATE_OF[job.state],
        reason=reason_of(job),
        taken_at=taken.taken_at,
        until=taken.until,
        ended_at=job.finished_at,
    )
