"""The ASGI app: the edge around both planes.

The data plane is a table of raw endpoints, looked up before anything else; all other paths go to the control plane. The
edge counts and times every request, logs those worth a line, and is the last to see a cancellation or an exception.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final, Protocol

import structlog

from samovar.app.cors import Cors
from samovar.app.proxies import Network, believe
from samovar.kernel.errors import UNEXPECTED, Forbidden, NotFound, SamovarError
from samovar.ports.asgi import (
    CLIENT_GONE,
    REFUSAL,
    REQUEST_ID,
    SIGNED_IN,
    Endpoint,
    Receive,
    Route,
    Scope,
    Send,
    send_whole,
)
from samovar.ports.clock import Clock

log = structlog.get_logger()

SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"1; mode=block"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000"),
)
"""The requirements' set. Browsers ignore the last over plain HTTP (RFC 6797, 7.2), so it may always stand."""

SLOW_S: Final = 60.0
"""A data-plane request that took longer is worth a line even if it went well."""

_NOT_SIGNED_IN: Final = 401
_STRANGERS: Final = frozenset({401, 429})
_UNMATCHED: Final = "unmatched"
_ROUTE_OF: Final = "samovar.route"
_TURNED_AWAY: Final = "samovar.turned_away"
"""Stands in the scope of a request that was refused for its address alone."""
_PROBES: Final = frozenset({"/healthz", "/health", "/health/live", "/ready", "/health/ready", "/metrics"})
_MAX_PATH_CHARS: Final = 512


