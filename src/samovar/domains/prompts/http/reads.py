"""``GET /v1/prompts``, ``/v1/prompts/default`` and ``/v1/prompts/{id}`` as raw ASGI.

With a key that is warm and an answer in memory nothing here waits for the database: about 30 microseconds of work.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from samovar.domains.billing.service.quotas import QuotaService
from samovar.domains.identity.model import OpenSurface, Permission, require
from samovar.domains.identity.service import IdentityService
from samovar.domains.prompts.errors import PromptNotFound
from samovar.domains.prompts.http.conventions import PREFIX
from samovar.domains.prompts.http.queries import default_place, read_query
from samovar.domains.prompts.model import prompt_id
from samovar.domains.prompts.service import Found, PromptReads, no_default, not_found
from samovar.kernel.errors import UNEXPECTED, SamovarError, Unauthenticated
from samovar.kernel.principal import Principal
from samovar.ports.asgi import (
    REFUSAL,
    REQUEST_ID,
    SIGNED_IN,
    Receive,
    Route,
    Scope,
    Send,
    header_pairs,
    sane_request_id,
    send_whole,
)
from samovar.ports.clock import Ids
from samovar.ports.problems import PROBLEM_TYPE

_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", PROBLEM_TYPE.encode())
_MAX_CREDENTIAL_CHARS: Final = 512

Headers = list[tuple[bytes, bytes]]
Problem = Callable[[SamovarError, str], tuple[int, bytes]]
"""Status and body of an error, under a request's id."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """Who gets in, and what stands on every answer."""

    identity: IdentityService
    quotas: QuotaService
    ids: Ids
    base_headers: Sequence[tuple[bytes, bytes]]
    problem: Problem


class _Asked:
    """What of a request's headers matters here."""

    __slots__ = ("admin_token", "none_match", "request_id", "secret")

    def __init__(self, scope: Scope) -> None:
        self.secret: str | None = None
        self.admin_token: str | None = None
        self.none_match: bytes | None = None
        self.request_id: str | None = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                if value[:7].lower() == b"bearer ":
                    self.secret = value[7 : 7 + _MAX_CREDENTIAL_CHARS].strip().decode("latin-1")
            elif name == b"x-admin-token":
                self.admin_token = value[:_MAX_CREDENTIAL_CHARS].decode("latin-1")
            elif name == b"if-none-match":
                self.none_match = value
            elif name == b"x-request-id":
                self.request_id = sane_request_id(value)


Find = Callable[[Principal, Scope], Awaitable[Found]]


