"""Making, showing, changing and deleting service accounts, and rotating secrets. Every use case takes the principal first."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Final

from msgspec import Struct

from samovar.domains.identity import store
from samovar.domains.identity.errors import AccountNotFound, ClientIdTaken, RotatedMeanwhile
from samovar.domains.identity.model import (
    ACCOUNT_PREFIX,
    KEY_ENTROPY_BYTES,
    AccountPage,
    AccountState,
    IssuedAccount,
    Permission,
    ServiceAccount,
    ServiceRole,
    check_may_empower,
    check_may_manage,
    is_client_id,
    require,
    secret_hint,
    secret_text,
)
from samovar.domains.identity.service.conventions import check_name, check_page, check_revision, invalid
from samovar.domains.identity.service.news import News
from samovar.domains.identity.service.secret_hashes import SecretHashing
from samovar.kernel.errors import StaleRevision
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx

MAX_SECRET_GRACE_S: Final = 7 * 86_400
_ACCOUNT_ID: Final = re.compile(ACCOUNT_PREFIX + r"_[0-9A-Z]{26}", re.ASCII)


class SecretRules(Struct, frozen=True, kw_only=True):
    """How long a secret is good, and the one before it after a rotation. Seconds."""

    life_s: float = 90 * 86_400
    grace_s: float = 86_400


class AccountChange(Struct, frozen=True, kw_only=True):
    """What to change of an account; ``None`` leaves it as it is."""

    name: str | None = None
    role: ServiceRole | None = None
    disabled: bool | None = None


class ServiceAccounts:
    """The service accounts of a team."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        news: News,
        hashing: SecretHashing,
        rules: SecretRules,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._news = news
        self._hashing = hashing
        self._rules = rules

    async def create(
        self, principal: Principal, *, name: str, role: ServiceRole, client_id: str | None = None
    ) -> IssuedAccount:
        """A new account of the principal's team. Without a ``client_id`` its id is that too. Raises ``Forbidden``,
        ``BeyondOwnRights``, ``Invalid``, ``ClientIdTaken``, ``Unavailable``."""
        require(principal, Permission.KEYS_WRITE)
        check_may_empower(principal, role)
        check_name(name)
        if client_id is not None and not is_client_id(client_id):
            raise invalid("client_id", "must be 3 to 64 letters, digits and . _ -, the first a letter or a digit")
        secret = secret_text(self._ids.token(KEY_ENTROPY_BYTES))
        hashed = await self._hashing.hash(secret)
        now = self._clock.now()
        id_ = self._ids.new(ACCOUNT_PREFIX)
        made = ServiceAccount(
            id=id_,
            team_id=principal.team_id,
            name=name.strip(),
            client_id=client_id or id_,
            role=role,
            hint=secret_hint(secret),
            secret_version=1,
            secret_made_at=now,
            secret_expires_at=now + timedelta(seconds=self._rules.life_s),
            created_at=now,
            created_by=principal.id,
        )
        async with self._database.transaction() as tx:
            if not await store.add_account(tx, made, secret_hash=hashed):
                raise ClientIdTaken(f"There is a service account with the client id {made.client_id!r}: take another.")
        return IssuedAccount(account=made, secret=secret)

    async def page(self, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> AccountPage:
        """The newest first. Raises ``Forbidden``, ``Invalid``."""
        require(principal, Permission.KEYS_READ)
        check_page(limit)
        if cursor is not None and not _ACCOUNT_ID.fullmatch(cursor):
            raise invalid("cursor", "must be the next_cursor of another page")
        async with self._database.reading() as tx:
            found = await store.accounts(tx, principal.team_id, before_id=cursor, limit=limit + 1)
        more = len(found) > limit
        return AccountPage(items=tuple(found[:limit]), next_cursor=found[limit - 1].id if more else None)

    async def get(self, principal: Principal, account_id: str) -> ServiceAccount:
        """One account. Raises ``Forbidden``, ``AccountNotFound``."""
        require(principal, Permission.KEYS_READ)
        async with self._database.reading() as tx:
            return await self._mine(tx, principal, account_id)

    async def change(
        self, principal: Principal, account_id: str, change: AccountChange, *, expected: int | None = None
    ) -> ServiceAccount:
        """Another name or role, or off or on. Tokens that were given out know of it within seconds. Raises ``Forbidden``,
        ``BeyondOwnRights``, ``AccountNotFound``, ``Invalid``, ``StaleRevision``."""
        require(principal, Permission.KEYS_WRITE)
        if change.name is not None:
            check_name(change.name)
        async with self._database.transaction() as tx:
            old = await self._mine(tx, principal, account_id)
            check_may_manage(principal, old)
            check_revision(old.revision, expected)
            new = self._changed(old, change)
            if new.role is not old.role or (old.disabled_at is not None and new.disabled_at is None):
                check_may_empower(principal, new.role)
            if not await store.change_account(tx, new, from_revision=old.revision):
                raise StaleRevision
        await self._news.changed(account_id)
        return new

    async def delete(self, principal: Principal, account_id: str) -> None:
        """For good. Raises ``Forbidden``, ``BeyondOwnRights``, ``AccountNotFound``."""
        require(principal, Permission.KEYS_WRITE)
        async with self._database.transaction() as tx:
            check_may_manage(principal, await self._mine(tx, principal, account_id))
            await store.delete_account(tx, principal.team_id, account_id)
        await self._news.changed(account_id)

    async def rotate_secret(
        self, principal: Principal, account_id: str, *, grace_s: float | None = None
    ) -> IssuedAccount:
        """A new secret, which works at once; the old one, and the tokens that were got with it, ``grace_s`` more, but never past
        its own end. One that was in its grace already is over.

        Of rotations that race one wins. Raises ``Forbidden``, ``BeyondOwnRights``, ``AccountNotFound``, ``RotatedMeanwhile``,
        ``Invalid``, ``Unavailable``.
        """
        require(principal, Permission.KEYS_WRITE)
        grace_s = self._rules.grace_s if grace_s is None else grace_s
        if not 0 <= grace_s <= MAX_SECRET_GRACE_S:
            raise invalid("grace_s", f"must be from 0 to {MAX_SECRET_GRACE_S} seconds")
        async with self._database.reading() as tx:
            old = await self._mine(tx, principal, account_id)
        check_may_empower(principal, old.role)
        secret = secret_text(self._ids.token(KEY_ENTROPY_BYTES))
        # Before the transaction: SQLite has one writer, and this takes a tenth of a second.
        hashed = await self._hashing.hash(secret)
        now = self._clock.now()
        new = replace(
            old,
            hint=secret_hint(secret),
            secret_version=old.secret_version + 1,
            secret_made_at=now,
            secret_expires_at=now + timedelta(seconds=self._rules.life_s),
            former_hint=old.hint,
            former_version=old.secret_version,
            former_until=min(old.secret_expires_at, now + timedelta(seconds=grace_s)),
            revision=old.revision + 1,
        )
        async with self._database.transaction() as tx:
            if not await store.rotate_secret(tx, new, secret_hash=hashed, from_revision=old.revision):
                raise RotatedMeanwhile(
                    "Somebody else changed this account at the same moment. Look at it, and try again if need be."
                )
        await self._news.changed(account_id)
        return IssuedAccount(account=new, secret=secret)

    def state(self, account: ServiceAccount) -> AccountState:
        """Where ``account`` stands now."""
        return account.state(self._clock.now())

    def _changed(self, old: ServiceAccount, change: AccountChange) -> ServiceAccount:
        disabled_at = old.disabled_at
        if change.disabled is not None:
            disabled_at = (old.disabled_at or self._clock.now()) if change.disabled else None
        return replace(
            old,
            name=old.name if change.name is None else change.name.strip(),
            role=change.role or old.role,
            disabled_at=disabled_at,
            revision=old.revision + 1,
        )

    async def _mine(self, tx: Tx, principal: Principal, account_id: str) -> ServiceAccount:
        found = await store.account(tx, principal.team_id, account_id) if _ACCOUNT_ID.fullmatch(account_id) else None
        if found is None:
            raise AccountNotFound(
                "Your team has no service account with this id. GET /api/service-accounts lists those it has."
            )
        return found
