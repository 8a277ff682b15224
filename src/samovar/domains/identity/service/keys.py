"""Making, showing, rotating and revoking gateway keys. Every use case takes the principal first."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from msgspec import UNSET, Struct, UnsetType, structs

from samovar.domains.identity import store
from samovar.domains.identity.errors import BeyondOwnRights, KeyNotActive, KeyNotFound
from samovar.domains.identity.model import (
    DEFAULT_SCOPES,
    KEY_ENTROPY_BYTES,
    IssuedKey,
    Key,
    KeyPage,
    KeyState,
    Permission,
    Scope,
    check_may_manage_key,
    check_within_rights,
    digest_of,
    is_model_pattern,
    is_owner_id,
    key_hint,
    key_text,
    require,
)
from samovar.domains.identity.service.conventions import check_name, check_page, check_revision, invalid
from samovar.domains.identity.service.news import News
from samovar.kernel.answer_cache import KeyCache
from samovar.kernel.errors import Invalid, StaleRevision
from samovar.kernel.guard import NO_GUARD, Guard, flaws_of
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx

MAX_MODEL_PATTERNS: Final = 100
MAX_PATTERN_CHARS: Final = 200
DEFAULT_GRACE_S: Final = 7 * 86_400
MAX_GRACE_S: Final = 90 * 86_400
_MAX_LIFE: Final = timedelta(days=3653)
_KEY_ID: Final = re.compile(r"key_[0-9A-Z]{26}", re.ASCII)


class Wallets(Protocol):
    """Those of keys. Wallets are billing's, which stands above identity."""

    async def exists(self, team_id: str, wallet_id: str) -> bool:
        """Whether a team has a wallet."""
        ...

    async def of_key(self, team_id: str, key_id: str) -> str | None:
        """The id of the wallet that a key owns without naming it; ``None`` where it owns none."""
        ...


class Succession(Protocol):
    """What hangs on a key's id elsewhere, and goes on to the key that takes its place. It is billing's, too."""

    async def succeed(self, tx: Tx, team_id: str, key_id: str, by: str) -> str | None:
        """``by`` takes the place of a key. The id of the wallet that the key owns, ``None`` where it owns none."""
        ...

    async def succeeded(self) -> None:
        """It is committed."""
        ...


class KeyChange(Struct, frozen=True, kw_only=True):
    """What to change of a key; what is left out stays. ``None`` allows every model, never ends, guards nothing, is for
    nobody."""

    name: str | UnsetType = UNSET
    allowed_models: tuple[str, ...] | UnsetType | None = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    guard: Guard | UnsetType | None = UNSET
    drop_params: bool | UnsetType = UNSET
    cache: KeyCache | UnsetType | None = UNSET
    project_id: str | UnsetType | None = UNSET
    user_id: str | UnsetType | None = UNSET


