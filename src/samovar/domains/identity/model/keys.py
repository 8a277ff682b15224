"""Teams and gateway keys: what one is, how its text looks, and what nobody may give away. Pure."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from samovar.domains.identity.errors import BeyondOwnRights
from samovar.domains.identity.model.permissions import Permission, Scope, permissions_of
from samovar.kernel.answer_cache import KeyCache
from samovar.kernel.guard import NO_GUARD, Guard
from samovar.kernel.principal import Principal, PrincipalKind

KEYS_CHANGED: Final = "identity.keys.changed"
"""Bus topic. The message is the id of a key that was revoked or rotated: forget what you know of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Whose rows these are."""

    id: str
    name: str
    created_at: datetime


class KeyState(StrEnum):
    """Where a key stands in its life. A ``replaced`` key still works, until its grace ends; then it is ``revoked``."""

    ACTIVE = "active"
    REPLACED = "replaced"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A gateway key as everybody may see it: neither the secret nor its hash is here.

    ``hint`` is the beginning of the secret, for telling keys apart. ``allowed_models`` are patterns (see
    :func:`model_allowed`), ``None`` for every model. ``grace_until`` is set together with ``replaced_by``. ``wallet_id`` is
    who pays, ``None`` for the wallet of its owners, if they have one; ``project_id`` and ``user_id`` are for what and for whom
    its calls are. ``revision`` counts the changes a person made.
    """

    id: str
    team_id: str
    name: str
    hint: str
    scopes: tuple[Scope, ...]
    allowed_models: tuple[str, ...] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    grace_until: datetime | None = None
    replaced_by: str | None = None
    last_used_at: datetime | None = None
    wallet_id: str | None = None
    guard: Guard | None = None
    drop_params: bool = False
    cache: KeyCache | None = None
    project_id: str | None = None
    user_id: str | None = None
    revision: int = 1

    @property
    def ends_at(self) -> datetime | None:
        """When it stops working by itself, ``None`` for never."""
        ends = [at for at in (self.expires_at, self.grace_until) if at is not None]
        return min(ends) if ends else None

    def state(self, now: datetime) -> KeyState:
        """At its very end a key is over: ``expires_at`` is the first instant at which it does not work."""
        if self.revoked_at is not None or (self.grace_until is not None and now >= self.grace_until):
            return KeyState.REVOKED
        if self.expires_at is not None and now >= self.expires_at:
            return KeyState.EXPIRED
        return KeyState.ACTIVE if self.replaced_by is None else KeyState.REPLACED

    def principal(self) -> Principal:
        """Whom a caller with this key is."""
        return Principal(
            id=self.id,
            kind=PrincipalKind.KEY,
            team_id=self.team_id,
            name=self.name,
            permissions=permissions_of(self.scopes),
            allowed_models=self.allowed_models,
            expires_at=self.ends_at,
            wallet_id=self.wallet_id,
            guard=self.guard,
            drop_params=self.drop_params,
            cache=self.cache,
            project_id=self.project_id,
            user_id=self.user_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A key that was just made, with its secret: the only time it can be read, and never in a ``repr``."""

    key: Key
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPage:
    """Some keys of a team, the newest first; ``next_cursor`` leads on, ``None`` at the end."""

    items: tuple[Key, ...]
    next_cursor: str | None


# --- the text of keys -----------------------------------------------------------------------------------------------

KEY_PREFIX: Final = "sk-samovar-"
KEY_ENTROPY_BYTES: Final = 32
_KEY_SHAPE: Final = re.compile(r"sk-samovar-[A-Za-z0-9_-]{43}", re.ASCII)
_HINT_CHARS: Final = 4


def key_text(token: str) -> str:
    """The secret around ``token``: URL-safe base64 of ``KEY_ENTROPY_BYTES`` random bytes, 43 characters."""
    secret = KEY_PREFIX + token
    if not has_key_shape(secret):
        raise ValueError(f"a key's random part is {KEY_ENTROPY_BYTES} bytes as URL-safe base64")
    return secret


def has_key_shape(secret: str) -> bool:
    """Whether this could be a key. Looks at the public format alone, so its time tells nothing of any key we know."""
    return _KEY_SHAPE.fullmatch(secret) is not None


def key_hint(secret: str) -> str:
    """``sk-samovar-ab12…``: four of 43 characters, enough to tell keys apart and useless for guessing one."""
    return secret[: len(KEY_PREFIX) + _HINT_CHARS] + "…"


def digest_of(secret: str) -> bytes:
    """SHA-256. Enough for our keys, which are random: there is nothing to guess that a slow hash would protect."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


# --- for whom -------------------------------------------------------------------------------------------------------

OWNER_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}$"
"""The id of a project or a person. Free, but never to be taken for a mark of ours, which begin with something else."""

