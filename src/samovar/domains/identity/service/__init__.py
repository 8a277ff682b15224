"""Identity's use cases: signing in, gateway keys, service accounts and their tokens, the first start."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from samovar.domains.identity.model import (
    DEFAULT_SCOPES,
    EVERY_AUDIENCE,
    KEYS_CHANGED,
    IssuedKey,
    Key,
    KeyPage,
    KeyState,
    OpenSurface,
    Rotation,
    Scope,
    visitor,
)
from samovar.domains.identity.service.accounts import AccountChange, SecretRules, ServiceAccounts
from samovar.domains.identity.service.conventions import MAX_NAME_CHARS, MAX_PAGE
from samovar.domains.identity.service.granting import Granting, TokenSignIn
from samovar.domains.identity.service.installation import FirstStart, Installation
from samovar.domains.identity.service.jwks import RemoteKeys
from samovar.domains.identity.service.keys import (
    DEFAULT_GRACE_S,
    MAX_GRACE_S,
    MAX_MODEL_PATTERNS,
    MAX_PATTERN_CHARS,
    KeyChange,
    Keys,
    Succession,
    Wallets,
)
from samovar.domains.identity.service.news import News
from samovar.domains.identity.service.secret_hashes import SecretHashing
from samovar.domains.identity.service.sign_in import SignIn
from samovar.domains.identity.service.signing_keys import OnSigningKey, SigningKeys
from samovar.domains.identity.service.tokens import OwnKeys, TokenIssuer, TokenVerifier
from samovar.domains.identity.service.tries import Tries
from samovar.domains.identity.service.warm import SignInBounds
from samovar.kernel.answer_cache import KeyCache
from samovar.kernel.guard import Guard
from samovar.kernel.principal import Principal
from samovar.kernel.tasks import background
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.events import Bus
from samovar.ports.limits import Limit, Limiter
from samovar.ports.secrets import SecretBox

__all__ = [
    "DEFAULT_GRACE_S",
    "MAX_GRACE_S",
    "MAX_MODEL_PATTERNS",
    "MAX_NAME_CHARS",
    "MAX_PAGE",
    "MAX_PATTERN_CHARS",
    "SIGN_IN_TRIES",
    "WRONG_CREDENTIALS",
    "AccountChange",
    "FirstStart",
    "Granting",
    "IdentityService",
    "KeyChange",
    "RemoteKeys",
    "SecretHashing",
    "SecretRules",
    "ServiceAccounts",
    "SignInBounds",
    "SigningKeys",
    "TokenIssuer",
    "TokenRules",
    "TokenVerifier",
]

WRONG_CREDENTIALS: Final = Limit(amount=20, window_s=60)
"""Unknown credentials from one address (docs/operations.md)."""

SIGN_IN_TRIES: Final = Limit(amount=5, window_s=60)
"""Wrong secrets of service accounts from one address (docs/service-accounts.md)."""


class TokenRules(Struct, frozen=True, kw_only=True):
    """Of access tokens and the keys that sign them. Times in seconds. ``audiences`` are the names under which this process
    goes: a token must be for one of them."""

    issuer: str = "samovar"
    ttl_s: int = 1800
    rotate_every_s: float = 86_400
    rotation_grace_s: float = 3600
    secrets: SecretRules = SecretRules()
    audiences: tuple[str, ...] = EVERY_AUDIENCE


class IdentityService:
    """The face of identity.

    Make it before ``bus.start()`` (it subscribes to the news of changed keys), call :meth:`ensure_installed` before the
    first request, and serve inside ``async with service.running()``. ``limiter`` or ``wrong_limit`` ``None`` switches the
    limit on wrong credentials off, ``limiter`` or ``sign_in_tries`` that on wrong secrets; ``opened`` needs no credential.

    ``accounts`` are the use cases of service accounts, ``granting`` how they get tokens; ``issuer`` and ``verifier`` make and
    check tokens between the roles of the installation, with ``signing_keys``.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        bus: Bus,
        box: SecretBox,
        limiter: Limiter | None = None,
        wrong_limit: Limit | None = WRONG_CREDENTIALS,
        bounds: SignInBounds | None = None,
        wallets: Wallets | None = None,
        succession: Succession | None = None,
        opened: Iterable[OpenSurface] = (),
        tokens: TokenRules | None = None,
        sign_in_tries: Limit | None = SIGN_IN_TRIES,
        hashing: SecretHashing | None = None,
        on_signing_key: OnSigningKey = lambda _: None,
    ) -> None:
        tokens = tokens or TokenRules()
        self._visitors = {surface: visitor(surface) for surface in opened}
        rotation = Rotation(
            every=timedelta(seconds=tokens.rotate_every_s), grace=timedelta(seconds=tokens.rotation_grace_s)
        )
        self.signing_keys = SigningKeys(
            database=database, clock=clock, ids=ids, box=box, rotation=rotation, made=on_signing_key
        )
        self.issuer = TokenIssuer(keys=self.signing_keys, issuer=tokens.issuer, clock=clock, ids=ids)
        self.verifier = TokenVerifier(keys=OwnKeys(self.signing_keys), issuer=tokens.issuer, clock=clock)
        self._sign_in = SignIn(
            database=database,
            clock=clock,
            limiter=limiter,
            wrong_limit=wrong_limit,
            bounds=bounds or SignInBounds(),
            tokens=TokenSignIn(database=database, clock=clock, verifier=self.verifier, audiences=tokens.audiences),
        )
        news, hashing = News(bus=bus, forget=self._sign_in.forget), hashing or SecretHashing()
        self.accounts = ServiceAccounts(
            database=database, clock=clock, ids=ids, news=news, hashing=hashing, rules=tokens.secrets
        )
        self.granting = Granting(
            database=database,
            clock=clock,
            hashing=hashing,
            issuer=self.issuer,
            tries=Tries("wrong-secret", clock=clock, limiter=limiter, limit=sign_in_tries),
            ttl_s=tokens.ttl_s,
            note_use=self._sign_in.note_use,
        )
        self._keys = Keys(database=database, clock=clock, ids=ids, news=news, wallets=wallets, succession=succession)
        self._installation = Installation(database=database, clock=clock, ids=ids, box=box, keys=self._keys)
        bus.subscribe(KEYS_CHANGED, self._sign_in.on_key_changed)
        bus.on_gap(self._sign_in.on_gap)
        # The method itself, not one around it: each gateway call takes this path.
        self.recall = self._sign_in.recall

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """See :meth:`SignIn.running`; and the keys that sign tokens are made in time."""
        async with self._sign_in.running(), background(self.signing_keys.watch()):
            yield

    async def authenticate(self, secret: str, *, address: str | None = None) -> Principal:
        """See :meth:`SignIn.authenticate`."""
        return await self._sign_in.authenticate(secret, address=address)

    async def authenticate_admin(self, secret: str, *, address: str | None = None) -> Principal:
        """See :meth:`SignIn.authenticate_admin`."""
        return await self._sign_in.authenticate_admin(secret, address=address)

    def visitor(self, surface: OpenSurface) -> Principal | None:
        """Who calls ``surface`` without a credential; ``None`` where it is not open."""
        return self._visitors.get(surface)

    async def write_uses(self) -> None:
        """See :meth:`SignIn.write_uses`; also done every half minute while running, and at the end."""
        await self._sign_in.write_uses()

    async def ensure_installed(self, admin_token: str | None) -> FirstStart | None:
        """Set the database up if nobody did, and take the admin token into force: ``admin_token`` (the environment's)
        where given, else the one that the first start made. The answer holds secrets only where this call made them.

        Raises ``WrongMasterKey``.
        """
        installed = await self._installation.ensure(admin_token)
        self._sign_in.trust_admin(installed.admin_digest)
        return installed.first_start

    async def create_key(
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
        """See :meth:`Keys.create`."""
        return await self._keys.create(
            principal,
            name=name,
            scopes=scopes,
            allowed_models=allowed_models,
            expires_at=expires_at,
            wallet_id=wallet_id,
            guard=guard,
            drop_params=drop_params,
            cache=cache,
            project_id=project_id,
            user_id=user_id,
        )

    async def change_key(
        self, principal: Principal, key_id: str, change: KeyChange, *, expected: int | None = None
    ) -> Key:
        """See :meth:`Keys.change`."""
        return await self._keys.change(principal, key_id, change, expected=expected)

    async def list_keys(self, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> KeyPage:
        """See :meth:`Keys.page`."""
        return await self._keys.page(principal, limit=limit, cursor=cursor)

    async def get_key(self, principal: Principal, key_id: str) -> Key:
        """See :meth:`Keys.get`."""
        return await self._keys.get(principal, key_id)

    async def revoke_key(self, principal: Principal, key_id: str) -> None:
        """See :meth:`Keys.revoke`."""
        await self._keys.revoke(principal, key_id)

    async def rotate_key(
        self,
        principal: Principal,
        key_id: str,
        *,
        grace_s: float = DEFAULT_GRACE_S,
        expires_at: datetime | None = None,
    ) -> IssuedKey:
        """See :meth:`Keys.rotate`."""
        return await self._keys.rotate(principal, key_id, grace_s=grace_s, expires_at=expires_at)

    def key_state(self, key: Key) -> KeyState:
        """See :meth:`Keys.state`."""
        return self._keys.state(key)
