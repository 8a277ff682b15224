"""Making tokens, and finding out whether one is good."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from samovar.domains.identity.errors import InvalidToken
from samovar.domains.identity.model import (
    DEFAULT_TEAM_ID,
    Claims,
    ServiceRole,
    Verified,
    claims_of,
    end_of,
)
from samovar.domains.identity.service import jose
from samovar.domains.identity.service.signing_keys import SigningKeys
from samovar.kernel.principal import Principal
from samovar.kernel.time import rfc3339
from samovar.ports.clock import Clock, Ids

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey


class PublicKey(NamedTuple):
    """A key that checks signatures, and when it retires."""

    key: "RSAKey"
    retires_at: datetime


class KeySource(Protocol):
    """Where a verifier has its keys from: the database, or the JWKS of a process that has one."""

    async def find(self, kid: str) -> PublicKey | None:
        """The key of this name, ``None`` for one that is not known even after looking again. Raises ``Unavailable``."""
        ...


class OwnKeys:
    """A :class:`KeySource` beside the database."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    async def find(self, kid: str) -> PublicKey | None:
        """See the protocol."""
        found = await self._keys.verifying(kid)
        return None if found is None else PublicKey(found.key, found.about.retires_at)


class Issued(NamedTuple):
    """A token, and for how many seconds it is good."""

    token: str
    expires_in_s: int


class TokenIssuer:
    """Signs tokens with the installation's key of the day."""

    def __init__(self, *, keys: SigningKeys, issuer: str, clock: Clock, ids: Ids) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._ids = ids

    async def issue(self, subject: str, audience: str, permissions: Collection[str], ttl_s: int) -> str:
        """A token from one role of the installation to another, ``audience`` (see ``Audience``). ``subject`` is who sends it,
        such as ``role:ingester``. Raises ``Unavailable``."""
        return (await self.issue_to(subject, (audience,), permissions, ttl_s=ttl_s)).token

    async def issue_to(
        self,
        subject: str,
        audience: Sequence[str],
        permissions: Collection[str],
        *,
        ttl_s: int,
        team_id: str = DEFAULT_TEAM_ID,
        client_id: str | None = None,
        role: ServiceRole | None = None,
        secret_version: int | None = None,
    ) -> Issued:
        """A token with any claims. It is good for ``ttl_s`` seconds, but no longer than what the key signs is. Raises
        ``Unavailable``."""
        about, key = await self._keys.signing()
        now = int(self._clock.now().timestamp())
        ends = min(now + ttl_s, int(about.retires_at.timestamp()))
        claims = Claims(
            sub=subject,
            iss=self._issuer,
            aud=tuple(audience),
            iat=now,
            exp=ends,
            permissions=tuple(sorted(permissions)),
            team=team_id,
            jti=self._ids.token(12),
            client_id=client_id,
            role=role,
            secret_version=secret_version,
        )
        return Issued(jose.signed(claims, about.kid, key), ends - now)


class TokenVerifier:
    """Checks tokens: RS256 alone, by a key that is known and has not retired, from our issuer, for us, and in time.

    It knows nothing of accounts: of a service account's token it says what stood when it was issued, half an hour ago at most.
    Who has the database asks ``IdentityService.authenticate``, which looks at the account as well.
    """

    def __init__(self, *, keys: KeySource, issuer: str, clock: Clock) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock

    async def verify(self, token: str, audience: str) -> Principal:
        """Who comes with ``token`` to the role ``audience``. Raises ``InvalidToken``, ``ExpiredToken``, ``Unavailable``."""
        verified = await self.verified(token, (audience,))
        return verified.claims.principal(ends_at=verified.ends_at)

    async def verified(self, token: str, audiences: Collection[str]) -> Verified:
        """The claims of a token for one of these. Raises as :meth:`verify`."""
        kid = jose.key_id_of(token)
        found = await self._keys.find(kid)
        if found is None:
            raise InvalidToken("The token is signed by a key that is not one of ours.")
        now = self._clock.now()
        if now >= found.retires_at:
            raise InvalidToken(
                f"The key that signed the token retired at {rfc3339(found.retires_at)}. Get a new token."
            )
        payload = jose.payload_of(token, found.key)
        claims = claims_of(payload, issuer=self._issuer, audiences=audiences, now=now)
        return Verified(claims, end_of(claims, found.retires_at))
