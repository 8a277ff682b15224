"""Who pays, and what is set aside: what the gateway asks for each call, and the upkeep behind it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from samovar.domains.billing.errors import ChargesRefused, PaymentRefused
from samovar.domains.billing.model.bounds import Bounds, UnknownPrice
from samovar.domains.billing.model.memo import memo_of
from samovar.domains.billing.model.prices import Charge
from samovar.domains.billing.service.money.direct import DirectJournal
from samovar.domains.billing.service.money.hold import Hold, Tally
from samovar.domains.billing.service.money.journal import Journal
from samovar.domains.billing.service.money.leasing import Leasing, Spender
from samovar.domains.billing.service.money.mover import Adopter, Mover, close_leases
from samovar.domains.billing.service.money.payers import Payers, WalletRef
from samovar.domains.billing.service.money.purse import Purse
from samovar.domains.billing.service.money.spool import REMEMBERED, Spool, Sync
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.events import Bus
from samovar.ports.llm import Usage

WALLETS_CHANGED: Final = "billing.wallets.changed"
"""Bus topic. The message is the id of a wallet that an admin made or changed, its credits and budgets included."""

_UPKEEP_EVERY_S: Final = 1.0
_SEEN_EVERY_S: Final = 10.0
_ADOPT_EVERY_S: Final = 60.0
_HOST_FILE: Final = "host"


class MoneySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``spool`` is the folder of all processes of the host, ``None`` without a disk; ``remembered_calls`` need not be read
    back from it. Amounts are nano-dollars, times seconds: ``lease_nano_usd`` is the smallest comfortable lease,
    ``ceiling_nano_usd`` what a call is held at whose cost has no other bound. A call waits ``wait_s`` for the database, and
    ``patience_s`` for money that other calls hold."""

    spool: Path | None
    sync: Sync = "interval"
    spool_max_bytes: int = 1024**3
    segment_bytes: int = 8 * 1024**2
    remembered_calls: int = REMEMBERED
    lease_nano_usd: int = 100_000_000
    ceiling_nano_usd: int = 1_000_000_000
    unknown_price: UnknownPrice = "refuse"
    idle_s: float = 60.0
    wait_s: float = 10.0
    patience_s: float = 3.0


class _Runs(Journal, Protocol):
    async def run(self) -> None: ...


