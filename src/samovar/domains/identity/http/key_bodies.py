"""What goes in and out of ``/api/keys``."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from msgspec import UNSET
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from samovar.domains.identity.model import (
    DEFAULT_SCOPES,
    MODEL_PATTERN,
    OWNER_PATTERN,
    IssuedKey,
    Key,
    KeyState,
    Scope,
)
from samovar.domains.identity.service import (
    DEFAULT_GRACE_S,
    MAX_GRACE_S,
    MAX_MODEL_PATTERNS,
    MAX_NAME_CHARS,
    MAX_PATTERN_CHARS,
    IdentityService,
    KeyChange,
)
from samovar.kernel.answer_cache import DEFAULT_CACHE_TTL_S, MAX_CACHE_TTL_S, KeyCache
from samovar.kernel.guard import (
    DEFAULT_REPLACEMENT,
    MAX_REPLACEMENT_CHARS,
    MAX_RULE_NAME_CHARS,
    MAX_RULE_PATTERN_CHARS,
    MAX_RULES,
    MAX_TOKENS,
    RULE_NAME,
    Guard,
    GuardAction,
    GuardRule,
    GuardSide,
)
from samovar.ports.revisions import etag

KeyName = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME_CHARS, description="For people, to tell keys apart.", examples=["laptop"]),
]
ModelPattern = Annotated[str, Field(max_length=MAX_PATTERN_CHARS, pattern=MODEL_PATTERN, examples=["openai/*"])]


Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBody:
    """A rule over texts. A rule finds nothing in pictures and sound."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: Annotated[
        str,
        Field(min_length=1, max_length=MAX_RULE_NAME_CHARS, pattern=RULE_NAME, description="Callers are told it."),
    ]
    pattern: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_RULE_PATTERN_CHARS,
            description="RE2's syntax. It may not match the empty text.",
            examples=["sk-[A-Za-z0-9]{20,}"],
        ),
    ]
    on: GuardSide = GuardSide.BOTH
    action: GuardAction
    replacement: Annotated[
        str, Field(max_length=MAX_REPLACEMENT_CHARS, description="What stands in the place of what was redacted.")
    ] = DEFAULT_REPLACEMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardBody:
    """What a key lets through. A call that is beyond it is refused with 400."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_output_tokens: Annotated[
        Tokens | None, Field(description="The most a call may ask for; and the bound of one that names none.")
    ] = None
    max_input_tokens: Annotated[Tokens | None, Field(description="The most a call may send, by our estimate.")] = None
    rules: Annotated[tuple[RuleBody, ...], Field(max_length=MAX_RULES)] = ()


def guard_of(body: GuardBody | None) -> Guard | None:
    """The guard rails that a body says."""
    if body is None:
        return None
    rules = tuple(
        GuardRule(name=one.name, pattern=one.pattern, on=one.on, action=one.action, replacement=one.replacement)
        for one in body.rules
    )
    return Guard(max_output_tokens=body.max_output_tokens, max_input_tokens=body.max_input_tokens, rules=rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBody:
    """Answers at temperature 0 are remembered and given again to who asks exactly the same."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    ttl_s: Annotated[int, Field(ge=1, le=MAX_CACHE_TTL_S, description="For how long.")] = DEFAULT_CACHE_TTL_S
    own: Annotated[bool, Field(description="Shared with no other key of the team.")] = False


def cache_of(body: CacheBody | None) -> KeyCache | None:
    """What a body says of remembering answers."""
    return None if body is None else KeyCache(ttl_s=body.ttl_s, own=body.own)