class Keys:
    """The gateway keys of a team. ``news`` hears the id of each key that changed."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        news: News,
        wallets: Wallets | None = None,
        succession: Succession | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._news = news
        self._wallets = wallets
        self._succession = succession

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        scopes: Sequence[Scope] = DEFAULT_SCOPES,
        allowed_models: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        wallet_id: str | None = None,
        guard: Guard | None = None,
        drop_params: bool = False,
        cache: KeyCache | None = None,
        project_id: str | None = None,
        user_id: str | None = None,
    ) -> IssuedKey:
        """A new key of the principal's team; for the maker's own project and person where none is named. Raises
        ``Forbidden``, ``BeyondOwnRights``, ``Invalid``."""
        require(principal, Permission.KEYS_WRITE)
        _check(name, scopes, allowed_models)
        _check_owners(project_id, user_id)
        guard = _checked_guard(guard)
        wallet_id = await self._payer(principal, wallet_id)
        issued = self.draft(
            team_id=principal.team_id,
            created_by=principal.id,
            name=name.strip(),
            scopes=scopes,
            allowed_models=allowed_models,
            expires_at=self._checked_end(expires_at),
            wallet_id=wallet_id,
            guard=guard,
            drop_params=drop_params,
            cache=cache,
            project_id=principal.project_id if project_id is None else project_id,
            user_id=principal.user_id if user_id is None else user_id,
        )
        check_within_rights(principal, issued.key)
        async with self._database.transaction() as tx:
            await store.add_key(tx, issued.key, key_hash=digest_of(issued.secret).hex())
        return issued

    async def page(self, principal: Principal, *, limit: int, cursor: str | None) -> KeyPage:
        """The team's keys, the newest first. ``cursor`` is what the page before gave. Raises ``Forbidden``, ``Invalid``."""
        require(principal, Permission.KEYS_READ)
        check_page(limit)
        if cursor is not None and not _KEY_ID.fullmatch(cursor):
            raise invalid("cursor", "is not one that a page before this gave")
        async with self._database.reading() as tx:
            found = await store.keys(tx, principal.team_id, before_id=cursor, limit=limit + 1)
        more = len(found) > limit
        return KeyPage(items=tuple(found[:limit]), next_cursor=found[limit - 1].id if more else None)

    async def get(self, principal: Principal, key_id: str) -> Key:
        """Raises ``Forbidden``; ``KeyNotFound`` for another team's key too."""
        require(principal, Permission.KEYS_READ)
        async with self._database.reading() as tx:
            return await self._mine(tx, principal, key_id)

    async def change(self, principal: Principal, key_id: str, change: KeyChange, *, expected: int | None) -> Key:
        """The key as it is then; it works so here at once and in every process within seconds. ``expected`` is the
        revision that the caller saw, ``None`` where any will do. Raises ``Forbidden``, ``BeyondOwnRights``,
        ``KeyNotFound``, ``KeyNotActive``, ``StaleRevision``, ``Invalid``."""
        require(principal, Permission.KEYS_WRITE)
        async with self._database.transaction() as tx:
            old = await self._mine(tx, principal, key_id)
            check_may_manage_key(principal, old)
            if old.state(self._clock.now()) is not KeyState.ACTIVE:
                raise _not_active(old.state(self._clock.now()), "changed")
            check_revision(old.revision, expected)
            new = self._changed(old, change)
            check_within_rights(principal, new)
            if not await store.change(tx, new, from_revision=old.revision):
                raise StaleRevision(current=new.revision)
        await self._news.changed(key_id)
        return new

    async def revoke(self, principal: Principal, key_id: str) -> None:
        """Stop a key for good; again is harmless. Raises ``Forbidden``, ``BeyondOwnRights``, ``KeyNotFound``."""
        require(principal, Permission.KEYS_WRITE)
        async with self._database.transaction() as tx:
            check_may_manage_key(principal, await self._mine(tx, principal, key_id))
            await store.revoke(tx, principal.team_id, key_id, at=self._clock.now())
        await self._news.changed(key_id)

    async def rotate(
        self,
        principal: Principal,
        key_id: str,
        *,
        grace_s: float = DEFAULT_GRACE_S,
        expires_at: datetime | None = None,
    ) -> IssuedKey:
        """A new secret under a new id with the old key's rights, which works at once; the old one ``grace_s`` more, but never
        past its own end. The new one ends when the old one would, or at ``expires_at``. It pays from the wallet that the old one
        names or owns, and the old one's quota holds for it.

        Of rotations that race one wins. Raises ``Forbidden``, ``BeyondOwnRights``, ``KeyNotFound``, ``KeyNotActive``,
        ``Invalid``.
        """
        require(principal, Permission.KEYS_WRITE)
        if not 0 <= grace_s <= MAX_GRACE_S:
            raise invalid("grace_s", f"must be from 0 to {MAX_GRACE_S} seconds")
        end, bound = self._checked_end(expires_at), await self._bound_to(principal)
        async with self._database.transaction() as tx:
            old = await self._mine(tx, principal, key_id)
            now = self._clock.now()
            if old.state(now) is not KeyState.ACTIVE:
                raise _not_active(old.state(now), "rotated")
            issued = self.draft(
                team_id=principal.team_id,
                created_by=principal.id,
                name=old.name,
                scopes=old.scopes,
                allowed_models=old.allowed_models,
                expires_at=end or old.expires_at,
                wallet_id=old.wallet_id,
                guard=old.guard,
                drop_params=old.drop_params,
                cache=old.cache,
                project_id=old.project_id,
                user_id=old.user_id,
            )
            check_within_rights(principal, issued.key)
            if self._succession is not None:
                owned = await self._succession.succeed(tx, principal.team_id, key_id, issued.key.id)
                issued = IssuedKey(
                    key=replace(issued.key, wallet_id=issued.key.wallet_id or owned), secret=issued.secret
                )
            if bound is not None and issued.key.wallet_id != bound:
                # Whoever renews a key gets its secret, and spends what it may spend.
                raise BeyondOwnRights(f"Your own key pays from wallet {bound}, and this one does not.")
            await store.add_key(tx, issued.key, key_hash=digest_of(issued.secret).hex())
            until = now + timedelta(seconds=grace_s)
            if not await store.replace(tx, principal.team_id, key_id, by=issued.key.id, grace_until=until):
                raise _not_active(KeyState.REPLACED, "rotated")
        await self._news.changed(key_id)
        if self._succession is not None:
            await self._succession.succeeded()
        return issued

    def draft(
        self,
        *,
        team_id: str,
        created_by: str,
        name: str,
        scopes: Sequence[Scope] = DEFAULT_SCOPES,
        allowed_models: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        wallet_id: str | None = None,
        guard: Guard | None = None,
        drop_params: bool = False,
        cache: KeyCache | None = None,
        project_id: str | None = None,
        user_id: str | None = None,
    ) -> IssuedKey:
        """A key that stands nowhere yet."""
        secret = key_text(self._ids.token(KEY_ENTROPY_BYTES))
        key = Key(
            id=self._ids.new("key"),
            team_id=team_id,
            name=name,
            hint=key_hint(secret),
            scopes=tuple(dict.fromkeys(scopes)),
            allowed_models=None if allowed_models is None else tuple(dict.fromkeys(allowed_models)),
            created_at=self._clock.now(),
            created_by=created_by,
            expires_at=expires_at,
            wallet_id=wallet_id,
            guard=guard,
            drop_params=drop_params,
            cache=cache,
            project_id=project_id,
            user_id=user_id,
        )
        return IssuedKey(key=key, secret=secret)

    def state(self, key: Key) -> KeyState:
        """Where ``key`` stands now."""
        return key.state(self._clock.now())

    def _changed(self, old: Key, change: KeyChange) -> Key:
        said = {field: value for field, value in structs.asdict(change).items() if value is not UNSET}
        if "name" in said:
            said["name"] = said["name"].strip()
        if "expires_at" in said:
            said["expires_at"] = self._checked_end(said["expires_at"])
        if "guard" in said:
            said["guard"] = _checked_guard(said["guard"])
        if said.get("allowed_models") is not None:
            said["allowed_models"] = tuple(dict.fromkeys(said["allowed_models"]))
        new = replace(old, **said, revision=old.revision + 1)
        _check(new.name, new.scopes, new.allowed_models)
        _check_owners(new.project_id, new.user_id)
        return new

    async def _mine(self, tx: Tx, principal: Principal, key_id: str) -> Key:
        found = await store.key(tx, principal.team_id, key_id) if _KEY_ID.fullmatch(key_id) else None
        if found is None:
            raise KeyNotFound("Your team has no key with this id. GET /api/keys lists those it has.")
        return found

    async def _payer(self, principal: Principal, wallet_id: str | None) -> str | None:
        """The wallet of a new key: by default its maker's own, and no other for a maker that may not touch wallets."""
        bound = await self._bound_to(principal)
        own = bound or principal.wallet_id
        if wallet_id is None or wallet_id == own:
            return own
        if bound is not None:
            raise BeyondOwnRights(f"Your own key pays from wallet {own}: leave out 'wallet_id', or name that one.")
        if self._wallets is not None and await self._wallets.exists(principal.team_id, wallet_id):
            return wallet_id
        raise invalid("wallet_id", "names no wallet of your team; GET /api/wallets lists those it has")

    async def _bound_to(self, principal: Principal) -> str | None:
        """The wallet that pays for all that this maker makes or renews; ``None`` where it may be any."""
        if Permission.WALLETS_WRITE in principal.permissions:
            return None
        if principal.wallet_id is None and principal.kind is PrincipalKind.KEY and self._wallets is not None:
            # Else what it makes would be paid for by somebody else, or by nobody.
            return await self._wallets.of_key(principal.team_id, principal.id)
        return principal.wallet_id

    def _checked_end(self, expires_at: datetime | None) -> datetime | None:
        if expires_at is None:
            return None
        if expires_at.tzinfo is None:
            raise invalid("expires_at", "needs a time zone, such as 2027-01-31T00:00:00Z")
        now = self._clock.now()
        if not now < expires_at <= now + _MAX_LIFE:
            raise invalid("expires_at", "must lie in the future, at most ten years ahead")
        return expires_at.astimezone(UTC)


