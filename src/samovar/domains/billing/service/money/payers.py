"""Who owns which wallet, in memory."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from samovar.domains.billing.model.wallets import OwnerKind, Wallet
from samovar.domains.billing.store import wallets
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database

_PAGE: Final = 1000
# A transaction that began before ours may become visible after it, with an earlier instant.
_OVERLAP: Final = timedelta(minutes=2)
# Members reached through their class cost a call of a function each, and each gateway call takes this path.
_KEY: Final = OwnerKind.KEY
_PROJECT: Final = OwnerKind.PROJECT
_USER: Final = OwnerKind.USER
_TEAM: Final = OwnerKind.TEAM
_A_KEY: Final = PrincipalKind.KEY


class WalletRef(NamedTuple):
    """The wallet that pays for a call. ``ceiling_nano_usd`` is what a call is held at whose cost has no other bound."""

    id: str
    team_id: str
    ceiling_nano_usd: int


class Payers:
    """Wallets by their id and by their owner, brought up to date by :meth:`refresh`, which reads what changed."""

    def __init__(self, *, database: Database, ceiling_nano_usd: int) -> None:
        self._database = database
        self._ceiling = ceiling_nano_usd
        self._known: dict[str, WalletRef] = {}
        self._owner_of: dict[str, tuple[str, OwnerKind, str]] = {}
        self._by_owner: dict[tuple[str, OwnerKind, str], WalletRef] = {}
        self._since = datetime(1970, 1, 1, tzinfo=UTC)
        self._changed_at: dict[str, datetime] = {}

    def of(self, principal: Principal) -> WalletRef | None:
        """The wallet that pays for the principal's calls: the one that its key names or owns, else its project's, else its
        person's, else its team's."""
        wallet_id = principal.wallet_id
        if wallet_id is not None:
            # One that is not known yet was made a moment ago, or is none: leasing from it will tell.
            return self._known.get(wallet_id) or WalletRef(wallet_id, principal.team_id, self._ceiling)
        if not self._by_owner:
            return None
        team_id = principal.team_id
        owners = (
            (_KEY, principal.id if principal.kind is _A_KEY else None),
            (_PROJECT, principal.project_id),
            (_USER, principal.person_id),
        )
        for kind, owner_id in owners:
            if owner_id is not None:
                found = self._by_owner.get((team_id, kind, owner_id))
                if found is not None:
                    return found
        return self._by_owner.get((team_id, _TEAM, team_id))

    async def refresh(self) -> list[str]:
        """Read what changed since the last time: the ids of the wallets that did, themselves or their credits or budgets.
        Raises ``Unavailable``."""
        newest, after_id = self._since, ""
        changed: list[str] = []
        while True:
            async with self._database.reading() as tx:
                found = await wallets.list_changed(tx, since=self._since - _OVERLAP, after_id=after_id, limit=_PAGE)
            for wallet, changed_at in found:
                self._remember(wallet)
                if self._changed_at.get(wallet.id) != changed_at:
                    self._changed_at[wallet.id] = changed_at
                    changed.append(wallet.id)
                newest = max(newest, changed_at)
            if len(found) < _PAGE:
                break
            after_id = found[-1][0].id
        self._since = newest
        return changed

    def _remember(self, wallet: Wallet) -> None:
        ceiling = self._ceiling if wallet.call_ceiling_nano_usd is None else wallet.call_ceiling_nano_usd
        ref = self._known[wallet.id] = WalletRef(wallet.id, wallet.team_id, ceiling)
        before = self._owner_of.pop(wallet.id, None)
        # Where the owner went to another wallet meanwhile, that one stays.
        if before is not None:
            pays = self._by_owner.get(before)
            if pays is not None and pays.id == wallet.id:
                del self._by_owner[before]
        if wallet.owner_kind is not None and wallet.owner_id is not None:
            owner = (wallet.team_id, wallet.owner_kind, wallet.owner_id)
            self._owner_of[wallet.id] = owner
            self._by_owner[owner] = ref