_CacheField = Field(description="Whether answers are remembered, and for how long; null for not.")
_GuardField = Field(description="Guard rails: bounds on tokens, and rules over what is said; null for none.")
_ProjectField = Field(
    max_length=128,
    pattern=OWNER_PATTERN,
    description="The project its calls are for: whose wallet pays where the key has none, and whose quotas hold too.",
    examples=["website"],
)
_UserField = Field(
    max_length=128,
    pattern=OWNER_PATTERN,
    description="The person its calls are for: whose wallet pays where key and project have none, and whose quotas hold"
    " too.",
    examples=["ann@example.org"],
)
_DropField = Field(
    description="Parameters that a provider cannot take are dropped, where a call does not say otherwise."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOrder:
    """The key that is wanted. A field that is not here is refused, so that nothing asked for is silently left out."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: KeyName
    scopes: Annotated[
        tuple[Scope, ...],
        Field(min_length=1, max_length=len(Scope), description="What the key is for; none beyond your own rights."),
    ] = DEFAULT_SCOPES
    allowed_models: Annotated[
        tuple[ModelPattern, ...] | None,
        Field(
            min_length=1,
            max_length=MAX_MODEL_PATTERNS,
            description="Models by name, or by the name's beginning and a star; null allows every model.",
        ),
    ] = None
    expires_at: Annotated[
        AwareDatetime | None, Field(description="RFC 3339, in the future; null for a key that does not expire.")
    ] = None
    wallet_id: Annotated[
        str | None,
        Field(max_length=64, description="The wallet that pays; null for that of its project, its person or its team."),
    ] = None
    guard: Annotated[GuardBody | None, _GuardField] = None
    drop_params: Annotated[bool, _DropField] = False
    cache: Annotated[CacheBody | None, _CacheField] = None
    project_id: Annotated[str | None, _ProjectField] = None
    user_id: Annotated[str | None, _UserField] = None


class KeyPatch(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[KeyName | None, Field(description="null leaves it as it is.")] = None
    allowed_models: Annotated[
        tuple[ModelPattern, ...] | None,
        Field(min_length=1, max_length=MAX_MODEL_PATTERNS, description="null allows every model."),
    ] = None
    expires_at: Annotated[AwareDatetime | None, Field(description="null for a key that does not expire.")] = None
    guard: Annotated[GuardBody | None, _GuardField] = None
    drop_params: Annotated[bool | None, Field(description="null leaves it as it is.")] = None
    cache: Annotated[CacheBody | None, _CacheField] = None
    project_id: Annotated[str | None, _ProjectField] = None
    user_id: Annotated[str | None, _UserField] = None

    def change(self) -> KeyChange:
        """Only what was sent."""
        sent = self.model_fields_set
        return KeyChange(
            name=UNSET if self.name is None else self.name,
            allowed_models=self.allowed_models if "allowed_models" in sent else UNSET,
            expires_at=self.expires_at if "expires_at" in sent else UNSET,
            guard=guard_of(self.guard) if "guard" in sent else UNSET,
            drop_params=UNSET if self.drop_params is None else self.drop_params,
            cache=cache_of(self.cache) if "cache" in sent else UNSET,
            project_id=self.project_id if "project_id" in sent else UNSET,
            user_id=self.user_id if "user_id" in sent else UNSET,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """How to rotate."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    grace_s: Annotated[
        int, Field(ge=0, le=MAX_GRACE_S, description="Seconds for which the old key goes on working.")
    ] = DEFAULT_GRACE_S
    expires_at: Annotated[
        AwareDatetime | None, Field(description="When the new key ends, RFC 3339; null for the old one's end.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAnswer:
    """A key as anybody with ``keys:read`` sees it. ``hint`` is how its secret begins."""

    id: str
    team_id: str
    name: str
    hint: str
    state: KeyState
    scopes: tuple[Scope, ...]
    allowed_models: tuple[str, ...] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    grace_until: datetime | None
    replaced_by: str | None
    last_used_at: datetime | None
    wallet_id: str | None
    guard: GuardBody | None
    drop_params: bool
    cache: CacheBody | None
    project_id: str | None
    user_id: str | None
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKeyAnswer(KeyAnswer):
    """A key that was just made. ``key`` is the secret: it is shown here and never again."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """Newest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[KeyAnswer, ...]
    next_cursor: str | None


def shown(service: IdentityService, key: Key) -> dict[str, Any]:
    """The fields of :class:`KeyAnswer`."""
    return {
        "id": key.id,
        "team_id": key.team_id,
        "name": key.name,
        "hint": key.hint,
        "state": service.key_state(key),
        "scopes": key.scopes,
        "allowed_models": key.allowed_models,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "grace_until": key.grace_until,
        "replaced_by": key.replaced_by,
        "last_used_at": key.last_used_at,
        "wallet_id": key.wallet_id,
        "guard": _guard_shown(key.guard),
        "drop_params": key.drop_params,
        "cache": None if key.cache is None else CacheBody(ttl_s=key.cache.ttl_s, own=key.cache.own),
        "project_id": key.project_id,
        "user_id": key.user_id,
        "revision": key.revision,
    }


def _guard_shown(guard: Guard | None) -> GuardBody | None:
    if guard is None:
        return None
    rules = tuple(
        RuleBody(name=one.name, pattern=one.pattern, on=one.on, action=one.action, replacement=one.replacement)
        for one in guard.rules
    )
    return GuardBody(max_output_tokens=guard.max_output_tokens, max_input_tokens=guard.max_input_tokens, rules=rules)


def just_made(service: IdentityService, issued: IssuedKey, response: Response) -> NewKeyAnswer:
    """The answer with a key's secret, which nobody on the way may keep."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["ETag"] = etag(issued.key.revision)
    return NewKeyAnswer(**shown(service, issued.key), key=issued.secret)
