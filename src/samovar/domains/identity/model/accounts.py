"""Service accounts: what one is, which secret of it is good when, and who may make one. Pure."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from samovar.domains.identity.errors import BeyondOwnRights
from samovar.domains.identity.model.permissions import Permission, ServiceRole, permissions_of
from samovar.kernel.principal import Principal, PrincipalKind

ACCOUNT_PREFIX: Final = "sa"
"""What the ids of service accounts begin with: tells them from those of keys."""

CLIENT_ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$"
"""No colon: HTTP Basic (RFC 7617) ends the name at the first one."""

SECRET_PREFIX: Final = "sk-service-"  # noqa: S105 - how secrets begin, none itself
_SECRET_SHAPE: Final = re.compile(r"sk-service-[A-Za-z0-9_-]{43}", re.ASCII)
_CLIENT_ID: Final = re.compile(CLIENT_ID_PATTERN[1:-1], re.ASCII)
_HINT_CHARS: Final = 4


class AccountState(StrEnum):
    """``expired`` is one whose secret is: it gets no more tokens until the secret is rotated."""

    ACTIVE = "active"
    EXPIRED = "expired"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """A program that signs in for itself. Neither its secrets nor their hashes are here.

    ``hint`` is the beginning of the secret. ``secret_version`` counts the secrets; the one before, ``former_version``, is good
    until ``former_until``. ``revision`` counts the changes a person made.
    """

    id: str
    team_id: str
    name: str
    client_id: str
    role: ServiceRole
    hint: str
    secret_version: int
    secret_made_at: datetime
    secret_expires_at: datetime
    created_at: datetime
    created_by: str
    former_hint: str | None = None
    former_version: int | None = None
    former_until: datetime | None = None
    disabled_at: datetime | None = None
    last_used_at: datetime | None = None
    revision: int = 1

    def state(self, now: datetime) -> AccountState:
        """At its very end a secret is over."""
        if self.disabled_at is not None:
            return AccountState.DISABLED
        return AccountState.EXPIRED if now >= self.secret_expires_at else AccountState.ACTIVE

    def end_of_secret(self, version: int) -> datetime | None:
        """When the secret of this version ends, ``None`` for one that is none of the account's any more."""
        if version == self.secret_version:
            return self.secret_expires_at
        return self.former_until if version == self.former_version else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretHashes:
    """Argon2 hashes of an account's secrets."""

    current: str = field(repr=False)
    former: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedAccount:
    """An account whose secret was just made: the only time it can be read, and never in a ``repr``."""

    account: ServiceAccount
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage:
    """Some accounts of a team, the newest first; ``next_cursor`` leads on, ``None`` at the end."""

    items: tuple[ServiceAccount, ...]
    next_cursor: str | None


def is_client_id(text: str) -> bool:
    """Whether an account can be called so."""
    return _CLIENT_ID.fullmatch(text) is not None


def secret_text(token: str) -> str:
    """The secret around ``token``: URL-safe base64 of 32 random bytes, 43 characters."""
    secret = SECRET_PREFIX + token
    if not has_secret_shape(secret):
        raise ValueError("a secret's random part is 32 bytes as URL-safe base64")
    return secret


def has_secret_shape(secret: str) -> bool:
    """Whether this could be an account's secret. Looks at the public format alone."""
    return _SECRET_SHAPE.fullmatch(secret) is not None


def secret_hint(secret: str) -> str:
    """``sk-service-ab12…``: four of 43 characters."""
    return secret[: len(SECRET_PREFIX) + _HINT_CHARS] + "…"


def check_may_manage(actor: Principal, account: ServiceAccount) -> None:
    """Nobody changes, switches off or deletes an account that can do more than they can. Raises :class:`BeyondOwnRights`."""
    missing = sorted(permissions_of([account.role]) - actor.permissions)
    if missing:
        raise BeyondOwnRights(
            f"The account has the role {account.role.value}, which includes {', '.join(missing)}, and you do not have that."
        )


def check_may_empower(maker: Principal, role: ServiceRole) -> None:
    """Nobody makes an account, or gets the secret of one, that can do more than they can. Raises :class:`BeyondOwnRights`."""
    missing = sorted(permissions_of([role]) - maker.permissions)
    if missing:
        raise BeyondOwnRights(f"The role {role.value} includes {', '.join(missing)}, which you do not have.")
    if maker.kind is not PrincipalKind.KEY:
        return
    bounds: dict[str, object] = {
        "allowed_models": maker.allowed_models,
        "guard rails": maker.guard,
        "an end": maker.expires_at,
    }
    if Permission.WALLETS_WRITE not in maker.permissions:
        bounds |= {"a wallet": maker.wallet_id, "a project": maker.project_id, "a person": maker.user_id}
    held = [what for what, bound in bounds.items() if bound is not None]
    if held:
        # An account has none of these, so it could do what the key may not.
        raise BeyondOwnRights(f"Your own key has {', '.join(held)}, which no service account has: use one without.")
