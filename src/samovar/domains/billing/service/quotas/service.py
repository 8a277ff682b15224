"""The face of quotas: what a call asks on its way, and the upkeep beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog

from samovar.domains.billing.model.quotas import Allowance, Rows, Subject, allowance, in_order
from samovar.domains.billing.service.quotas.addresses import ADDRESSES_CHANGED, AddressBounds, Addresses
from samovar.domains.billing.service.quotas.book import Book
from samovar.domains.billing.service.quotas.grant import Account, Grant, enter_all, limit_lines, take_all
from samovar.domains.billing.service.quotas.line import AwayRules, Line
from samovar.domains.billing.service.quotas.load import Caller, Load, LoadBounds
from samovar.domains.billing.service.quotas.rows import TARGETS, QuotaRows, Remembered
from samovar.kernel.errors import TooManyRequests, Unavailable
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.kernel.tasks import background
from samovar.ports.asgi import pairs_of
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.events import Bus
from samovar.ports.limits import SharedLimits
from samovar.ports.outages import Outage

QUOTAS_CHANGED: Final = "billing.quotas.changed"
"""Bus topic. The message is empty: rows of some team changed."""

READ_EVERY_S: Final = 10.0
"""How old a row may be where no bus message came through."""
_UPKEEP_S: Final = 1.0
_MOST_ACCOUNTS: Final = 50_000

_SUBJECT_OF: Final[Mapping[PrincipalKind, Subject]] = {
    PrincipalKind.KEY: Subject.KEY,
    PrincipalKind.PERSON: Subject.PERSON,
    PrincipalKind.SERVICE: Subject.SERVICE,
}


class QuotaDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on requests of those for whom no row says any."""

    key: str = ""
    person: str = ""
    service: str = ""
    link: str = ""
    """Of whoever comes with one link to a file; no row says else."""

    def of(self, subject: Subject) -> str:
        """For one kind of subject."""
        return getattr(self, subject.value, "")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """For the metrics. ``modes`` is each kind of limit's way of being kept: ``exact`` (one process), ``leased`` or, while
    Redis is away, the setting's word."""

    modes: Mapping[str, str]
    refused: int
    shed: int
    in_flight: int
    lag_s: float
    blocked: int
    processes: int


