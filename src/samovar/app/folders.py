"""The process that has the folders of storage elements on a host whose workers are several.

A folder has one process. With one worker that is the worker; with several it is this one, and the workers ask it as they would
ask an element of another host: the same door, the same tokens of roles. It stands beside them, so it needs nobody to tell it
anything: which folders there are, and the keys that check who asks, it reads from the database that it shares with them.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import structlog

from samovar.adapters.memory import MemoryBus
from samovar.app import adapters
from samovar.app.background import calm_the_collector, forever
from samovar.app.files import configured_elements, is_folder
from samovar.app.http import SECURITY_HEADERS, Edge
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.app.storage import storage_edge
from samovar.app.telemetry.metrics import Metrics
from samovar.domains.files import http as files_http
from samovar.domains.files.errors import BadElement
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.service.discovery import Discovery
from samovar.domains.files.service.registry import Registry
from samovar.domains.identity.model import Audience
from samovar.domains.operations.service import OperationsService
from samovar.kernel.tasks import background
from samovar.ports.elements import StorageElement

log = structlog.get_logger()

_METRICS_EVERY_S: Final = 5.0


class FolderProcess:
    """Make it, then serve :meth:`edge`. What is registered while it runs it finds when it is first asked for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Of the graph only what is named here is ever made.
        self._services = services = Services(settings)
        # No news arrive here, and none are needed: an element that is not known yet is looked for when a worker asks for it.
        bus = MemoryBus()
        self._registry = Registry(
            database=services.database,
            clock=services.clock,
            bus=bus,
            configured=configured_elements(settings, services.clock),
            open_element=self._open,
            holds=is_folder,
        )
        self._discovery = Discovery(
            registry=self._registry, bus=bus, file=settings.data_dir / "storage-elements.json", publishes=False
        )
        self._anew: list[tuple[Element, Element]] = []
        self._registry.opens(is_folder)
        self._registry.on_configured(lambda *both: self._anew.append(both))
        self._operations = OperationsService(probes={"database": services.database.ping})
        self._metrics = Metrics(
            connections=lambda: services.database.connections_active,
            depths=dict,
            breakers=dict,
            multiprocess=settings.workers > 1,
            is_worker=False,
        )

    def edge(self) -> Edge:
        """The ASGI app."""
        services = self._services
        door = files_http.ElementDoor(
            verify=partial(services.identity.verifier.verify, audience=Audience.STORAGE),
            elements=self._registry.held,
            ids=services.ids,
            base_headers=SECURITY_HEADERS,
            idle_s=self._settings.file_idle_s,
        )
        return storage_edge(
            self._settings,
            routes=files_http.element_routes(door),
            operations=self._operations,
            metrics=self._metrics,
            clock=services.clock,
            ids=services.ids,
            lifespan=self.running,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve inside this block. A folder that cannot be opened is tried again and again, as a single worker does."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            await stack.enter_async_context(self._registry.running())
            await self._registry.load(self._discovery.remembered)
            if self._anew:
                async with self._services.audit.running():
                    for before, now in self._anew:
                        self._services.audit.element_configured(before, now)
            await stack.enter_async_context(background(forever("metrics", self._refresh_metrics)))
            calm_the_collector()
            log.info("folders are served to the workers", pid=os.getpid(), elements=",".join(self._registry.elements))
            yield
            self._operations.stop()

    async def _close(self) -> None:
        await self._operations.close()
        await self._services.database.close()
        self._metrics.close()

    async def _refresh_metrics(self) -> None:
        while True:
            self._metrics.refresh()
            await asyncio.sleep(_METRICS_EVERY_S)

    def _open(self, element: Element) -> StorageElement:
        try:
            return adapters.element_for(
                element.url,
                element_id=element.id,
                mode=element.mode,
                clock=self._services.clock,
                may_begin=partial(self._registry.may_begin, element.id),
            )
        except ValueError as error:
            raise BadElement(f"The address of the storage element {element.id} {error}.") from error
