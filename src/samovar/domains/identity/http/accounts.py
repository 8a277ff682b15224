"""Service accounts over HTTP (``/api/service-accounts``)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Body, Depends, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.identity.http.signed_in import Authenticate
from samovar.domains.identity.model import (
    CLIENT_ID_PATTERN,
    AccountState,
    IssuedAccount,
    ServiceAccount,
    ServiceRole,
)
from samovar.domains.identity.service import MAX_NAME_CHARS, MAX_PAGE, AccountChange, ServiceAccounts
from samovar.domains.identity.service.accounts import MAX_SECRET_GRACE_S
from samovar.kernel.principal import Principal
from samovar.ports.problems import refusals
from samovar.ports.revisions import etag, expected_revision
from samovar.ports.routes import Routes

_REFUSALS: Final = {
    400: "The body is not JSON",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission, or the account would go beyond its maker's rights",
    404: "Your team has no such service account",
    409: "The client id is taken, or somebody else rotated the secret at the same moment",
    412: "`If-Match` is not the current revision",
    422: "A field or parameter breaks a rule; `errors` names each",
    429: "Too many requests, or too many wrong credentials from one address; see Retry-After",
    503: "The database does not answer, or too many secrets are being hashed",
}

_AccountId = Annotated[str, Path(max_length=64, description="The account's `id`.")]
_Name = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME_CHARS, description="For people.", examples=["nightly export"]),
]
_Role = Annotated[
    ServiceRole,
    Field(
        description="ADMIN may everything, USER works with models, prompts and files, AUDITOR reads everything, READONLY reads"
        " models, usage, prompts and files."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOrder:
    """The account that is wanted."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: _Name
    role: _Role = ServiceRole.USER
    client_id: Annotated[
        str | None,
        Field(
            min_length=3,
            max_length=64,
            pattern=CLIENT_ID_PATTERN,
            description="What it signs in as, unique in the installation; null for its `id`.",
            examples=["nightly-export"],
        ),
    ] = None


class AccountPatch(BaseModel):
    """What to change; what is left out, or null, stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Name | None = None
    role: _Role | None = None
    disabled: Annotated[
        bool | None, Field(description="A disabled account gets no tokens, and those that it has are refused.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRotation:
    """How to rotate."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    grace_s: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_SECRET_GRACE_S,
            description="Seconds for which the old secret goes on working; null for the installation's setting.",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAnswer:
    """A service account as anybody with ``keys:read`` sees it. ``hint`` is how its secret begins."""

    id: str
    team_id: str
    name: str
    client_id: str
    role: ServiceRole
    state: AccountState
    hint: str
    secret_made_at: datetime
    secret_expires_at: datetime
    former_secret_until: datetime | None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    last_used_at: datetime | None
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecretAnswer(AccountAnswer):
    """An account with the secret that was just made: it is shown here and never again."""

    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountList:
    """Newest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[AccountAnswer, ...]
    next_cursor: str | None


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return refusals(_REFUSALS, 401, 403, 429, 503, *statuses)


def accounts_router(*, service: ServiceAccounts, authenticate: Authenticate) -> Routes:
    """``/api/service-accounts``: create, list, show, change, delete, rotate the secret."""
    routes = Routes(prefix="/api/service-accounts", tags=["service accounts"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.post("", status_code=201, summary="Make a service account", responses=_refusals(400, 409, 422))
    async def create(principal: caller, order: AccountOrder, response: Response) -> NewSecretAnswer:
        """The secret (`client_secret`) stands in this answer and nowhere else, ever: keep it now."""
        issued = await service.create(principal, name=order.name, role=order.role, client_id=order.client_id)
        return _just_made(service, issued, response)

    @routes.get("", summary="List the team's service accounts", responses=_refusals(422))
    async def listing(
        principal: caller,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before.")] = None,
    ) -> AccountList:
        """The newest first."""
        page = await service.page(principal, limit=limit, cursor=cursor)
        return AccountList(
            items=tuple(AccountAnswer(**_shown(service, one)) for one in page.items), next_cursor=page.next_cursor
        )

    @routes.get("/{account_id}", summary="Show a service account", responses=_refusals(404, 422))
    async def show(principal: caller, account_id: _AccountId, response: Response) -> AccountAnswer:
        found = await service.get(principal, account_id)
        response.headers["ETag"] = etag(found.revision)
        return AccountAnswer(**_shown(service, found))

    @routes.delete("/{account_id}", status_code=204, summary="Delete a service account", responses=_refusals(404, 422))
    async def delete(principal: caller, account_id: _AccountId) -> None:
        """For good. Its tokens stop working here at once and in every process within seconds."""
        await service.delete(principal, account_id)

    _add_changes(routes, service=service, authenticate=authenticate)
    return routes


def _add_changes(routes: Routes, *, service: ServiceAccounts, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.patch("/{account_id}", summary="Change a service account", responses=_refusals(400, 404, 412, 422))
    async def change(
        principal: caller,
        account_id: _AccountId,
        patch: AccountPatch,
        response: Response,
        if_match: Annotated[
            str | None, Header(max_length=64, description="The `ETag` you saw: 412 if it is no longer the current one.")
        ] = None,
    ) -> AccountAnswer:
        """Tokens that it has know of it here at once and in every process within seconds. One that is enabled again finds its
        tokens good that are not over yet; rotate the secret without grace to end them too."""
        wanted = AccountChange(name=patch.name, role=patch.role, disabled=patch.disabled)
        changed = await service.change(principal, account_id, wanted, expected=expected_revision(if_match))
        response.headers["ETag"] = etag(changed.revision)
        return AccountAnswer(**_shown(service, changed))

    @routes.post(
        "/{account_id}/rotate-secret",
        status_code=201,
        summary="Rotate a service account's secret",
        responses=_refusals(400, 404, 409, 422),
    )
    async def rotate_secret(
        principal: caller,
        account_id: _AccountId,
        response: Response,
        rotation: Annotated[SecretRotation | None, Body()] = None,
    ) -> NewSecretAnswer:
        """A new secret, which works at once; the old one, and the tokens that were got with it, until its grace is over."""
        how = rotation or SecretRotation()
        issued = await service.rotate_secret(principal, account_id, grace_s=how.grace_s)
        return _just_made(service, issued, response)


def _just_made(service: ServiceAccounts, issued: IssuedAccount, response: Response) -> NewSecretAnswer:
    """The answer with a secret, which nobody on the way may keep."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["ETag"] = etag(issued.account.revision)
    return NewSecretAnswer(**_shown(service, issued.account), client_secret=issued.secret)


def _shown(service: ServiceAccounts, account: ServiceAccount) -> dict[str, Any]:
    return {
        "id": account.id,
        "team_id": account.team_id,
        "name": account.name,
        "client_id": account.client_id,
        "role": account.role,
        "state": service.state(account),
        "hint": account.hint,
        "secret_made_at": account.secret_made_at,
        "secret_expires_at": account.secret_expires_at,
        "former_secret_until": account.former_until,
        "created_at": account.created_at,
        "created_by": account.created_by,
        "disabled_at": account.disabled_at,
        "last_used_at": account.last_used_at,
        "revision": account.revision,
    }
