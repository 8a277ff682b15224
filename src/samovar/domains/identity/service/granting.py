"""From a service account's secret to a token, and from its token to a principal."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from samovar.domains.identity import store
from samovar.domains.identity.errors import BadTokenRequest, InvalidClient, InvalidToken, RevokedToken
from samovar.domains.identity.model import (
    EVERY_AUDIENCE,
    SecretHashes,
    ServiceAccount,
    Verified,
    has_secret_shape,
    is_client_id,
    permissions_of,
    secret_hint,
)
from samovar.domains.identity.service.secret_hashes import SecretHashing
from samovar.domains.identity.service.tokens import Issued, TokenIssuer, TokenVerifier
from samovar.domains.identity.service.tries import Tries
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.kernel.time import rfc3339
from samovar.ports.clock import Clock
from samovar.ports.database import Database

_UNKNOWN: Final = (
    "There is no such client, or this is not its secret. `samovar service-accounts list` shows the clients."
)


class Client(NamedTuple):
    """A service account that showed one of its secrets."""

    account: ServiceAccount
    secret_version: int

    @property
    def principal(self) -> Principal:
        """Who that is."""
        return _principal(self.account)


class Granting:
    """``POST /api/auth/token``: the client credentials grant (RFC 6749, section 4.4)."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        hashing: SecretHashing,
        issuer: TokenIssuer,
        tries: Tries,
        ttl_s: int,
        note_use: Callable[[str, str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._hashing = hashing
        self._issuer = issuer
        self._tries = tries
        self._ttl_s = ttl_s
        self._note_use = note_use

    async def client(self, client_id: str, secret: str, *, address: str | None) -> Client:
        """Who signs in. An address with too many wrong tries must wait. Raises ``InvalidClient``, ``TooManyWrongCredentials``,
        ``Unavailable``."""
        self._tries.check(address)
        found = None
        if is_client_id(client_id):
            async with self._database.reading() as tx:
                found = await store.account_of_client(tx, client_id)
        version = await self._version_of(secret, found)
        if found is None or version is None:
            await self._tries.count(address)
            raise InvalidClient(_UNKNOWN)
        # From here on it is somebody who knows the secret, and may know what is wrong.
        account = found[0]
        refusal = _refusal(account, version, self._clock)
        if refusal is not None:
            raise InvalidClient(refusal)
        self._note_use(account.id, account.team_id)
        return Client(account, version)

    async def refused(self, address: str | None) -> None:
        """Somebody asked so that it is not even known as whom: a wrong try too, for each leaves a record in the audit chain.
        Raises ``TooManyWrongCredentials``."""
        self._tries.check(address)
        await self._tries.count(address)

    async def grant(self, client: Client, *, audience: Sequence[str] = ()) -> Issued:
        """A token for all roles of the installation, or for those of ``audience``. It ends with the secret at the latest. Raises
        ``BadTokenRequest``, ``Unavailable``."""
        unknown = [one for one in audience if one not in EVERY_AUDIENCE]
        if unknown:
            raise BadTokenRequest(
                f"There is no audience {unknown[0][:100]!r}; there are {', '.join(EVERY_AUDIENCE)}.",
                oauth="invalid_target",
            )
        account, version = client
        end = account.end_of_secret(version)
        assert end is not None
        left_s = int((end - self._clock.now()).total_seconds())
        return await self._issuer.issue_to(
            account.id,
            tuple(dict.fromkeys(audience)) or EVERY_AUDIENCE,
            permissions_of([account.role]),
            ttl_s=max(1, min(self._ttl_s, left_s)),
            team_id=account.team_id,
            client_id=account.client_id,
            role=account.role,
            secret_version=version,
        )

    async def _version_of(self, secret: str, found: tuple[ServiceAccount, SecretHashes] | None) -> int | None:
        """Which of the account's secrets this is. One hash is computed whether there is such an account or not: the beginning of
        the secret, which is no secret, says which one to compare with."""
        if found is None or not has_secret_shape(secret):
            await self._hashing.matches(secret[:200], None)
            return None
        account, hashes = found
        hint = secret_hint(secret)
        if hint == account.former_hint and hint != account.hint:
            return account.former_version if await self._hashing.matches(secret, hashes.former) else None
        is_current = await self._hashing.matches(secret, hashes.current if hint == account.hint else None)
        return account.secret_version if is_current else None


class TokenSignIn:
    """Whom a service account's token stands for. ``audiences`` are the names under which this process goes."""

    def __init__(self, *, database: Database, clock: Clock, verifier: TokenVerifier, audiences: Sequence[str]) -> None:
        self._database = database
        self._clock = clock
        self._verifier = verifier
        self._audiences = tuple(audiences)

    async def verified(self, token: str) -> Verified:
        """What the token says, if it is good. Raises ``InvalidToken``, ``ExpiredToken``, ``Unavailable``."""
        found = await self._verifier.verified(token, self._audiences)
        if found.claims.secret_version is None:
            raise InvalidToken("This token is for calls between the roles of the installation, not for its API.")
        return found

    async def accounts(self, tokens: Sequence[Verified]) -> dict[str, ServiceAccount]:
        """The accounts that these tokens name, as far as there are such."""
        ids = list({one.claims.sub for one in tokens})
        async with self._database.reading() as tx:
            return await store.accounts_by_id(tx, ids)

    def principal(self, token: Verified, account: ServiceAccount | None) -> Principal:
        """Who comes with the token: with what it allows and the account still may. Raises ``RevokedToken``."""
        claims = token.claims
        if account is None or account.team_id != claims.team:
            raise RevokedToken(f"The service account {claims.client_id!r} was deleted.")
        version = claims.secret_version
        assert version is not None
        refusal = _refusal(account, version, self._clock)
        if refusal is not None:
            raise RevokedToken(refusal)
        end = account.end_of_secret(version)
        assert end is not None
        now = _principal(account)
        allowed = now.permissions.intersection(claims.permissions)
        return msgspec.structs.replace(now, permissions=allowed, expires_at=min(token.ends_at, end))


def _principal(account: ServiceAccount) -> Principal:
    return Principal(
        id=account.id,
        kind=PrincipalKind.SERVICE,
        team_id=account.team_id,
        name=account.name,
        permissions=permissions_of([account.role]),
    )


def _refusal(account: ServiceAccount, version: int, clock: Clock) -> str | None:
    """Why a secret of this version, or a token that was got with it, is good no more."""
    end = account.end_of_secret(version)
    if account.disabled_at is not None:
        return f"The service account {account.client_id!r} was disabled at {rfc3339(account.disabled_at)}."
    if end is None:
        return f"The secret of {account.client_id!r} was replaced. Use the new one."
    if clock.now() < end:
        return None
    if version == account.secret_version:
        return f"The secret of {account.client_id!r} expired at {rfc3339(end)}. Rotate it."
    return f"The secret of {account.client_id!r} was replaced; its grace ended at {rfc3339(end)}. Use the new one."
