"""Who gets in on the raw routes, and what stands on every answer."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from samovar.domains.billing.service.quotas import QuotaService
from samovar.domains.identity.service import IdentityService
from samovar.kernel.errors import UNEXPECTED, SamovarError, Unauthenticated
from samovar.kernel.principal import Principal
from samovar.kernel.tracing import traced
from samovar.ports.asgi import (
    CALLER,
    MADE,
    REFUSAL,
    REQUEST_ID,
    SIGNED_IN,
    Message,
    Receive,
    Scope,
    Send,
    header_pairs,
    sane_request_id,
    send_whole,
)
from samovar.ports.clock import Ids
from samovar.ports.problems import PROBLEM_TYPE

_PROBLEM: Final = (b"content-type", PROBLEM_TYPE.encode())
_MAX_CREDENTIAL_CHARS: Final = 8192
_CHALLENGE: Final = 'Bearer realm="samovar"'
_KEY: Final = b"idempotency-key"

Headers = list[tuple[bytes, bytes]]
Problem = Callable[[SamovarError, str], tuple[int, bytes]]
"""Status and body of an error, under a request's id."""


class Noting(Protocol):
    """Notes an answer as it goes out, to give it again. ``close`` in every case."""

    def around(self, send: Send) -> Send:
        """``send`` with every message noted first."""
        ...

    async def close(self) -> None:
        """The request is over."""
        ...


Again = Callable[[Send, Headers], Awaitable[int]]
"""Sends an answer again; its status."""
Once = Callable[[Principal, Scope, bytes, bytes], Awaitable[Noting | Again]]
"""Claims an ``Idempotency-Key`` for a request whose ``mark`` stands for its body."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """Who gets in."""

    identity: IdentityService
    quotas: QuotaService
    ids: Ids
    base_headers: Sequence[tuple[bytes, bytes]]
    problem: Problem
    once: Once


class Asked:
    """A request: its headers by name, its caller's credential, its id, and what to tell of its caller's limits."""

    __slots__ = ("_door", "_secret", "headers", "limits", "request_id", "scope")

    def __init__(self, door: Door, scope: Scope) -> None:
        self._door = door
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id")
        self.request_id = (None if given is None else sane_request_id(given)) or door.ids.new("req")
        scope[REQUEST_ID] = self.request_id
        self.limits: Headers = []

    @property
    def made(self) -> list[dict[str, str]]:
        """What the request has made so far, for the record of it."""
        made: list[dict[str, str]] = self.scope.setdefault(MADE, [])
        return made

    def check_admitted(self) -> None:
        """Raises what the edge says of an address that is shut out."""
        if REFUSAL in self.scope:
            raise self.scope[REFUSAL]

    async def principal(self) -> Principal:
        """The caller. Raises ``Unauthenticated`` and its like, ``RateLimited``."""
        self.check_admitted()
        door = self._door
        address = self.address
        admin_token = self.headers.get(b"x-admin-token")
        if admin_token is not None:
            token = admin_token[:_MAX_CREDENTIAL_CHARS].decode("latin-1")
            principal = self.scope[CALLER] = await door.identity.authenticate_admin(token, address=address)
            self.scope[SIGNED_IN] = True
            return principal
        given = self.headers.get(b"authorization", b"")
        secret = given[7 : 7 + _MAX_CREDENTIAL_CHARS].strip().decode("latin-1")
        if given[:7].lower() != b"bearer " or not secret:
            await door.quotas.addresses.admit_anonymous(address)
            raise Unauthenticated(
                "Send a key as 'Authorization: Bearer sk-samovar-…', or the admin token as 'X-Admin-Token'.",
                headers={"WWW-Authenticate": _CHALLENGE},
            )
        principal = door.identity.recall(secret) or await door.identity.authenticate(secret, address=address)
        self.scope[SIGNED_IN], self.scope[CALLER] = True, principal
        self.limits = await door.quotas.admit_request(principal)
        return principal

    async def admit_link(self, link_id: str) -> None:
        """For who comes with a link that we wrote: it is their credential, with a limit of its own. Raises ``RateLimited``,
        ``QuotaUnavailable``."""
        self.scope[SIGNED_IN] = True
        self.limits = await self._door.quotas.admit_link(link_id)

    async def admit_stranger(self) -> None:
        """For who comes without a credential, or with a link that opens nothing. Raises ``RateLimited``."""
        self.check_admitted()
        self.scope.pop(SIGNED_IN, None)
        self.limits = []
        await self._door.quotas.addresses.admit_anonymous(self.address)

    @property
    def address(self) -> str | None:
        """Where the caller is."""
        client = self.scope.get("client")
        return client[0] if client else None

    def answer_headers(self) -> Headers:
        """What stands on every answer."""
        return [*self._door.base_headers, (b"x-request-id", self.request_id.encode()), *self.limits]

    async def refuse(self, error: SamovarError, send: Send) -> int:
        """Answer with the error; its status."""
        status, body = self._door.problem(error, self.request_id)
        own = header_pairs(error)
        told = {name for name, _ in own}
        kept = [pair for pair in self.answer_headers() if pair[0] not in told]
        await send_whole(send, status, [*kept, _PROBLEM, (b"cache-control", b"no-store"), *own], body)
        return status


async def answered_once(
    once: Once,
    principal: Principal,
    asked: Asked,
    send: Send,
    *,
    marked: Iterable[bytes],
    answer: Callable[[Send], Awaitable[int]],
) -> int:
    """``answer`` the request; or, where its ``Idempotency-Key`` was answered before, send that again. Its body is not here yet,
    and may be gigabytes: what stands for it is what the headers in ``marked`` say of it."""
    key = asked.headers.get(_KEY)
    if key is None:
        return await answer(send)
    mark = b"\n".join(asked.headers.get(name, b"") for name in marked)
    claimed = await once(principal, asked.scope, key, mark)
    if callable(claimed):
        return await claimed(send, [*asked.answer_headers(), (b"connection", b"close")])
    try:
        noting = claimed.around(send)
        try:
            return await answer(noting)
        except SamovarError as error:
            # Answered here, so that it is noted too.
            return await asked.refuse(error, noting)
    finally:
        await claimed.close()


class Started:
    """A ``send`` of which is known whether an answer began on it."""

    __slots__ = ("_send", "begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


Serve = Callable[[Asked, Receive, Send], Awaitable[int]]


class Raw:
    """An :class:`~samovar.ports.asgi.Endpoint` around ``serve``, which raises what the caller is refused for."""

    def __init__(self, *, door: Door, serve: Serve) -> None:
        self._door = door
        self._serve = serve
        self._log = structlog.get_logger("samovar.files")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        asked = Asked(self._door, scope)
        started = Started(send)
        traced(asked.request_id, scope["headers"], own=self._door.ids.new("span"))
        try:
            return await self._serve(asked, receive, started)
        except SamovarError as error:
            if started.begun:
                # Raised on, the server cuts the connection: nobody shall take half of a file for all of it.
                raise
            return await asked.refuse(error, send)
        except Exception:  # edge: of a request: it is logged, and answered as our own errors are
            if started.begun:
                raise
            self._log.exception("unexpected error", request_id=asked.request_id)
            return await asked.refuse(SamovarError(UNEXPECTED), send)
