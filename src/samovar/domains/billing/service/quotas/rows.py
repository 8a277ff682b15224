"""The rows an admin edits, and what a process remembers of all teams' rows."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from samovar.domains.billing.errors import BadQuota, QuotaExists, QuotaNotFound
from samovar.domains.billing.model.quotas import EVERY, MAX_CONCURRENCY, Quota, Rows, Subject, check_limits
from samovar.domains.billing.store import quotas as store
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Flaw, StaleRevision
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database

MAX_TEXT_CHARS: Final = 400
MAX_SUBJECT_CHARS: Final = 320
TARGETS: Final = frozenset({Subject.PROVIDER, Subject.MODEL})
_NOTHING: Final[Rows] = MappingProxyType({})


class QuotaPage(NamedTuple):
    """Some of a team's rows; ``next_cursor`` leads on."""

    items: tuple[Quota, ...]
    next_cursor: str | None


class Remembered:
    """All teams' rows, as they were when last read. ``version`` grows when they change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._teams: Mapping[str, Rows] = {}
        self._with_targets: frozenset[str] = frozenset()
        self._seen: object = None
        self._reading = asyncio.Lock()
        self.version = 0

    def of(self, team_id: str) -> Rows:
        """The team's rows by subject and id."""
        return self._teams.get(team_id, _NOTHING)

    def limits_targets(self, team_id: str) -> bool:
        """Whether any provider or model is limited for the team."""
        return team_id in self._with_targets

    async def refresh(self) -> None:
        """Read again, if anything changed. Raises ``Unavailable``, and then what was known stays."""
        async with self._reading, self._database.reading() as tx:
            seen = await store.fingerprint(tx)
            if seen == self._seen:
                return
            teams: dict[str, dict[tuple[Subject, str], Quota]] = {}
            for row in await store.everything(tx):
                teams.setdefault(row.team_id, {})[row.subject, row.subject_id] = row
            self._teams, self._seen = teams, seen
            self._with_targets = frozenset(
                team for team, rows in teams.items() if any(subject in TARGETS for subject, _ in rows)
            )
            self.version += 1


class QuotaRows:
    """The use cases. ``changed`` is awaited after each change is committed."""

    def __init__(self, *, database: Database, clock: Clock, ids: Ids, changed: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._changed = changed

    async def page(self, principal: Principal, *, limit: int, cursor: str | None) -> QuotaPage:
        """The team's rows, the oldest first. Raises ``Forbidden``."""
        require(principal, Permission.QUOTAS_READ)
        async with self._database.reading() as tx:
            found = await store.page(tx, principal.team_id, after_id=cursor, limit=limit + 1)
        more = len(found) > limit
        return QuotaPage(tuple(found[:limit]), found[limit - 1].id if more else None)

    async def get(self, principal: Principal, quota_id: str) -> Quota:
        """Raises ``Forbidden``, ``QuotaNotFound``."""
        require(principal, Permission.QUOTAS_READ)
        async with self._database.reading() as tx:
            return _there(await store.one(tx, principal.team_id, quota_id), quota_id)

    async def add(
        self,
        principal: Principal,
        *,
        subject: Subject,
        subject_id: str,
        limits: str = "",
        tokens: str = "",
        concurrency: int | None = None,
    ) -> Quota:
        """Raises ``Forbidden``, ``BadQuota``, ``QuotaExists``."""
        require(principal, Permission.QUOTAS_WRITE)
        if not 1 <= len(subject_id) <= MAX_SUBJECT_CHARS:
            raise _bad("subject_id", f"must be 1 to {MAX_SUBJECT_CHARS} characters: an id, or {EVERY!r} for every one")
        if subject is Subject.TEAM and subject_id not in (EVERY, principal.team_id):
            raise _bad("subject_id", f"a team limits itself alone: {principal.team_id!r}")
        _check(limits, tokens, concurrency)
        made = Quota(
            id=self._ids.new("quota"),
            team_id=principal.team_id,
            subject=subject,
            subject_id=subject_id,
            limits=limits.strip(),
            tokens=tokens.strip(),
            concurrency=concurrency,
            revision=1,
            updated_at=self._clock.now(),
        )
        async with self._database.transaction() as tx:
            if await store.count(tx, principal.team_id) >= store.MAX_QUOTAS:
                raise QuotaExists(f"A team has at most {store.MAX_QUOTAS} quotas: delete one first.")
            if not await store.add(tx, made):
                raise QuotaExists(f"The {subject.value} {subject_id!r} has a quota: change that one.")
        await self._changed()
        return made

    async def change(
        self,
        principal: Principal,
        quota_id: str,
        *,
        limits: str,
        tokens: str,
        concurrency: int | None,
        expected: int | None = None,
    ) -> Quota:
        """Set all that a quota says; ``expected`` is the revision that the caller saw. Raises ``Forbidden``,
        ``QuotaNotFound``, ``BadQuota``, ``StaleRevision``."""
        require(principal, Permission.QUOTAS_WRITE)
        _check(limits, tokens, concurrency)
        async with self._database.transaction() as tx:
            old = _there(await store.one(tx, principal.team_id, quota_id), quota_id)
            made = Quota(
                id=old.id,
                team_id=old.team_id,
                subject=old.subject,
                subject_id=old.subject_id,
                limits=limits.strip(),
                tokens=tokens.strip(),
                concurrency=concurrency,
                revision=old.revision + 1,
                updated_at=self._clock.now(),
            )
            if (expected is not None and expected != old.revision) or not await store.change(tx, made):
                raise StaleRevision()
        await self._changed()
        return made

    async def remove(self, principal: Principal, quota_id: str) -> None:
        """Raises ``Forbidden``, ``QuotaNotFound``."""
        require(principal, Permission.QUOTAS_WRITE)
        async with self._database.transaction() as tx:
            if not await store.drop(tx, principal.team_id, quota_id):
                raise _missing(quota_id)
        await self._changed()


def _check(limits: str, tokens: str, concurrency: int | None) -> None:
    for where, text in (("limits", limits), ("tokens", tokens)):
        if len(text) > MAX_TEXT_CHARS:
            raise _bad(where, f"must be at most {MAX_TEXT_CHARS} characters")
        try:
            check_limits(text.strip())
        except ValueError as error:
            raise _bad(where, str(error)) from error
    if concurrency is not None and not 0 <= concurrency <= MAX_CONCURRENCY:
        raise _bad("concurrency", f"must be from 0 (no limit) to {MAX_CONCURRENCY}")
    if not limits.strip() and not tokens.strip() and concurrency is None:
        raise _bad("limits", "say at least one of limits, tokens and concurrency")


def _bad(where: str, what: str) -> BadQuota:
    return BadQuota(f"{where}: {what}", flaws=[Flaw(where, what)])


def _there(found: Quota | None, quota_id: str) -> Quota:
    if found is None:
        raise _missing(quota_id)
    return found


def _missing(quota_id: str) -> QuotaNotFound:
    return QuotaNotFound(f"There is no quota {quota_id[:100]!r}; GET /api/quotas lists them.")
