"""Gateway keys over HTTP (``/api/keys``)."""

from typing import Annotated, Any, Final

from fastapi import Body, Depends, Header, Path, Query, Response

from samovar.domains.identity.http.key_bodies import (
    KeyAnswer,
    KeyList,
    KeyOrder,
    KeyPatch,
    NewKeyAnswer,
    Rotation,
    cache_of,
    guard_of,
    just_made,
    shown,
)
from samovar.domains.identity.http.signed_in import Authenticate
from samovar.domains.identity.service import (
    MAX_PAGE,
    IdentityService,
)
from samovar.kernel.principal import Principal
from samovar.ports.problems import refusals
from samovar.ports.revisions import etag, expected_revision
from samovar.ports.routes import Routes

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


_KeyId = Annotated[str, Path(max_length=64, description="The key's `id`, not its secret.")]


# --- routes ---------------------------------------------------------------------------------------------------------


def router(*, service: IdentityService, authenticate: Authenticate) -> Routes:
    """``/api/keys``: create, list, show, change, rotate, revoke."""
    routes = Routes(prefix="/api/keys", tags=["keys"])
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
            guard=guard_of(order.guard),
            drop_params=order.drop_params,
            cache=cache_of(order.cache),
            project_id=order.project_id,
            user_id=order.user_id,
        )
        return just_made(service, issued, response)

    @routes.get("", summary="List the team's gateway keys", responses=_refusals(422))
    async def listing(
        principal: caller,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before.")] = None,
    ) -> KeyList:
        """The newest first, revoked and expired ones too."""
        page = await service.list_keys(principal, limit=limit, cursor=cursor)
        return KeyList(
            items=tuple(KeyAnswer(**shown(service, key)) for key in page.items), next_cursor=page.next_cursor
        )

    @routes.get("/{key_id}", summary="Show a gateway key", responses=_refusals(404, 422))
    async def show(principal: caller, key_id: _KeyId, response: Response) -> KeyAnswer:
        found = await service.get_key(principal, key_id)
        response.headers["ETag"] = etag(found.revision)
        return KeyAnswer(**shown(service, found))

    @routes.delete("/{key_id}", status_code=204, summary="Revoke a gateway key", responses=_refusals(404, 422))
    async def revoke(principal: caller, key_id: _KeyId) -> None:
        """It stops working here at once and in every process within seconds, for good. Again is harmless."""
        await service.revoke_key(principal, key_id)

    _add_changes(routes, service=service, authenticate=authenticate)
    return routes


def _add_changes(routes: Routes, *, service: IdentityService, authenticate: Authenticate) -> None:
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
        return KeyAnswer(**shown(service, changed))

    @routes.post(
        "/{key_id}/rotate", status_code=201, summary="Rotate a gateway key", responses=_refusals(400, 404, 409, 422)
    )
    async def rotate(
        principal: caller,
        key_id: _KeyId,
        response: Response,
        rotation: Annotated[Rotation | None, Body()] = None,
    ) -> NewKeyAnswer:
        """A new key with the same rights, which works at once; the old one works until its grace is over."""
        how = rotation or Rotation()
        issued = await service.rotate_key(principal, key_id, grace_s=how.grace_s, expires_at=how.expires_at)
        return just_made(service, issued, response)
