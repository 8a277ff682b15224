"""A process with the role ``storage-element`` and no other: its elements, and neither database nor secrets.

Who asks it is checked by the keys that the role admin publishes. An element that cannot be started (its folder is another
process's) ends the process at its start.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from ipaddress import ip_network
from typing import NoReturn

import msgspec
import structlog

from samovar import __version__
from samovar.adapters.http1 import Http1Transport
from samovar.adapters.system import SystemClock, SystemIds
from samovar.app import adapters
from samovar.app.about import about
from samovar.app.control import ControlPlane, control_app
from samovar.app.files import bucket_access, configured_elements
from samovar.app.http import SECURITY_HEADERS, Edge
from samovar.app.openapi import describe, served_routes
from samovar.app.settings import Settings
from samovar.app.telemetry.metrics import CONTENT_TYPE, Metrics
from samovar.app.witness import Witness
from samovar.domains.files import http as files_http
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.service.discovery import Discovered, recalled, remember
from samovar.domains.identity.model import Audience
from samovar.domains.identity.service import RemoteKeys, TokenVerifier
from samovar.domains.operations.http import health as health_http
from samovar.domains.operations.model import CleanupPattern
from samovar.domains.operations.service import OperationsService
from samovar.kernel.errors import Unavailable
from samovar.ports.asgi import Route
from samovar.ports.clock import Clock
from samovar.ports.elements import ElementUnavailable, StorageElement
from samovar.ports.routes import join

log = structlog.get_logger()


class StorageProcess:
    """Make it, then serve :meth:`edge`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._ids = SystemIds(clock=self._clock)
        ca_pem = None if settings.ca_file is None else settings.ca_file.read_bytes()
        self._transport = Http1Transport(ca_pem=ca_pem)
        self._file = settings.data_dir / "storage-elements.json"
        self._known = begun_before(settings, self._clock)
        self._elements = {
            one.id: adapters.element_for(
                one.url,
                element_id=one.id,
                mode=one.mode,
                clock=self._clock,
                may_begin=partial(_was_never_begun, one),
                s3=bucket_access(settings),
            )
            for one in self._known
        }
        self._operations = OperationsService(
            probes={f"storage {name}": partial(_serving, element) for name, element in self._elements.items()}
        )
        self._metrics = Metrics(connections=int, depths=dict, breakers=dict, multiprocess=False)

    def edge(self) -> Edge:
        """The ASGI app."""
        return storage_edge(
            self._settings,
            routes=self._routes(),
            operations=self._operations,
            metrics=self._metrics,
            clock=self._clock,
            ids=self._ids,
            lifespan=self.running,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve inside this block. Raises ``ElementUnavailable`` where a place is away, or another process has it."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._transport.close)
            stack.push_async_callback(self._operations.close)
            for element in self._elements.values():
                stack.push_async_callback(element.close)
                await element.start()
            await self._remember()
            log.info("ready", url=self._settings.url, roles=",".join(self._settings.roles), version=__version__)
            yield
            self._operations.stop()

    async def _remember(self) -> None:
        """That they are begun: there is no database here that knows it."""
        now = self._clock.now()
        begun = tuple(msgspec.structs.replace(one, begun_at=one.begun_at or now) for one in self._known)
        try:
            await asyncio.to_thread(remember, self._file, Discovered(version=1, elements=begun))
        except OSError as error:
            log.warning("the storage elements are not remembered", reason=str(error))

    def _routes(self) -> list[Route]:
        keys = RemoteKeys(
            url=f"{self._settings.admin_url}/.well-known/jwks.json", transport=self._transport, clock=self._clock
        )
        verifier = TokenVerifier(keys=keys, issuer=self._settings.token_issuer, clock=self._clock)
        return files_http.element_routes(
            files_http.ElementDoor(
                verify=partial(verifier.verify, audience=Audience.STORAGE),
                elements=files_http.of_these(self._elements),
                ids=self._ids,
                base_headers=SECURITY_HEADERS,
                idle_s=self._settings.file_idle_s,
            )
        )


def begun_before(settings: Settings, clock: Clock) -> list[Element]:
    """The elements of the settings, and when they were begun, as this process remembers it."""
    try:
        begun_at = {one.id: one.begun_at for one in recalled(settings.data_dir / "storage-elements.json")}
    except (OSError, msgspec.DecodeError):
        begun_at = {}
    return [msgspec.structs.replace(one, begun_at=begun_at.get(one.id)) for one in configured_elements(settings, clock)]


def _was_never_begun(element: Element) -> bool:
    return element.begun_at is None


def storage_edge(
    settings: Settings,
    *,
    routes: list[Route],
    operations: OperationsService,
    metrics: Metrics,
    clock: SystemClock,
    ids: SystemIds,
    lifespan: Callable[[], AbstractAsyncContextManager[None]],
) -> Edge:
    """The app of a process that serves elements and nothing else."""
    app = control_app(iter(()), title="Samovar", version=__version__, description="Storage elements.")
    join(
        app.router,
        health_http.router(
            service=operations,
            about=about(
                settings,
                clock=clock,
                prices=str,
                routes=lambda: served_routes(app),
                cleanup=_no_pattern,
            ),
            metrics=metrics.text,
            metrics_type=CONTENT_TYPE,
            now=clock.now,
        ),
    )
    describe(app, routes)
    control = ControlPlane(
        app,
        ids=ids,
        headers=SECURITY_HEADERS,
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
        witness=Witness(_unrecorded),
    )
    return Edge(
        routes=routes,
        control=control,
        nowhere=None,
        lifespan=lifespan,
        meter=metrics,
        clock=clock,
        allowed_origins=(),
        trusted_proxies=tuple(ip_network(network, strict=False) for network in settings.trusted_proxies),
    )


async def _serving(element: StorageElement) -> None:
    """Whether it takes part in full."""
    because = (await element.condition()).read_only_because
    if because is not None:
        raise ElementUnavailable(because)


async def _no_pattern() -> CleanupPattern:
    raise Unavailable("This process has no database.")


def _unrecorded() -> NoReturn:
    raise AssertionError("nothing here is recorded: who asked the role that asks this one was")