class QuotaService:
    """One for a process. ``shared`` is what processes keep limits with, ``None`` for one that is alone.

    Make it before ``bus.start()``, call :meth:`load` before the first request, and serve inside ``async with running()``.
    ``rows`` holds the use cases of an admin, ``addresses`` those about addresses.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        bus: Bus,
        shared: SharedLimits | None,
        defaults: QuotaDefaults,
        away: AwayRules | None = None,
        bounds: LoadBounds | None = None,
        addresses: AddressBounds | None = None,
        processes: int = 1,
    ) -> None:
        self._log = structlog.get_logger("samovar.quotas")
        self._clock = clock
        self._monotonic = clock.monotonic
        self._bus = bus
        self._defaults = defaults
        self._link = Allowance(in_order(defaults.link))
        self._away = away or AwayRules()
        owner = ids.new("process")
        self._line = None if shared is None else Line(limits=shared, clock=clock, owner=owner, processes=processes)
        self._book = Book(clock=clock, line=self._line, away=self._away)
        self._remembered = Remembered(database)
        self._load = Load(bounds=bounds or LoadBounds(), clock=clock)
        self._accounts: dict[tuple[str, str, str | None, str | None], Account] = {}
        self._targets: dict[tuple[str, str, str], Account] = {}
        self._known = (-1, -1)
        self._refused = 0
        self.rows = QuotaRows(database=database, clock=clock, ids=ids, changed=self._tell)
        self.addresses = Addresses(book=self._book, bounds=addresses or AddressBounds(), clock=clock, bus=bus)
        bus.subscribe(QUOTAS_CHANGED, self._on_changed)
        bus.subscribe(ADDRESSES_CHANGED, self.addresses.on_changed)
        bus.on_gap(self._remembered.refresh)

    # --- on the path of a call

    async def admit_request(self, principal: Principal) -> list[tuple[bytes, bytes]]:
        """A request that is no call: it counts as one, but not among calls at once. The answer is what to tell in headers.
        Raises ``RateLimited``, ``QuotaUnavailable``."""
        return await self._admitted(self._account_of(principal))

    async def admit_link(self, link_id: str) -> list[tuple[bytes, bytes]]:
        """A request with a link to a file in place of a caller, as :meth:`admit_request`."""
        meters = self._book.requests(f"link|{link_id}", "the limit of the link", self._link)
        return await self._admitted(Account(("", link_id), tuple(meters)))

    async def _admitted(self, account: Account) -> list[tuple[bytes, bytes]]:
        if account.requests:
            try:
                await take_all(account.requests, 1, self._clock)
            except TooManyRequests:
                self._refused += 1
                raise
        return pairs_of(limit_lines(account, self._clock.monotonic()))

    async def admit(self, principal: Principal) -> Grant:
        """Let a call of this caller in; release what you get, in every case. Waits only where a block of a shared limit is
        not here yet. Raises ``RateLimited``, ``Overloaded``, ``QuotaUnavailable``."""
        account = self._account_of(principal)
        load = self._load
        load.enter(account.caller)
        try:
            now = self._monotonic()
            for gate in account.gates:
                if not gate.try_enter(now):
                    await enter_all(account.gates, now, start=account.gates.index(gate))
                    break
            for meter in account.requests:
                if not meter.try_take(1, now):
                    await self._take_rest(account, account.requests.index(meter))
                    break
        except BaseException as error:
            load.leave(account.caller)
            self._refused += isinstance(error, TooManyRequests)
            raise
        return Grant(account, load, self._clock)

    async def _take_rest(self, account: Account, start: int) -> None:
        try:
            await take_all(account.requests, 1, self._clock, start=start)
        except BaseException:
            for gate in account.gates:
                gate.leave()
            raise

    def figures(self) -> Figures:
        """How it stands."""
        line = self._line
        kinds = {"requests": self._away.requests, "tokens": self._away.tokens, "concurrency": self._away.concurrency}
        alone = line is not None and line.is_away
        usual = "exact" if line is None else "leased"
        return Figures(
            modes={kind: word.value if alone else usual for kind, word in kinds.items()},
            refused=self._refused,
            shed=self._load.shed,
            in_flight=self._load.in_flight,
            lag_s=self._load.lag_s,
            blocked=len(self.addresses),
            processes=1 if line is None else line.processes,
        )

    # --- upkeep

    async def load(self) -> None:
        """Read the rows, and look who else is there. Raises ``Unavailable`` where the database is away."""
        await self._remembered.refresh()
        if self._line is not None:
            await self._line.look()

    async def watch(self, *, every_s: float = READ_EVERY_S) -> None:
        """Read rows that changed, for ever: one small query each ``every_s``."""
        outage = Outage("quotas not re-read; those known hold on", logger="samovar.quotas")
        while True:
            await asyncio.sleep(every_s)
            try:
                await self._remembered.refresh()
                outage.over()
            except Unavailable as error:
                outage.tell(error)

    async def upkeep(self) -> None:
        """One round of what is done each second: ask whether Redis answers, and hold the places in use anew."""
        if self._line is not None and await self._line.look():
            await self._book.renew()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is open, limits are kept together with the other processes and the load is felt."""
        try:
            async with background(self._load.watch(), self._keep_up()):
                yield
        finally:
            self._book.close()
            if self._line is not None:
                await self._line.leave()

    async def _keep_up(self) -> None:
        outage = Outage("quota upkeep failed", logger="samovar.quotas")
        while True:
            await asyncio.sleep(_UPKEEP_S)
            try:
                await self.upkeep()
                outage.over()
            except Exception as error:  # noqa: BLE001 - the edge of a loop that must go on
                outage.tell(error)

    async def _tell(self) -> None:
        await self._remembered.refresh()
        try:
            await self._bus.publish(QUOTAS_CHANGED, b"")
        except Unavailable as error:
            # The change is committed; the others find it when they next look.
            self._log.warning("quota change not announced", reason=error.detail)

    async def _on_changed(self, message: bytes) -> None:
        await self._remembered.refresh()

    # --- accounts: what holds for whom, until rows change

    def _forget_accounts(self) -> None:
        self._accounts.clear()
        self._targets.clear()
        self._known = (self._book.version, self._remembered.version)

    def _account_of(self, principal: Principal) -> Account:
        if self._known != (self._book.version, self._remembered.version):
            self._forget_accounts()
        account = self._accounts.get((principal.team_id, principal.id, principal.project_id, principal.user_id))
        return self._open_account(principal) if account is None else account

    def _open_account(self, principal: Principal) -> Account:
        team_id = principal.team_id
        subjects = [(Subject.TEAM, team_id)]
        own = _SUBJECT_OF.get(principal.kind)
        if own is not None:
            subjects.append((own, principal.id))
        if principal.project_id is not None:
            subjects.append((Subject.PROJECT, principal.project_id))
        if principal.user_id is not None and own is not Subject.PERSON:
            subjects.append((Subject.PERSON, principal.user_id))
        target_of = self._target_account if self._remembered.limits_targets(team_id) else None
        account = self._account((team_id, principal.id), subjects, target_of)
        if len(self._accounts) >= _MOST_ACCOUNTS:
            self._accounts.clear()
        self._accounts[team_id, principal.id, principal.project_id, principal.user_id] = account
        return account

    def _target_account(self, caller: Caller, provider: str, model: str) -> Account:
        account = self._targets.get((caller[0], provider, model))
        if account is None:
            account = self._account(caller, [(Subject.PROVIDER, provider), (Subject.MODEL, model)])
            if len(self._targets) >= _MOST_ACCOUNTS:
                self._targets.clear()
            self._targets[caller[0], provider, model] = account
        return account

    def _account(
        self,
        caller: Caller,
        subjects: list[tuple[Subject, str]],
        target_of: Callable[[Caller, str, str], Account] | None = None,
    ) -> Account:
        team_id = caller[0]
        rows: Rows = self._remembered.of(team_id)
        requests, tokens, gates = [], [], []
        for subject, subject_id in subjects:
            # Of its owners only what an admin said: the installation's default is for who signs in.
            default = self._defaults.of(subject) if subject_id == caller[1] else ""
            allowed = allowance(rows, subject, subject_id, default=default)
            name, title = f"{team_id}|{subject.value}|{subject_id}", f"the limit of the {subject.value}"
            if subject in TARGETS:
                title = f"{title} {subject_id}"
            requests += self._book.requests(name, title, allowed)
            tokens += self._book.tokens(name, title, allowed)
            gates += self._book.gates(name, title, allowed)
        # As in an allowance: where the shortest refuses, nothing was taken from the longer ones.
        requests.sort(key=lambda meter: meter.limit.window_s)
        return Account(caller, tuple(requests), tuple(tokens), tuple(gates), target_of)
