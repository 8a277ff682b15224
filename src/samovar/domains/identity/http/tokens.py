"""Where tokens come from (``POST /api/auth/token``), and the keys that check them (``/.well-known/jwks.json``)."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from fastapi import Request, Security
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBasic
from starlette.requests import HTTPConnection

from samovar.domains.identity.errors import BadTokenRequest, InvalidClient
from samovar.domains.identity.service import Granting, SigningKeys
from samovar.kernel.errors import SamovarError, TooManyRequests, Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.asgi import SIGNED_IN
from samovar.ports.routes import Routes

Admit = Callable[[Request, Principal], Awaitable[None]]
"""Notes in a request's scope who asks, and counts it among theirs. Raises ``TooManyRequests``."""

GRANT_TYPE: Final = "client_credentials"
_MAX_AUDIENCES: Final = 16
_MAX_FIELDS: Final = 32
_UNCACHED: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}


def _said(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": _ERROR}}}


_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A token",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["access_token", "token_type", "expires_in"],
                    "properties": {
                        "access_token": {"type": "string", "description": "A JWT, signed with RS256."},
                        "token_type": {"type": "string", "enum": ["Bearer"]},
                        "expires_in": {"type": "integer", "description": "Seconds."},
                    },
                }
            }
        },
    },
    400: _said("`invalid_request`, `unsupported_grant_type` or `invalid_target`"),
    401: _said("`invalid_client`: no such client, not its secret, a secret that is over, or a disabled account"),
    429: _said("`rate_limited`: too many wrong secrets from one address, or too many requests; see Retry-After"),
    503: _said("`temporarily_unavailable`"),
}
_CREDENTIALS: Final[dict[str, Any]] = {
    "client_id": {"type": "string", "minLength": 1, "maxLength": 200},
    "client_secret": {"type": "string", "minLength": 1, "maxLength": 200},
    "grant_type": {"type": "string", "enum": [GRANT_TYPE]},
}
_NAMES: Final = "What the token is for: admin, gateway, ingester, query, storage; all of them if left out."
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["client_id", "client_secret"],
                    "properties": {
                        **_CREDENTIALS,
                        "audience": {
                            "description": _NAMES,
                            "anyOf": [
                                {"type": "string"},
                                {"type": "array", "items": {"type": "string"}, "maxItems": _MAX_AUDIENCES},
                            ],
                        },
                    },
                }
            },
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "description": "RFC 6749, section 4.4; the client may be in an HTTP Basic header instead.",
                    "required": ["grant_type"],
                    "properties": {
                        **_CREDENTIALS,
                        "audience": {"type": "string", "description": f"{_NAMES} Separated by spaces."},
                    },
                }
            },
        },
    }
}
_JWKS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A JWK set (RFC 7517); `exp` says when a key retires",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["keys"],
                    "properties": {"keys": {"type": "array", "items": {"type": "object"}}},
                }
            }
        },
    },
    304: {"description": "It is as `If-None-Match` has it"},
}


class _Basic(HTTPBasic):
    """Describes; what is read of the header is :func:`read_request`'s business."""

    async def __call__(self, request: HTTPConnection) -> None:
        """Nothing."""


class TokenRequest(msgspec.Struct, frozen=True):
    """Who asks, and for what. No ``repr`` shows the secret."""

    client_id: str
    client_secret: str
    audience: tuple[str, ...]

    def __repr__(self) -> str:
        return f"TokenRequest({self.client_id!r})"


