"""Making, funding, showing and changing wallets, and reading what the ledger has of them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from samovar.domains.billing.errors import KeyReused, NotEnoughCredit, TransferTaken, WalletNotFound
from samovar.domains.billing.model.ledger import (
    Transfer,
    TransferKind,
    TransferRow,
    funding_account,
    microseconds_of,
    wallet_account,
)
from samovar.domains.billing.model.wallets import OwnerKind, Wallet, allowance
from samovar.domains.billing.service.conventions import (
    MOST_NANO_USD,
    check_amount,
    check_name,
    check_page,
    check_revision,
    invalid,
    transfer_id,
)
from samovar.domains.billing.store import ledger, wallets
from samovar.domains.identity.model import Permission, require
from samovar.kernel.money import credits_text
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx

_MAX_OWNER_CHARS: Final = 128


class WalletOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The wallet that is wanted. A team owns at most one itself: that is the one which pays where nobody else does."""

    name: str
    nano_usd: int = 0
    unlimited: bool = False
    owner_kind: OwnerKind | None = None
    owner_id: str | None = None
    call_ceiling_nano_usd: int | None = None


class WalletChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change. An owner is changed as a whole, ``None`` for nobody."""

    name: str | UnsetType = UNSET
    unlimited: bool | UnsetType = UNSET
    owner: tuple[OwnerKind, str] | UnsetType | None = UNSET
    call_ceiling_nano_usd: int | UnsetType | None = UNSET


class Wallets:
    """``changed`` is told the id of each wallet that changed; ``flush`` brings into the ledger what this process noted."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        changed: Callable[[str], Awaitable[None]],
        flush: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._changed = changed
        self._flush = flush

    async def exists(self, team_id: str, wallet_id: str) -> bool:
        """Whether a team has a wallet."""
        async with self._database.reading() as tx:
            return await wallets.wallet(tx, team_id, wallet_id) is not None

    async def of_key(self, team_id: str, key_id: str) -> str | None:
        """The id of the wallet that a gateway key owns."""
        async with self._database.reading() as tx:
            return await wallets.owned_by(tx, team_id, OwnerKind.KEY, key_id)

    async def create(self, principal: Principal, order: WalletOrder, *, idempotency_key: str | None = None) -> Wallet:
        """A new wallet with its first credits. Raises ``Forbidden``, ``Invalid``, ``OwnerTaken``, ``KeyReused``."""
        require(principal, Permission.WALLETS_WRITE)
        check_name(order.name)
        check_amount("credits", order.nano_usd)
        if order.call_ceiling_nano_usd is not None:
            check_amount("call_ceiling", order.call_ceiling_nano_usd, least=1)
        _check_owner(principal, order.owner_kind, order.owner_id)
        transfer = transfer_id(principal, "create", idempotency_key, self._ids.new("txn"))
        try:
            async with self._database.transaction() as tx:
                before = await self._created_before(tx, principal, transfer, order)
                if before is not None:
                    return before
                made = self._draft(principal, order)
                await wallets.add_wallet(tx, made)
                if order.nano_usd or idempotency_key is not None:
                    await ledger.add(tx, self._funding(principal, made.id, transfer, order.nano_usd))
        except TransferTaken:
            async with self._database.reading() as tx:
                before = await self._created_before(tx, principal, transfer, order)
            if before is None:
                raise
            return before
        await self._changed(made.id)
        return made

    async def page(self, principal: Principal, *, limit: int, cursor: str | None) -> tuple[list[Wallet], str | None]:
        """The team's, the newest first, and the cursor of the next page. Raises ``Forbidden``, ``Invalid``."""
        require(principal, Permission.WALLETS_READ)
        check_page(limit)
        await self._flush()
        async with self._database.reading() as tx:
            found = await wallets.list_wallets(tx, principal.team_id, before_id=cursor, limit=limit + 1)
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    async def get(self, principal: Principal, wallet_id: str) -> Wallet:
        """Raises ``Forbidden``, ``WalletNotFound``."""
        require(principal, Permission.WALLETS_READ)
        # What this process's calls cost until now is in it, then; what others' cost is a moment old.
        await self._flush()
        async with self._database.reading() as tx:
            return await mine(tx, principal, wallet_id)

    async def change(
        self, principal: Principal, wallet_id: str, change: WalletChange, *, expected: int | None = None
    ) -> Wallet:
        """Raises ``Forbidden``, ``Invalid``, ``WalletNotFound``, ``OwnerTaken``, ``StaleRevision``."""
        require(principal, Permission.WALLETS_WRITE)
        values: dict[str, Any] = {}
        if change.name is not UNSET:
            check_name(change.name)
            values["name"] = change.name.strip()
        if change.unlimited is not UNSET:
            values["unlimited"] = change.unlimited
        if change.call_ceiling_nano_usd is not UNSET:
            if change.call_ceiling_nano_usd is not None:
                check_amount("call_ceiling", change.call_ceiling_nano_usd, least=1)
            values["call_ceiling_nano_usd"] = change.call_ceiling_nano_usd
        if change.owner is not UNSET:
            kind, owner_id = (None, None) if change.owner is None else change.owner
            _check_owner(principal, kind, owner_id)
            values |= {"owner_kind": kind, "owner_id": owner_id}
        async with self._database.transaction() as tx:
            found = await mine(tx, principal, wallet_id, lock=True)
            check_revision(found.revision, expected)
            await wallets.change_wallet(
                tx,
                principal.team_id,
                wallet_id,
                values=values,
                revision=found.revision + 1,
                at=self._clock.now(),
            )
            changed = await mine(tx, principal, wallet_id)
        await self._changed(wallet_id)
        return changed

    async def add_credits(
        self, principal: Principal, wallet_id: str, nano_usd: int, *, idempotency_key: str | None = None
    ) -> Wallet:
        """Put credits into a wallet; below zero: take out what lies in it unleased. With an ``idempotency_key`` once, however
        often it is asked. Raises ``Forbidden``, ``Invalid``, ``WalletNotFound``, ``NotEnoughCredit``, ``KeyReused``."""
        require(principal, Permission.WALLETS_WRITE)
        if not nano_usd or abs(nano_usd) > MOST_NANO_USD:
            raise invalid("credits", "must not be 0, and at most a thousand million credits")
        transfer = transfer_id(principal, f"credits {wallet_id}", idempotency_key, self._ids.new("txn"))
        async with self._database.transaction() as tx:
            found = await mine(tx, principal, wallet_id, lock=True)
            before = await ledger.transfer(tx, principal.team_id, transfer)
            if before is not None:
                if (before.wallet_id, _signed(before)) != (wallet_id, nano_usd):
                    raise _reused()
                return found
            left = allowance(found, ())
            if left is not None and nano_usd < 0 and left + nano_usd < 0:
                raise NotEnoughCredit(
                    f"{credits_text(max(0, left))} credits of the wallet are neither spent nor leased: no more can be taken."
                )
            await ledger.add(tx, self._funding(principal, wallet_id, transfer, nano_usd))
            await wallets.add_sums(tx, [wallets.WalletSums(wallet_id, nano_usd, 0, 0)])
            await wallets.touch(tx, principal.team_id, wallet_id, at=self._clock.now())
            funded = await mine(tx, principal, wallet_id)
        await self._changed(wallet_id)
        return funded

    async def transfers(
        self, principal: Principal, wallet_id: str, *, limit: int, before: tuple[datetime, str] | None
    ) -> list[Transfer]:
        """What moved in and out of a wallet, the newest first, one more than ``limit`` where there are more. Raises
        ``Forbidden``, ``Invalid``, ``WalletNotFound``."""
        require(principal, Permission.WALLETS_READ)
        check_page(limit)
        await self._flush()
        async with self._database.reading() as tx:
            await mine(tx, principal, wallet_id)
            return await ledger.list_transfers(tx, principal.team_id, wallet_id, before=before, limit=limit + 1)

    def _draft(self, principal: Principal, order: WalletOrder) -> Wallet:
        return Wallet(
            id=self._ids.new("wal"),
            team_id=principal.team_id,
            name=order.name.strip(),
            owner_kind=order.owner_kind,
            owner_id=order.owner_id,
            unlimited=order.unlimited,
            call_ceiling_nano_usd=order.call_ceiling_nano_usd,
            balance_nano_usd=order.nano_usd,
            leased_nano_usd=0,
            spent_nano_usd=0,
            revision=1,
            created_at=self._clock.now(),
        )

    async def _created_before(self, tx: Tx, principal: Principal, transfer: str, order: WalletOrder) -> Wallet | None:
        before = await ledger.transfer(tx, principal.team_id, transfer)
        if before is None:
            return None
        found = await mine(tx, principal, before.wallet_id)
        if (found.name, _signed(before)) != (order.name.strip(), order.nano_usd):
            raise _reused()
        return found

    def _funding(self, principal: Principal, wallet_id: str, transfer: str, nano_usd: int) -> TransferRow:
        ends = funding_account(principal.team_id), wallet_account(wallet_id)
        debit, credit = ends if nano_usd >= 0 else ends[::-1]
        return TransferRow(
            transfer,
            microseconds_of(self._clock.now()),
            principal.team_id,
            wallet_id,
            debit,
            credit,
            abs(nano_usd),
            TransferKind.FUNDING,
            principal.id,
            None,
            None,
            False,
            None,
            None,
        )


