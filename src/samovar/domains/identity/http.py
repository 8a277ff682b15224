"""Gateway keys over HTTP (``/api/keys``), and the dependency that tells every control-plane route who is asking."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from msgspec import UNSET
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from samovar.domains.identity.errors import NoCredential
from samovar.domains.identity.model import (
    DEFAULT_SCOPES,
    MODEL_PATTERN,
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
    MAX_PAGE,
    MAX_PATTERN_CHARS,
    IdentityService,
    KeyChange,
)
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
from samovar.kernel.principal import Principal
from samovar.ports.asgi import SIGNED_IN
from samovar.ports.problems import refusals
from samovar.ports.revisions import etag, expected_revision

Authenticate = Callable[[Request], Awaitable[Principal]]

_MAX_CREDENTIAL_CHARS: Final = 512


def authenticated(service: IdentityService) -> Authenticate:
    """A dependency: the principal of ``X-Admin-Token``, or else of ``Authorization: Bearer`` (a key or the admin token).

    It raises ``NoCredential`` and whatever ``service.authenticate`` raises. The address for the limit on wrong
    credentials is the connection's; behind trusted proxies the app's middleware has put the client's there.
    """

    async def authenticate(request: Request) -> Principal:
        address = None if request.client is None else request.client.host
        admin_token = request.headers.get("x-admin-token")
        if admin_token is not None:
            principal = await service.authenticate_admin(admin_token[:_MAX_CREDENTIAL_CHARS], address=address)
            request.scope[SIGNED_IN] = True
            return principal
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()[:_MAX_CREDENTIAL_CHARS]
        if scheme.lower() != "bearer" or not secret:
            raise NoCredential(
                "Send a key as 'Authorization: Bearer sk-samovar-…', or the admin token as 'X-Admin-Token'."
            )
        principal = service.recall(secret) or await service.authenticate(secret, address=address)
        request.scope[SIGNED_IN] = True
        return principal

    return authenticate


# --- what goes in and out -------------------------------------------------------------------------------------------

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


def _guard(body: GuardBody | None) -> Guard | None:
    if body is None:
        return None
    rules = tuple(
        GuardRule(name=one.name, pattern=one.pattern, on=one.on, action=one.action, replacement=one.replacement)
        for one in body.rules
    )
    return Guard(max_output_tokens=body.max_output_tokens, max_input_tokens=body.max_input_tokens, rules=rules)


_GuardField = Field(description="Guard rails: bounds on tokens, and rules over what is said; null for none.")
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
        str | None, Field(max_length=64, description="The wallet that pays; null for the team's own, if it has one.")
    ] = None
    guard: Annotated[GuardBody | None, _GuardField] = None
    drop_params: Annotated[bool, _DropField] = False


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

    def change(self) -> KeyChange:
        """Only what was sent."""
        sent = self.model_fields_set
        return KeyChange(
            name=UNSET if self.name is None else self.name,
            allowed_models=self.allowed_models if "allowed_models" in sent else UNSET,
            expires_at=self.expires_at if "expires_at" in sent else UNSET,
            guard=_guard(self.guard) if "guard" in sent else UNSET,
            drop_params=UNSET if self.drop_params is None else self.drop_params,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """How to rotate."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    grace_s: Annotated[
        int, Field(ge=0, le=MAX_GRACE_S, description="Seconds for which the old key goes on working.")
    ] = DEFAULT_GRACE_S


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


def _fields(service: IdentityService, key: Key) -> dict[str, Any]:
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
        "guard": _guard_body(key.guard),
        "drop_params": key.drop_params,
        "revision": key.revision,
    }


def _guard_body(guard: Guard | None) -> GuardBody | None:
    if guard is None:
        return None
    rules = tuple(
        RuleBody(name=one.name, pattern=one.pattern, on=one.on, action=one.action, replacement=one.replacement)
        for one in guard.rules
    )
    return GuardBody(max_output_tokens=guard.max_output_tokens, max_input_tokens=guard.max_input_tokens, rules=rules)


def _new_key(service: IdentityService, issued: IssuedKey, response: Response) -> NewKeyAnswer:
    response.headers["Cache-Control"] = "no-store"
    response.headers["ETag"] = etag(issued.key.revision)
    return NewKeyAnswer(**_fields(service, issued.key), key=issued.secret)


