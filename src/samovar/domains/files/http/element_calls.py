"""``POST /storage/v1/{element_id}/{operation}``: an element of this process, for the other roles of the installation.

Only they come in: with a token that the installation issued to a role. A person, or a service account, gets at files through
the roles that know whose each file is; here nobody knows.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec
import structlog

from samovar.domains.files.errors import ElementUnknown
from samovar.domains.files.http.frames import Incoming, Outgoing
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import UNEXPECTED, Forbidden, Malformed, SamovarError, Unauthenticated
from samovar.kernel.principal import Principal
from samovar.kernel.tasks import background
from samovar.kernel.tracing import traced
from samovar.ports import element_calls as calls
from samovar.ports.asgi import CALLER, REQUEST_ID, SIGNED_IN, RawHeaders, Receive, Route, Scope, Send, sane_request_id
from samovar.ports.clock import Ids
from samovar.ports.elements import StorageElement

ROLE_PREFIX: Final = "role:"
"""How the ids of the installation's own roles begin."""
_MAX_TOKEN_CHARS: Final = 8192
_SHAPE: Final = re.compile(rf"{calls.PREFIX}/[a-z0-9][a-z0-9-]{{0,62}}/[a-z-]{{1,32}}")

Verify = Callable[[str], Awaitable[Principal]]
"""Who comes with a token for the role ``storage``. Raises ``Unauthenticated``, ``Unavailable``."""


@dataclass(frozen=True, kw_only=True)
class ElementDoor:
    """``elements`` gives one that this process has the place of; it raises ``Unavailable`` and :class:`ElementUnknown`."""

    verify: Verify
    elements: Callable[[str], Awaitable[StorageElement]]
    ids: Ids
    base_headers: RawHeaders
    idle_s: float
    alive_every_s: float = calls.ALIVE_EVERY_S


class _Asked:
    """One call, on its way through."""

    def __init__(self, element: StorageElement, arguments: Any, incoming: Incoming) -> None:
        self.element = element
        self.arguments = arguments
        self._incoming = incoming

    def content(self) -> AsyncIterator[bytes]:
        """What follows the arguments."""
        return self._incoming.content()


_Answer = Callable[[_Asked], Awaitable[Any]]
_List = Callable[[_Asked], AsyncIterator[Any]]


@dataclass(frozen=True)
class _Operation:
    """``answer`` gives the one thing, ``listed`` several; ``is_raw``: they are no JSON but bytes. ``has_content``: one follows
    the arguments."""

    takes: type[calls.Arguments]
    needs: Permission
    answer: _Answer | None = None
    listed: _List | None = None
    has_content: bool = False
    is_raw: bool = False


_READ, _WRITE = Permission.FILES_READ, Permission.FILES_WRITE

_OPERATIONS: Final[Mapping[str, _Operation]] = MappingProxyType(
    {
        "write": _Operation(
            calls.OfDraft, _WRITE, lambda a: a.element.write(a.arguments.draft, a.content()), has_content=True
        ),
        "begin": _Operation(calls.OfDraft, _WRITE, lambda a: a.element.begin(a.arguments.draft)),
        "append": _Operation(
            calls.OfPart,
            _WRITE,
            lambda a: a.element.append(
                a.arguments.file_id,
                offset_bytes=a.arguments.offset_bytes,
                content=a.content(),
                all_or_nothing=a.arguments.all_or_nothing,
            ),
            has_content=True,
        ),
        "offset": _Operation(calls.OfUpload, _WRITE, lambda a: a.element.offset(a.arguments.file_id)),
        "finish": _Operation(calls.OfUpload, _WRITE, lambda a: a.element.finish(a.arguments.file_id)),
        "abandon": _Operation(calls.OfUpload, _WRITE, lambda a: a.element.abandon(a.arguments.file_id)),
        # Whoever can read may say that a row stands, and hear which do not: neither changes a file.
        "acknowledge": _Operation(calls.OfRows, _READ, lambda a: a.element.acknowledge(a.arguments.rows)),
        "unacknowledged": _Operation(calls.Arguments, _READ, listed=lambda a: a.element.unacknowledged()),
        "attributes": _Operation(calls.OfPath, _READ, lambda a: a.element.attributes(a.arguments.path)),
        "amend": _Operation(calls.OfAttributes, _WRITE, lambda a: a.element.amend(a.arguments.attributes)),
        "read": _Operation(
            calls.OfRange,
            _READ,
            listed=lambda a: a.element.read(a.arguments.path, start=a.arguments.start, end=a.arguments.end),
            is_raw=True,
        ),
        # For who copies it elsewhere, which is a change: whoever only reads is not served from an archive.
        "read-cold": _Operation(
            calls.OfPath, _WRITE, listed=lambda a: a.element.read_cold(a.arguments.path), is_raw=True
        ),
        "delete": _Operation(calls.OfPath, Permission.FILES_DELETE, lambda a: a.element.delete(a.arguments.path)),
        "verify": _Operation(calls.OfPath, _READ, lambda a: a.element.verify(a.arguments.path)),
        "quarantine": _Operation(
            calls.OfDamage,
            Permission.ELEMENTS_ADMIN,
            lambda a: a.element.quarantine(a.arguments.path, reason=a.arguments.reason),
        ),
        "walk": _Operation(calls.OfWalk, _READ, listed=lambda a: a.element.walk(after=a.arguments.after)),
        "condition": _Operation(calls.Arguments, _READ, lambda a: a.element.condition()),
        "lower-mode": _Operation(
            calls.OfMode, Permission.ELEMENTS_ADMIN, lambda a: a.element.lower_mode(a.arguments.mode)
        ),
    }
)