async def mine(tx: Tx, principal: Principal, wallet_id: str, *, lock: bool = False) -> Wallet:
    """A wallet of the principal's team. Raises ``WalletNotFound``."""
    found = await wallets.wallet(tx, principal.team_id, wallet_id, lock=lock)
    if found is None:
        raise WalletNotFound("Your team has no wallet with this id. GET /api/wallets lists those it has.")
    return found


def _check_owner(principal: Principal, kind: OwnerKind | None, owner_id: str | None) -> None:
    if (kind is None) != (owner_id is None):
        raise invalid("owner_id", "and owner_kind are given together or not at all")
    if kind is OwnerKind.TEAM and owner_id != principal.team_id:
        raise invalid("owner_id", f"of your team is {principal.team_id!r}")
    if owner_id is not None and not (1 <= len(owner_id) <= _MAX_OWNER_CHARS and owner_id.isprintable()):
        raise invalid("owner_id", f"must have from 1 to {_MAX_OWNER_CHARS} characters")


def _signed(transfer: Transfer) -> int:
    into = transfer.credit == wallet_account(transfer.wallet_id)
    return transfer.amount_nano_usd if into else -transfer.amount_nano_usd


def _reused() -> KeyReused:
    return KeyReused("This Idempotency-Key stood for another request. Send a new one with a new request.")