def tokens_router(*, granting: Granting, keys: SigningKeys, admit: Admit) -> Routes:
    """The two routes, which want no credential but those that they are asked with."""
    routes = Routes(tags=["service accounts"])

    @routes.post(
        "/api/auth/token",
        summary="Get an access token",
        response_class=JSONResponse,
        responses=_ANSWERS,
        openapi_extra=_BODY,
        dependencies=[Security(_Basic(scheme_name="client", description="A service account's client id and secret."))],
    )
    async def token(request: Request) -> Response:
        """The client credentials grant, as JSON or as RFC 6749 has it: a form, with the client in it or in HTTP Basic."""
        address = None if request.client is None else request.client.host
        try:
            try:
                asked = read_request(await request.body(), request.headers.get("authorization"))
            except SamovarError:
                await granting.refused(address)
                raise
            client = await granting.client(asked.client_id, asked.client_secret, address=address)
            request.scope[SIGNED_IN] = True
            await admit(request, client.principal)
            issued = await granting.grant(client, audience=asked.audience)
        except SamovarError as error:
            return _refused(error)
        body = {"access_token": issued.token, "token_type": "Bearer", "expires_in": issued.expires_in_s}
        return JSONResponse(body, headers=_UNCACHED)

    @routes.get(
        "/.well-known/jwks.json",
        summary="The keys that check access tokens",
        response_class=JSONResponse,
        responses=_JWKS,
    )
    async def jwks(request: Request) -> Response:
        """Each key stands here before the first token is signed with it, until none is good any more."""
        published = await keys.published()
        headers = {"ETag": published.etag, "Cache-Control": f"public, max-age={published.max_age_s}"}
        seen = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
        if published.etag in seen or "*" in seen:
            return Response(None, 304, headers=headers)
        return Response(published.body, headers={**headers, "content-type": "application/json"})

    return routes


def read_request(body: bytes, authorization: str | None) -> TokenRequest:
    """A body that begins like a JSON object is one; any other is a form. Raises ``BadTokenRequest``, ``InvalidClient``."""
    fields = _json(body) if body.lstrip()[:1] == b"{" else _form(body)
    grant = fields.get("grant_type")
    if grant != GRANT_TYPE:
        raise BadTokenRequest(
            f"grant_type must be {GRANT_TYPE!r}: it is the only one here.",
            oauth="invalid_request" if grant is None else "unsupported_grant_type",
        )
    client_id, secret = _text(fields, "client_id"), _text(fields, "client_secret")
    if authorization is not None:
        named, shown = _basic(authorization)
        if secret is not None or client_id not in (None, named):
            raise BadTokenRequest("Send the client in the Authorization header or in the body, not in both.")
        client_id, secret = named, shown
    if not client_id or not secret:
        raise InvalidClient("Send client_id and client_secret.")
    return TokenRequest(client_id, secret, _audience(fields.get("audience")))


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadTokenRequest("The body is neither a JSON object nor a form.") from error
    # The file store's document asks with the client's id and secret alone.
    return {"grant_type": GRANT_TYPE, **{name: value for name, value in said.items() if value is not None}}


def _form(body: bytes) -> Mapping[str, Any]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=False, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise BadTokenRequest("The body is neither a JSON object nor a form.") from error
    found = dict(pairs)
    # RFC 6749, section 3.2.
    if len(found) != len(pairs):
        raise BadTokenRequest("A field stands in the form twice.")
    return found


def _basic(header: str) -> tuple[str, str]:
    """RFC 7617, each part encoded as in a form (RFC 6749, section 2.3.1)."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("A client signs in with HTTP Basic, or with client_id and client_secret in the body.")
    try:
        name, colon, secret = base64.b64decode(rest.strip(), validate=True).decode("ascii").partition(":")
    except ValueError as error:
        # Of the base64, of the text in it, or of a header that is not even ASCII.
        raise InvalidClient("The Authorization header is not HTTP Basic's.") from error
    if not colon:
        raise InvalidClient("The Authorization header is not HTTP Basic's.")
    return unquote_plus(name), unquote_plus(secret)


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise BadTokenRequest(f"{name} must be a text.")
    return value


def _audience(value: object) -> tuple[str, ...]:
    names = value.split() if isinstance(value, str) else value if value is not None else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) > _MAX_AUDIENCES:
        raise BadTokenRequest("audience must be a text or a list of texts.", oauth="invalid_target")
    return tuple(names)


def _refused(error: SamovarError) -> Response:
    """In the shape of RFC 6749, section 5.2."""
    if isinstance(error, BadTokenRequest):
        word = error.oauth
    elif isinstance(error, TooManyRequests):
        word = "rate_limited"
    elif isinstance(error, Unavailable):
        word = "temporarily_unavailable"
    else:
        word = error.code
    body = {"error": word, "error_description": error.detail}
    return JSONResponse(body, error.http_status, headers={**_UNCACHED, **error.headers})