class MoneyService:
    """One for each process. Make it before ``bus.start()``; :meth:`load` before the first call; :meth:`run` and
    :meth:`adopt_for_ever` beside the calls, until cancelled; :meth:`close` after the last call.

    Nothing is made on the disk or in the database before the first call that somebody pays for.
    """

    def __init__(
        self, *, database: Database, clock: Clock, ids: Ids, bus: Bus, settings: MoneySettings, prices: str = ""
    ) -> None:
        self._database = database
        self._clock = clock
        self._bus = bus
        self._ids = ids
        self._settings = settings
        self._prices = prices
        self.tally = Tally()
        self._log = structlog.get_logger("samovar.billing")
        self._payers = Payers(database=database, ceiling_nano_usd=settings.ceiling_nano_usd)
        # Both from memory, and themselves: each gateway call takes this path.
        self.payer = self._payers.of
        """The wallet that pays for a principal's calls; where it is ``None`` there is nothing to hold."""
        self.bound = Bounds(settings.unknown_price).of
        """The most that a call may cost, in nano-dollars. Of several targets take the dearest. Raises ``PriceUnknown``."""
        self._purses: dict[str, Purse] = {}
        self._journal: _Runs | None = None
        self._mover: Mover | None = None
        self._adopter: Adopter | None = None
        self._leasing: Leasing | None = None
        self._opening = asyncio.Lock()
        self._opened = asyncio.Event()
        self._seen_at = clock.monotonic()
        self._in_doubt = False
        self._tidying = asyncio.Lock()
        bus.subscribe(WALLETS_CHANGED, self._on_changed)
        bus.on_gap(self._hear_of_changes)

    # --- asked on each call

    async def hold(self, call_id: str, wallet: WalletRef, bound_nano_usd: int, *, principal_id: str) -> Hold:
        """Set money aside; without waiting where the wallet's lease has enough.

        Raises ``CreditSpent``, ``WalletGone``, ``TooManyWaiting``; ``Unavailable`` where the database must be asked and does
        not answer.
        """
        hold = self.take(call_id, wallet, bound_nano_usd, principal_id=principal_id)
        if hold is not None:
            return hold
        purse = self._purses.get(wallet.id) or await self._purse(wallet)
        bound_nano_usd = max(0, bound_nano_usd)
        try:
            lease = await purse.wait(bound_nano_usd)
        except PaymentRefused:
            self.tally.refused += 1
            raise
        return Hold(call_id, wallet, bound_nano_usd, principal_id, purse, lease, self._clock.now(), self.tally)

    def take(self, call_id: str, wallet: WalletRef, bound_nano_usd: int, *, principal_id: str) -> Hold | None:
        """As :meth:`hold` where the wallet's lease has enough, which needs no waiting and is what most calls meet; else
        ``None``."""
        purse = self._purses.get(wallet.id)
        if purse is None:
            return None
        if bound_nano_usd < 0:
            bound_nano_usd = 0
        now = self._clock.now()
        lease = purse.take(bound_nano_usd, now)
        if lease is None:
            return None
        return Hold(call_id, wallet, bound_nano_usd, principal_id, purse, lease, now, self.tally)

    def memo(self, charge: Charge, usage: Usage | None, *, model: str, provider: str) -> bytes:
        """What the ledger is to remember of a charge, as JSON."""
        return memo_of(charge, usage, model=model, provider=provider, prices=self._prices)

    # --- upkeep

    async def load(self) -> None:
        """Read who owns which wallet. Raises ``Unavailable``."""
        await self._payers.refresh()

    async def changed(self, wallet_id: str) -> None:
        """Tell all processes that a wallet changed."""
        await self._on_changed(wallet_id.encode())
        with suppress(Unavailable):
            # The others find it within ten seconds.
            await self._bus.publish(WALLETS_CHANGED, wallet_id.encode())

    async def flush(self) -> None:
        """Bring into the ledger what this process has noted until now; what the database is well and refuses, or the disk
        does not give, is reported, and waits. Raises ``Unavailable``."""
        try:
            if self._mover is not None:
                await self._mover.drain()
            elif isinstance(self._journal, DirectJournal):
                await self._journal.drain()
        except (ChargesRefused, OSError) as error:
            self._report(f"charges wait: {error}")

    @property
    def waiting_bytes(self) -> int:
        """What this process's spool takes on the disk."""
        return 0 if self._journal is None else self._journal.waiting_bytes

    async def run(self) -> None:
        """Keep the journal, the leases and what is remembered of wallets in order until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._refresh_payers())
            await self._opened.wait()
            assert self._journal is not None
            group.create_task(self._journal.run())
            if self._mover is not None:
                group.create_task(self._mover.run())
            group.create_task(self._tidy_for_ever())

    async def adopt_for_ever(self) -> None:
        """Settle what dead processes of this host left, now and each minute, until cancelled."""
        while True:
            try:
                await self.adopt()
            except (Unavailable, ChargesRefused, OSError) as error:
                self._report(f"what dead processes left waits: {error}")
            await asyncio.sleep(_ADOPT_EVERY_S)

    async def adopt(self) -> int:
        """Settle what dead processes of this host left; how many those were. Raises ``Unavailable``, ``ChargesRefused``,
        ``OSError``, after all that could be settled."""
        if self._settings.spool is None:
            return 0
        if self._adopter is None:
            root = self._settings.spool
            self._adopter = Adopter(
                database=self._database, root=root, clock=self._clock, ids=self._ids, tally=self.tally
            )
        return await self._adopter.adopt()

    async def tidy(self) -> None:
        """Give back what nobody uses. Raises ``Unavailable``."""
        # Two at once would take the same credits off a lease twice, and leave a call under way without its hold.
        async with self._tidying:
            await self._tidy()

    async def _tidy(self) -> None:
        assert self._journal is not None
        assert self._leasing is not None
        now, moved = self._clock.now(), self._journal.moved
        for purse in list(self._purses.values()):
            purse.ask_if()
            purse.retire_if(now=now, idle_s=self._settings.idle_s)
            await purse.give_back(moved=moved)
            if purse.is_empty:
                del self._purses[purse.wallet_id]
        if self._in_doubt:
            await self._end_doubt(self._leasing)
        if self._clock.monotonic() - self._seen_at >= _SEEN_EVERY_S:
            self._seen_at = self._clock.monotonic()
            await self._leasing.seen()

    async def close(self) -> None:
        """Write what is left and give everything back; with the database away it stays in the spool for the next process of
        this host. Calls that have not ended stay there too, and are charged at their holds."""
        for purse in self._purses.values():
            await purse.close()
            purse.retire()
        if self._journal is None or self._leasing is None:
            return
        under_way = any(lease.holds for purse in self._purses.values() for lease in purse.retiring)
        settled = False
        try:
            await self.flush()
            if not under_way and self._journal.moved >= self._journal.end:
                await close_leases(self._database, self._leasing.spender.id)
                settled = True
        except Unavailable as error:
            self._report(f"charges stay for the next start: {error.detail}")
        if isinstance(self._journal, Spool):
            self._mover = None
            await self._journal.close(delete=settled)
        elif isinstance(self._journal, DirectJournal):
            await self._journal.close()

    # --- inside

    async def _purse(self, wallet: WalletRef) -> Purse:
        leasing = self._leasing or await self._open()
        assert self._journal is not None
        made = Purse(
            team_id=wallet.team_id,
            wallet_id=wallet.id,
            leasing=leasing,
            journal=self._journal,
            clock=self._clock,
            size=self._settings.lease_nano_usd,
            wait_s=self._settings.wait_s,
            patience_s=self._settings.patience_s,
            on_unavailable=self._on_unavailable,
        )
        return self._purses.setdefault(wallet.id, made)

    def _on_unavailable(self, error: Unavailable) -> None:
        self._in_doubt = True
        self._report(f"a lease was not filled up: {error.detail}")

    async def _end_doubt(self, leasing: Leasing) -> None:
        """Close leases that the database gave and this process never heard of."""
        self._in_doubt = is_over = False
        try:
            is_over = await close_leases(self._database, leasing.spender.id, known=self._known_leases)
        finally:
            self._in_doubt = self._in_doubt or not is_over

    def _known_leases(self) -> set[str] | None:
        """``None`` while any purse is asking for one."""
        known: set[str] = set()
        for purse in self._purses.values():
            if (ids := purse.lease_ids) is None:
                return None
            known.update(ids)
        return known

    async def _open(self) -> Leasing:
        """The first call that somebody pays for: begin a journal."""
        async with self._opening:
            if self._leasing is not None:
                return self._leasing
            name = self._ids.new("proc")
            root = self._settings.spool
            if root is None:
                self._journal, host_id = (
                    DirectJournal(database=self._database, report=self._report, tally=self.tally),
                    name,
                )
            else:
                spool, host_id = await self._open_spool(root, name)
                self._journal = spool
                self._mover = Mover(database=self._database, spool=spool, report=self._report, tally=self.tally)
            self._leasing = Leasing(
                database=self._database,
                clock=self._clock,
                ids=self._ids,
                spender=Spender(id=name, host_id=host_id),
            )
            self._opened.set()
            return self._leasing

    async def _open_spool(self, root: Path, name: str) -> tuple[Spool, str]:
        try:
            host_id = await asyncio.to_thread(_host_id, root, self._ids.new("host"))
            settings = self._settings
            spool = Spool.made(
                root,
                name,
                sync=settings.sync,
                max_bytes=settings.spool_max_bytes,
                segment_bytes=settings.segment_bytes,
                remembered=settings.remembered_calls,
                report=self._report,
            )
        except OSError as error:
            raise Unavailable(
                f"Charges cannot be noted in {root}: {error.strerror}. Make the folder writable, or set"
                " SAMOVAR_SPOOL=database where the process has no disk of its own."
            ) from error
        return spool, host_id

    async def _on_changed(self, message: bytes) -> None:
        self._ask_again(message.decode(errors="replace"))
        await self._hear_of_changes()

    async def _hear_of_changes(self) -> None:
        for wallet_id in await self._payers.refresh():
            self._ask_again(wallet_id)

    def _ask_again(self, wallet_id: str) -> None:
        purse = self._purses.get(wallet_id)
        if purse is not None:
            purse.ask_again()

    async def _refresh_payers(self) -> None:
        await self._again_and_again(self._hear_of_changes, _SEEN_EVERY_S)

    async def _tidy_for_ever(self) -> None:
        await self._again_and_again(self.tidy, _UPKEEP_EVERY_S)

    async def _again_and_again(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await work()
            except Unavailable as error:
                self._report(f"upkeep waits: {error.detail}")

    def _report(self, what: str) -> None:
        self._log.warning("money", what=what)


def _host_id(root: Path, fresh: str) -> str:
    """What names this host: its spool's folder, which its processes share."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = root / _HOST_FILE
    try:
        with path.open("x", encoding="ascii") as file:
            file.write(fresh)
    except FileExistsError:
        return path.read_text("ascii").strip()[:64] or fresh
    return fresh
