"""Access tokens (RFC 7519): what stands in one, and what makes one good. Pure: whether its signature is right is for others."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec

from samovar.domains.identity.errors import ExpiredToken, InvalidToken
from samovar.domains.identity.model.permissions import ServiceRole
from samovar.kernel.principal import Principal, PrincipalKind

ALGORITHM: Final = "RS256"
"""The only one. With a shared secret (HS256) whoever checks tokens could make them."""

LEEWAY_S: Final = 10.0
"""How far the clocks of two processes may be apart."""

MAX_TOKEN_CHARS: Final = 8192
_BEGINNING: Final = "eyJ"


class Audience(StrEnum):
    """Whom a token is for: the roles of an installation that take tokens."""

    ADMIN = "admin"
    GATEWAY = "gateway"
    INGESTER = "ingester"
    QUERY = "query"
    STORAGE = "storage"


EVERY_AUDIENCE: Final = tuple(one.value for one in Audience)


class Header(msgspec.Struct, frozen=True):
    """A token's header, as far as it is looked at before the signature is."""

    alg: str
    kid: str | None = None


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token says, under the names that stand in it. Times are seconds since 1970.

    ``client_id``, ``role`` and ``secret_version`` stand in a service account's token alone, not in one between roles of the
    installation.
    """

    sub: str
    iss: str
    aud: tuple[str, ...]
    iat: int
    exp: int
    permissions: tuple[str, ...]
    team: str
    jti: str
    nbf: int | None = None
    client_id: str | None = None
    role: ServiceRole | None = None
    secret_version: int | None = None

    def principal(self, *, ends_at: datetime) -> Principal:
        """Who comes with it."""
        return Principal(
            id=self.sub,
            kind=PrincipalKind.SERVICE,
            team_id=self.team,
            name=self.client_id or self.sub,
            permissions=frozenset(self.permissions),
            expires_at=ends_at,
        )


class Verified(msgspec.Struct, frozen=True):
    """Claims under a good signature. ``ends_at`` is when they are over: their own end and a leeway, or the end of the key that
    signed them."""

    claims: Claims
    ends_at: datetime


def has_token_shape(secret: str) -> bool:
    """Whether this could be a token of any kind: three parts, the first a JSON object in base64url."""
    return secret.startswith(_BEGINNING) and secret.count(".") == 2


def header_of(raw: bytes) -> Header:
    """What the header says. Raises ``InvalidToken``."""
    try:
        header = msgspec.json.decode(raw, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidToken("The token's header cannot be read. Get a new token at POST /api/auth/token.") from error
    if header.alg != ALGORITHM:
        raise InvalidToken(f"The token is signed with {header.alg[:20]!r}; only {ALGORITHM} is taken here.")
    if not header.kid:
        raise InvalidToken("The token does not say which key signed it ('kid').")
    return header


def claims_of(payload: bytes, *, issuer: str, audiences: Collection[str], now: datetime) -> Claims:
    """The claims of a payload whose signature is good, if they hold here and now. ``audiences`` are the names under which the
    reader goes: one of them must be meant. Raises ``InvalidToken``, ``ExpiredToken``."""
    try:
        said = msgspec.json.decode(payload)
        if isinstance(said, Mapping) and isinstance(said.get("aud"), str):
            said = {**said, "aud": [said["aud"]]}
        claims = msgspec.convert(said, Claims)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidToken(f"The token's claims are not as ours are: {error}.") from error
    if claims.iss != issuer:
        raise InvalidToken(
            f"The token was issued by {claims.iss[:100]!r}, and here only those of {issuer!r} are taken."
        )
    if not set(claims.aud).intersection(audiences):
        meant, here = ", ".join(claims.aud[:10])[:200], ", ".join(audiences)
        raise InvalidToken(
            f"The token is for {meant or 'nobody'}, and this is {here}. Ask for one with this 'audience'."
        )
    seconds = now.timestamp()
    if seconds >= claims.exp + LEEWAY_S:
        raise ExpiredToken("The token is over. Get a new one at POST /api/auth/token.")
    if max(claims.iat, claims.nbf or 0) > seconds + LEEWAY_S:
        raise InvalidToken("The token is from the future: the clocks of its issuer and of this process differ.")
    return claims


def end_of(claims: Claims, key_ends_at: datetime) -> datetime:
    """See :class:`Verified`."""
    return min(datetime.fromtimestamp(claims.exp, UTC) + timedelta(seconds=LEEWAY_S), key_ends_at)


# --- the keys that sign ---------------------------------------------------------------------------------------------


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair's public half and its times: it signs from ``active_from`` to ``active_until``, and what it signed is good
    until ``retires_at``. ``generation`` counts the keys, so that of processes that make the next one, one can."""

    generation: int
    kid: str
    public: dict[str, Any]
    created_at: datetime
    active_from: datetime
    active_until: datetime
    retires_at: datetime

    def published(self) -> dict[str, Any]:
        """As it stands in the JWKS (RFC 7517). ``exp``, when it retires, is the member that OpenID Federation 1.0 has for it."""
        return {**self.public, "exp": int(self.retires_at.timestamp())}


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """How keys take turns. ``ahead`` is how long before its use a key is published."""

    every: timedelta
    grace: timedelta

    @property
    def ahead(self) -> timedelta:
        """A quarter of an hour, where keys last for hours."""
        return min(timedelta(minutes=15), self.every / 4)


class NextKey(msgspec.Struct, frozen=True):
    """The key that is to be made."""

    generation: int
    active_from: datetime


def signing_key(keys: Collection[SigningKey], now: datetime) -> SigningKey | None:
    """The one that signs now. A key whose time has not come signs where there is no other: another process made it, and its
    clock is ahead of ours."""
    return min((key for key in keys if now < key.active_until), key=lambda key: key.generation, default=None)


def next_key(keys: Collection[SigningKey], now: datetime, rotation: Rotation) -> NextKey | None:
    """The key that is missing: one that signs, or soon the one after it."""
    newest = max(keys, key=lambda key: key.generation, default=None)
    if newest is None:
        return NextKey(1, now)
    if now < newest.active_until - rotation.ahead:
        return None
    return NextKey(newest.generation + 1, max(now, newest.active_until))