def _check(name: str, scopes: Sequence[Scope], allowed_models: Sequence[str] | None) -> None:
    check_name(name)
    if not scopes:
        raise invalid("scopes", "must name at least one scope")
    if allowed_models is None:
        return
    if not 1 <= len(allowed_models) <= MAX_MODEL_PATTERNS:
        raise invalid("allowed_models", f"must have from 1 to {MAX_MODEL_PATTERNS} patterns; leave it out to allow all")
    for place, pattern in enumerate(allowed_models):
        if len(pattern) > MAX_PATTERN_CHARS or not is_model_pattern(pattern):
            raise invalid(f"allowed_models[{place}]", "must be a model's name, or its beginning and one '*' at the end")


def _check_owners(project_id: str | None, user_id: str | None) -> None:
    for where, named in (("project_id", project_id), ("user_id", user_id)):
        if named is not None and not is_owner_id(named):
            raise invalid(where, "must be 1 to 128 letters, digits and . _ : @ + -, the first a letter or a digit")


def _checked_guard(guard: Guard | None) -> Guard | None:
    """``None`` for one that guards nothing. Raises ``Invalid``."""
    if guard is None or guard == NO_GUARD:
        return None
    flaws = flaws_of(guard)
    if flaws:
        raise Invalid("; ".join(f"{flaw.where} {flaw.what}" for flaw in flaws) + ".", flaws=flaws)
    return guard


def _not_active(state: KeyState, what: str) -> KeyNotActive:
    return KeyNotActive(f"Only an active key can be {what}, and this one is {state.value}. Make a new one instead.")