def element_routes(door: ElementDoor) -> list[Route]:
    """For the table of the data plane."""
    below = f"{calls.PREFIX}/"
    template = f"{calls.PREFIX}/{{element_id}}/{{operation}}"
    return [Route("POST", below, _Endpoint(door), template, is_prefix=True, shape=_SHAPE)]


class _Endpoint:
    def __init__(self, door: ElementDoor) -> None:
        self._door = door
        self._log = structlog.get_logger("samovar.files")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        request_id = (None if given is None else sane_request_id(given)) or self._door.ids.new("req")
        scope[REQUEST_ID] = request_id
        trace = traced(request_id, scope["headers"], own=self._door.ids.new("span"))
        base = [*self._door.base_headers, (b"x-request-id", request_id.encode())]
        incoming = Incoming(receive, idle_s=self._door.idle_s)
        outgoing = Outgoing(send, base, request_id=request_id, alive_every_s=self._door.alive_every_s)
        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id, trace_id=trace.trace_id):
                await self._serve(scope, headers, incoming, outgoing)
        finally:
            await incoming.close()
        return outgoing.status

    async def _serve(
        self, scope: Scope, headers: Mapping[bytes, bytes], incoming: Incoming, outgoing: Outgoing
    ) -> None:
        try:
            async with background(outgoing.say_alive()):
                await self._answered(scope, headers, incoming, outgoing)
            await outgoing.end(incoming)
        except SamovarError as error:
            await outgoing.fail(error, incoming)
        except Exception:  # noqa: BLE001 - edge: of a request: it is logged, and answered as our own errors are
            self._log.exception("unexpected error", path=scope["path"])
            await outgoing.fail(SamovarError(UNEXPECTED), incoming)

    async def _answered(
        self, scope: Scope, headers: Mapping[bytes, bytes], incoming: Incoming, outgoing: Outgoing
    ) -> None:
        principal = await self._principal(scope, headers)
        element_id, _, name = scope["path"].removeprefix(f"{calls.PREFIX}/").partition("/")
        operation = _OPERATIONS.get(name)
        if operation is None:
            raise Malformed(f"A storage element does not know {name!r}.")
        require(principal, operation.needs)
        element = await self._door.elements(element_id)
        try:
            arguments = msgspec.json.decode(await incoming.arguments(), type=operation.takes)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"The arguments of {name} are not as they should be: {error}") from error
        if not operation.has_content:
            await incoming.nothing_more()
        asked = _Asked(element, arguments, incoming)
        if operation.answer is not None:
            await outgoing.data(msgspec.json.encode(await operation.answer(asked)))
        elif operation.listed is not None:
            await self._listed(operation, operation.listed(asked), outgoing)

    async def _listed(self, operation: _Operation, found: AsyncIterator[Any], outgoing: Outgoing) -> None:
        async with aclosing(found) as things:  # type: ignore[type-var]  # those of elements are generators
            async for one in things:
                await outgoing.data(one if operation.is_raw else msgspec.json.encode(one))

    async def _principal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Principal:
        given = headers.get(b"authorization", b"")
        token = given[7 : 7 + _MAX_TOKEN_CHARS].strip().decode("latin-1")
        if given[:7].lower() != b"bearer " or not token:
            raise Unauthenticated(
                "Storage elements speak with the installation's own roles, which send their tokens.",
                headers={"WWW-Authenticate": 'Bearer realm="samovar-storage"'},
            )
        principal = await self._door.verify(token)
        scope[SIGNED_IN], scope[CALLER] = True, principal
        if not principal.id.startswith(ROLE_PREFIX):
            raise Forbidden("Storage elements speak with the installation's own roles alone: use /api/files.")
        return principal


def of_these(elements: Mapping[str, StorageElement]) -> Callable[[str], Awaitable[StorageElement]]:
    """For :class:`ElementDoor`: these and no others."""

    async def find(element_id: str) -> StorageElement:
        found = elements.get(element_id)
        if found is None:
            raise ElementUnknown(f"This process has no storage element {element_id[:63]!r}.")
        return found

    return find