_OWNER: Final = re.compile(OWNER_PATTERN[1:-1], re.ASCII)


def is_owner_id(text: str) -> bool:
    """Whether ``text`` can name a project or a person."""
    return _OWNER.fullmatch(text) is not None


# --- which models ---------------------------------------------------------------------------------------------------

MODEL_PATTERN: Final = r"^(\*|[A-Za-z0-9][A-Za-z0-9._:@+/-]*\*?)$"
"""A model's full name, or a beginning and a star at the very end. No other wildcards, so that "does this pattern lie
within that one" has a plain answer."""

_MODEL_PATTERN: Final = re.compile(MODEL_PATTERN, re.ASCII)


def is_model_pattern(text: str) -> bool:
    """Whether ``text`` is ``*``, a name, or a name's beginning with a star."""
    return _MODEL_PATTERN.fullmatch(text) is not None


def model_allowed(patterns: tuple[str, ...] | None, model: str) -> bool:
    """Whether ``model`` (``provider/model``) matches: ``None`` allows all, ``openai/*`` a provider, a name only itself."""
    return patterns is None or any(_within(model, pattern) for pattern in patterns)


def _within(name_or_pattern: str, pattern: str) -> bool:
    # A pattern's own star is one more character to match, so the same line answers for names and for patterns.
    if pattern.endswith("*"):
        return name_or_pattern.startswith(pattern[:-1])
    return name_or_pattern == pattern


def check_may_manage_key(actor: Principal, key: Key) -> None:
    """Nobody changes or revokes a key that can do more than they can, or that is for another project or person than their own
    key is for. Raises :class:`BeyondOwnRights`."""
    missing = sorted(permissions_of(key.scopes) - actor.permissions)
    if missing:
        raise BeyondOwnRights(f"The key's scopes include {', '.join(missing)}, which you do not have.")
    _check_owners_within(actor, key)


def check_within_rights(maker: Principal, key: Key) -> None:
    """Nobody makes or renews a key that can do more than they can. Raises :class:`BeyondOwnRights`."""
    missing = sorted(permissions_of(key.scopes) - maker.permissions)
    if missing:
        raise BeyondOwnRights(f"The key's scopes include {', '.join(missing)}, which you do not have. Leave them out.")
    if maker.allowed_models is not None and (
        key.allowed_models is None
        or not all(any(_within(inner, outer) for outer in maker.allowed_models) for inner in key.allowed_models)
    ):
        raise BeyondOwnRights(
            f"You may use only {', '.join(maker.allowed_models)}: name those or fewer in 'allowed_models'."
        )
    if maker.guard is not None and not (key.guard or NO_GUARD).is_within(maker.guard):
        raise BeyondOwnRights(
            "Your own key has guard rails: give the key the same rules, and bounds on tokens no higher than yours."
        )
    _check_owners_within(maker, key)
    # People's and services' tokens live minutes and are renewed: what they make may outlive a token, not so with a key.
    if maker.kind is not PrincipalKind.KEY or maker.expires_at is None:
        return
    if key.expires_at is None or key.expires_at > maker.expires_at:
        raise BeyondOwnRights("Your own key ends before the new one would: give an 'expires_at' no later than yours.")


def _check_owners_within(maker: Principal, key: Key) -> None:
    # Whose a key is decides who pays and which limits hold: a key that is somebody's makes and renews none of others.
    if Permission.WALLETS_WRITE in maker.permissions:
        return
    for what, own, named in (
        ("project_id", maker.project_id, key.project_id),
        ("user_id", maker.user_id, key.user_id),
    ):
        if own is not None and named != own:
            raise BeyondOwnRights(f"Your own key is for {what} {own}: the key must be for the same.")