class MethodNotAllowed(SamovarError):
    """The path exists, with another method."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"


class Meter(Protocol):
    """Counts requests."""

    def began(self) -> None:
        """A request came in."""

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """It was answered. ``route`` is a template, never a raw path."""


class Refuses(Protocol):
    """Speaks for the edge itself."""

    async def refuse(self, error: SamovarError, scope: Scope, send: Send) -> int:
        """Answer with the error, and return its status."""
        ...


class Control(Refuses, Endpoint, Protocol):
    """The control plane: answers what is no route of the data plane."""


class Nowhere(Refuses, Protocol):
    """Speaks for the paths of the data plane that lead nowhere."""

    def speaks_for(self, scope: Scope) -> bool:
        """Whether the path is one of those."""
        ...


class Doorman(Protocol):
    """Knows the addresses that are shut out, and hears of requests that were refused for their credential."""

    def refusal(self, address: str | None) -> SamovarError | None:
        """Why a request of this address is not looked at."""
        ...

    async def refused(self, address: str | None) -> None:
        """A request of this address was refused."""
        ...


class Strangers(Protocol):
    """Hears of sign-ins that failed."""

    def refused(self, scope: Scope) -> None:
        """A request was answered 401. Never waits."""
        ...


class Edge:
    """The outermost ASGI app. ``lifespan`` is entered for the life of the process. What no route takes below a path of
    ``both_planes`` is the control plane's."""

    def __init__(
        self,
        *,
        routes: Iterable[Route],
        control: Control,
        nowhere: Nowhere | None,
        both_planes: tuple[str, ...] = (),
        doorman: Doorman | None = None,
        strangers: Strangers | None = None,
        lifespan: Callable[[], AbstractAsyncContextManager[None]],
        meter: Meter,
        clock: Clock,
        allowed_origins: tuple[str, ...],
        trusted_proxies: tuple[Network, ...],
    ) -> None:
        table = list(routes)
        self._exact = {(route.method, route.path): route for route in table if not route.is_prefix}
        self._prefixes = [route for route in table if route.is_prefix]
        self._control = control
        self._doorman = doorman
        self._strangers = strangers
        self._nowhere = nowhere
        self._both_planes = both_planes
        self._lifespan = lifespan
        self._meter = meter
        self._clock = clock
        self._trusted = trusted_proxies
        self._cors = Cors(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._live(receive, send) if scope["type"] == "lifespan" else None
        started = self._clock.monotonic()
        self._meter.began()
        if self._trusted:
            believe(scope, self._trusted)
        status = CLIENT_GONE
        try:
            status = await self._begin(scope, receive, send)
            if status in _STRANGERS:
                await self._heed(status, scope)
        except asyncio.CancelledError:
            # The server cancels a request whose client left. The task ends here either way.
            pass
        except Exception as error:  # noqa: BLE001  # edge: a defect of ours must be answered and seen
            status = await self._failed(error, scope, send)
        finally:
            seconds = self._clock.monotonic() - started
            template = scope.get(_ROUTE_OF)
            self._meter.ended(scope["method"], _unrouted(scope) if template is None else template, status, seconds)
            if template is None or status >= 400 or seconds > SLOW_S:
                _log(scope, status, seconds)
        return None

    def _begin(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[int]:
        """Find who answers. No coroutine itself: each of them would be passed at every wait of every request."""
        doorman, client = self._doorman, scope.get("client")
        # Probes are answered to all: a proxy that is shut out for what its clients did must not seem to have lost us.
        if doorman is not None and client is not None and scope["path"] not in _PROBES:
            refusal = doorman.refusal(client[0])
            if refusal is not None:
                method, path = scope["method"], scope["path"]
                if (method, path) not in self._exact and self._below(method, path) is None:
                    scope[_TURNED_AWAY] = True
                    return self._control.refuse(refusal, scope, send)
                # A vendor's surface says it in the vendor's shape.
                scope[REFUSAL] = refusal
        origin = dict(scope["headers"]).get(b"origin")
        if origin is None:
            return self._routed(scope, receive, send)
        return self._shared(origin, scope, receive, send)

    async def _heed(self, status: int, scope: Scope) -> None:
        """An address that is refused may come to be shut out."""
        doorman, client = self._doorman, scope.get("client")
        is_free = _TURNED_AWAY in scope or SIGNED_IN in scope or scope["path"] in _PROBES
        if doorman is not None and client is not None and not is_free:
            await doorman.refused(client[0])
        if status == _NOT_SIGNED_IN and self._strangers is not None:
            self._strangers.refused(scope)

    async def _failed(self, error: Exception, scope: Scope, send: Send) -> int:
        log.error("unexpected error", request_id=scope.get(REQUEST_ID), path=_path(scope), exc_info=error)
        try:
            return await self._control.refuse(SamovarError(UNEXPECTED), scope, send)
        except RuntimeError:
            # The answer had begun: raised again, the server cuts it off, so that nobody takes it for whole.
            raise error from None

    def _routed(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[int]:
        method, path = scope["method"], scope["path"]
        route = self._exact.get((method, path)) or self._below(method, path)
        if route is None:
            return self._elsewhere(scope, receive, send)
        scope[_ROUTE_OF] = route.template
        return route.endpoint(scope, receive, send)

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> int:
        """What no route takes."""
        method, path = scope["method"], scope["path"]
        if self._both_planes and path.startswith(self._both_planes):
            return await self._control(scope, receive, send)
        nowhere = self._nowhere if self._nowhere is not None and self._nowhere.speaks_for(scope) else None
        if allowed := self._methods_of(path):
            words = ", ".join(allowed)
            error = MethodNotAllowed(f"{method[:20]} is not possible here; use {words}", headers={"Allow": words})
            return await (nowhere or self._control).refuse(error, scope, send)
        if nowhere is not None:
            return await nowhere.refuse(NotFound(f"there is nothing at {path[:200]}; see /docs"), scope, send)
        return await self._control(scope, receive, send)

    async def _shared(self, origin: bytes, scope: Scope, receive: Receive, send: Send) -> int:
        """A browser's request from another origin (or from ours, where it says so all the same)."""
        asked = dict(scope["headers"])
        if scope["method"] != "OPTIONS" or b"access-control-request-method" not in asked:
            return await self._routed(scope, receive, self._cors.sending(origin, send))
        if not self._cors.allows(origin):
            error = Forbidden("pages of this origin may not call here; see ALLOWED_ORIGINS", headers={"Vary": "Origin"})
            return await self._control.refuse(error, scope, send)
        headers = [*SECURITY_HEADERS, *self._cors.preflight(origin, asked.get(b"access-control-request-headers"))]
        await send_whole(send, 200, headers, b"")
        return 200

    def _below(self, method: str, path: str) -> Route | None:
        if method == "HEAD":
            # The server leaves the body out (RFC 9110, 9.3.2).
            return self._exact.get(("GET", path)) or self._below("GET", path)
        for route in self._prefixes:
            if route.method == method and route.leads(path):
                return route
        return None

    def _methods_of(self, path: str) -> list[str]:
        found = {route.method for route in self._prefixes if route.leads(path)}
        found.update(method for method, exact in self._exact if exact == path)
        return sorted(found | {"HEAD"} if "GET" in found else found)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._lifespan())
            except SamovarError as error:
                await send({"type": "lifespan.startup.failed", "message": error.detail})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _unrouted(scope: Scope) -> str:
    """The template for metrics of what is no route of the data plane: what matched, never what was asked."""
    return str(getattr(scope.get("route"), "path", _UNMATCHED))


def _path(scope: Scope) -> str:
    """For the log: without the query, which may hold what is none of its business."""
    path: str = scope["path"]
    return path[:_MAX_PATH_CHARS]


def _log(scope: Scope, status: int, seconds: float) -> None:
    """The line of a request: each of the control plane's; of the data plane's those that failed or were slow, for the
    others stand in the usage events."""
    write = log.debug if scope["path"] in _PROBES and status < 500 else log.warning if status >= 500 else log.info
    client = scope.get("client")
    write(
        "request",
        method=scope["method"],
        path=_path(scope),
        status=status,
        took_ms=round(seconds * 1000, 1),
        request_id=scope.get(REQUEST_ID),
        client=client[0] if client else None,
    )