class Read:
    """An :class:`~samovar.ports.asgi.Endpoint`. ``find`` raises what the caller is refused for; ``missing`` is the error for
    what is not there."""

    def __init__(self, *, door: Door, find: Find, missing: Callable[[Scope], SamovarError]) -> None:
        self._door = door
        self._find = find
        self._missing = missing
        self._log = structlog.get_logger("samovar.prompts")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        asked = _Asked(scope)
        scope[REQUEST_ID] = request_id = asked.request_id or self._door.ids.new("req")
        limits: Headers = []
        try:
            principal, limits = await self._admitted(asked, scope)
            found = await self._find(principal, scope)
            cached = (b"x-cache", b"HIT" if found.is_hit else b"MISS")
            if found.kept.found is None:
                limits = [*limits, cached]
                raise self._missing(scope)
        except SamovarError as error:
            return await self._refuse(error, request_id, limits, send)
        except Exception:  # noqa: BLE001 - the edge of a request: it is logged, and answered as our own errors are
            self._log.exception("unexpected error", request_id=request_id)
            return await self._refuse(SamovarError(UNEXPECTED), request_id, limits, send)
        kept = found.kept
        headers = [
            *self._door.base_headers,
            _JSON,
            (b"x-request-id", request_id.encode()),
            (b"etag", kept.etag),
            # Whose answer it is depends on the credential; whether it still holds costs one conditional request.
            (b"cache-control", b"private, no-cache"),
            cached,
            *limits,
        ]
        if asked.none_match is not None and _matches(asked.none_match, kept.etag):
            # No content-type of a body that is not there (RFC 9110, 15.4.5).
            headers.remove(_JSON)
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return 304
        await send_whole(send, 200, headers, kept.body)
        return 200

    async def _admitted(self, asked: _Asked, scope: Scope) -> tuple[Principal, Headers]:
        """The caller, and what to tell of its limits. The administrator has none."""
        if REFUSAL in scope:
            raise scope[REFUSAL]
        identity, quotas = self._door.identity, self._door.quotas
        client = scope.get("client")
        address = client[0] if client else None
        if asked.admin_token is not None:
            principal = await identity.authenticate_admin(asked.admin_token, address=address)
            scope[SIGNED_IN] = True
            return principal, []
        if not asked.secret:
            await quotas.addresses.admit_anonymous(address)
            visitor = identity.visitor(OpenSurface.PROMPTS_READ)
            if visitor is None:
                raise Unauthenticated(
                    "Send a key as 'Authorization: Bearer sk-samovar-…', or the admin token as 'X-Admin-Token'; or open the"
                    " reading of prompts to all with SAMOVAR_OPEN=prompts:read.",
                    headers={"WWW-Authenticate": 'Bearer realm="samovar"'},
                )
            return visitor, []
        principal = identity.recall(asked.secret) or await identity.authenticate(asked.secret, address=address)
        scope[SIGNED_IN] = True
        require(principal, Permission.PROMPTS_READ)
        return principal, await quotas.admit_request(principal)

    async def _refuse(self, error: SamovarError, request_id: str, limits: Headers, send: Send) -> int:
        status, body = self._door.problem(error, request_id)
        own = header_pairs(error)
        told = {name for name, _ in own}
        headers = [
            *self._door.base_headers,
            _PROBLEM,
            (b"x-request-id", request_id.encode()),
            (b"cache-control", b"no-store"),
            *own,
            *(pair for pair in limits if pair[0] not in told),
        ]
        await send_whole(send, status, headers, body)
        return status


def surfaces(*, reads: PromptReads, door: Door) -> list[Route]:
    """The reads, for the table of the data plane."""

    async def by_id(principal: Principal, scope: Scope) -> Found:
        number = prompt_id(scope["path"][len(PREFIX) + 1 :])
        if number is None:
            raise _no_id(scope)
        return await reads.find(principal.team_id, number)

    async def by_default(principal: Principal, scope: Scope) -> Found:
        namespace, lang = default_place(scope["query_string"])
        return await reads.find_default(principal.team_id, namespace, lang)

    async def listed(principal: Principal, scope: Scope) -> Found:
        return await reads.find_page(principal.team_id, read_query(scope["query_string"]))

    def no_such(scope: Scope) -> SamovarError:
        return not_found(int(scope["path"][len(PREFIX) + 1 :]))

    def no_such_default(scope: Scope) -> SamovarError:
        return no_default(*default_place(scope["query_string"]))

    one = Read(door=door, find=by_id, missing=no_such)
    default = Read(door=door, find=by_default, missing=no_such_default)
    page = Read(door=door, find=listed, missing=no_such_default)
    return [
        Route("GET", PREFIX, page, PREFIX),
        Route("GET", f"{PREFIX}/default", default, f"{PREFIX}/default"),
        Route("GET", f"{PREFIX}/", one, f"{PREFIX}/{{prompt_id}}", is_prefix=True, is_number=True),
    ]


def _no_id(scope: Scope) -> PromptNotFound:
    return PromptNotFound(f"{scope['path'][len(PREFIX) + 1 :][:40]} is no id of a prompt.")


def _matches(asked: bytes, etag: bytes) -> bool:
    """``If-None-Match`` (RFC 9110, 13.1.2): any of the list, compared weakly."""
    if asked.strip() == b"*":
        return True
    bare = etag.removeprefix(b"W/")
    return any(one.strip().removeprefix(b"W/") == bare for one in asked.split(b","))