# --- how refusals look in the description ---------------------------------------------------------------------------

_REFUSALS: Final = {
    400: "The body is not JSON",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission, or the key would go beyond its maker's rights",
    404: "Your team has no such key",
    409: "The key is not active",
    412: "`If-Match` is not the current revision",
    422: "A field or parameter breaks a rule; `errors` names each",
    429: "Too many requests, or too many wrong credentials from one address; see Retry-After",
    503: "The database does not answer",
}


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for these statuses and for those that every route here may answer."""
    return refusals(_REFUSALS, 401, 403, 429, 503, *statuses)


_bearer = HTTPBearer(auto_error=False, description="A gateway key, or the admin token.")
_admin_token = APIKeyHeader(name="X-Admin-Token", auto_error=False, description="The installation's admin token.")


_KeyId = Annotated[str, Path(max_length=64, description="The key's `id`, not its secret.")]


# --- routes ---------------------------------------------------------------------------------------------------------


def router(*, service: IdentityService, authenticate: Authenticate) -> APIRouter:
    """``/api/keys``: create, list, show, change, rotate, revoke."""
    routes = APIRouter(prefix="/api/keys", tags=["keys"], dependencies=[Security(_bearer), Security(_admin_token)])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.post("", status_code=201, summary="Make a gateway key", responses=_refusals(400, 422))
    async def create(principal: caller, order: KeyOrder, response: Response) -> NewKeyAnswer:
        """The secret (`key`) stands in this answer and nowhere else, ever: keep it now."""
        issued = await service.create_key(
            principal,
            name=order.name,
            scopes=order.scopes,
            allowed_models=order.allowed_models,
            expires_at=order.expires_at,
            wallet_id=order.wallet_id,
            guard=_guard(order.guard),
            drop_params=order.drop_params,
        )
        return _new_key(service, issued, response)

    @routes.get("", summary="List the team's gateway keys", responses=_refusals(422))
    async def listing(
        principal: caller,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before.")] = None,
    ) -> KeyList:
        """The newest first, revoked and expired ones too."""
        page = await service.list_keys(principal, limit=limit, cursor=cursor)
        return KeyList(
            items=tuple(KeyAnswer(**_fields(service, key)) for key in page.items), next_cursor=page.next_cursor
        )

    @routes.get("/{key_id}", summary="Show a gateway key", responses=_refusals(404, 422))
    async def show(principal: caller, key_id: _KeyId, response: Response) -> KeyAnswer:
        found = await service.get_key(principal, key_id)
        response.headers["ETag"] = etag(found.revision)
        return KeyAnswer(**_fields(service, found))

    @routes.delete("/{key_id}", status_code=204, summary="Revoke a gateway key", responses=_refusals(404, 422))
    async def revoke(principal: caller, key_id: _KeyId) -> None:
        """It stops working here at once and in every process within seconds, for good. Again is harmless."""
        await service.revoke_key(principal, key_id)

    @routes.post(
        "/{key_id}/rotate", status_code=201, summary="Rotate a gateway key", responses=_refusals(400, 404, 409, 422)
    )
    async def rotate(
        principal: caller,
        key_id: _KeyId,
        response: Response,
        rotation: Annotated[Rotation | None, Body()] = None,
    ) -> NewKeyAnswer:
        """A new key with the same rights and end, which works at once; the old one works until its grace is over."""
        grace_s = DEFAULT_GRACE_S if rotation is None else rotation.grace_s
        return _new_key(service, await service.rotate_key(principal, key_id, grace_s=grace_s), response)

    _add_change(routes, service=service, authenticate=authenticate)
    return routes


def _add_change(routes: APIRouter, *, service: IdentityService, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.patch("/{key_id}", summary="Change a gateway key", responses=_refusals(400, 404, 409, 412, 422))
    async def change(
        principal: caller,
        key_id: _KeyId,
        patch: KeyPatch,
        response: Response,
        if_match: Annotated[
            str | None, Header(max_length=64, description="The `ETag` you saw: 412 if it is no longer the current one.")
        ] = None,
    ) -> KeyAnswer:
        """It works so here at once and in every process within seconds; the secret stays the same."""
        changed = await service.change_key(principal, key_id, patch.change(), expected=expected_revision(if_match))
        response.headers["ETag"] = etag(changed.revision)
        return KeyAnswer(**_fields(service, changed))
