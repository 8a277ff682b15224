"""Files' object graph, and their routes on both planes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

import msgspec

from samovar.adapters.objects import S3Access
from samovar.app import adapters
from samovar.app.background import forever
from samovar.app.http import SECURITY_HEADERS
from samovar.app.problems import problem
from samovar.app.prompts import Authenticate
from samovar.app.roles import WITH_ELEMENTS, Part
from samovar.app.settings import Settings
from samovar.app.storage_tokens import RoleToken
from samovar.app.subscriptions import on_file_event
from samovar.domains.files import http as files_http
from samovar.domains.files.errors import BadElement
from samovar.domains.files.http.restoring import router as restoring_router
from samovar.domains.files.http.retention import router as retention_router
from samovar.domains.files.http.rounds import router as rounds_router
from samovar.domains.files.http.transactions import router as transactions_router
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.model.records import FileEvent, StoredFile
from samovar.domains.files.service import CareRules, FileCare, FileFigures, FileService, IngestRules, Thumbnails
from samovar.domains.files.service.ingest import UploadRules
from samovar.domains.files.service.transactions import TransactionRules
from samovar.domains.gateway import http as gateway_http
from samovar.domains.gateway.model.idempotency import Recorded
from samovar.domains.identity.model import Audience
from samovar.kernel.principal import Principal
from samovar.ports.asgi import Route, Scope
from samovar.ports.clock import Clock
from samovar.ports.elements import ElementUnavailable, Mode, StorageElement
from samovar.ports.routes import Routes

if TYPE_CHECKING:
    from samovar.app.services import Services

_NEAR_REST_S: Final = 1.0
"""How long the process that has this host's folders rests after failures: it is started anew at once, and its address stays."""

PATHS = ("/api/files",)
"""Below these both planes answer."""


class FileDesk:
    """Call :meth:`subscribe` before the bus starts. Where this process has no part in files, all of it is empty."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._parts = services.parts
        self._serves = bool(services.parts & WITH_ELEMENTS)
        self._reads = Part.GATEWAY in services.parts and not self._serves
        """Vision looks at files, and that is all."""

    @cached_property
    def service(self) -> FileService:
        services, settings = self._services, self._services.settings
        files = FileService(
            database=services.database,
            clock=services.clock,
            ids=services.ids,
            bus=services.shared.bus,
            cache=services.shared.cache,
            box=services.box,
            # What only reads takes the registry as it stands: a folder of its settings is another process's.
            configured=() if self._reads else configured_elements(settings, services.clock),
            open_element=self._open,
            rules=IngestRules(
                default_ttl_days=settings.file_ttl_days,
                max_files=settings.file_owner_max_files,
                max_bytes=settings.file_owner_max_bytes,
            ),
            notify=self._notify,
            remember=settings.data_dir / "storage-elements.json",
            is_admin=Part.REGISTRY in self._parts,
            upload_rules=UploadRules(ttl_s=settings.file_upload_ttl_s, max_bytes=settings.file_max_bytes),
            transaction_rules=TransactionRules(
                lease_s=settings.file_transaction_lease_s,
                keep_days=settings.file_transaction_days,
                round_s=settings.file_transaction_round_s,
            ),
        )
        files.registry.opens(lambda one: is_folder(one) and services.folders_at is None)
        return files

    @cached_property
    def care(self) -> FileCare:
        """What looks after files once they are kept."""
        services = self._services
        return FileCare(
            files=self.service,
            database=services.database,
            jobs=services.jobs.table,
            audit=lambda: services.audit.service,
            clock=services.clock,
            rules=CareRules(
                read_bytes_per_s=services.settings.file_scrub_bytes_per_s,
                replicas=services.settings.file_replicas,
                queued_days=services.settings.file_queued_days,
            ),
        )

    async def _notify(self, event: FileEvent, file: StoredFile | None) -> None:
        await on_file_event(event)
        if (because := event.details.get("because")) is not None:
            # Nobody asked for it at that moment: who looks for a file that is gone finds why.
            self._services.audit.tell(
                "file:end", f"file:{event.file_id}", team_id=event.team_id, because=because, **_facts_of(event)
            )
        await self.care.replicas.heard(event, file)

    @cached_property
    def thumbnails(self) -> Thumbnails:
        return Thumbnails(reads=self.service.reads, images=self._services.vision.images)

    def subscribe(self) -> None:
        """Hear of changes in other processes."""
        if self._serves or self._reads:
            # It subscribes when it is made.
            self.service.registry.on_configured(self._services.audit.element_configured)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Elements serve beside the block."""
        if not (self._serves or self._reads):
            yield
            return
        async with self.service.running(forever) if self._serves else self.service.reading(forever):
            yield

    async def has_folders(self) -> bool:
        """Whether some process of this host has to have folders: those of the settings, or registered ones. Raises
        ``Unavailable``."""
        if Part.STORAGE not in self._parts:
            return False
        return any(map(is_folder, await self.service.registry.foreseen()))

    def figures(self) -> FileFigures:
        """For metrics."""
        return self.care.figures() if self._serves else FileFigures(operations={}, used_bytes={})

    def probes(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What a process that has no element of its own stands on."""
        asks = self._parts & {Part.INGESTER, Part.QUERY}
        return {"storage": self._reach} if asks and Part.STORAGE not in self._parts else {}

    async def _reach(self) -> None:
        found = await self.service.registry.standings()
        if not any(one.condition is not None for one in found):
            names = ", ".join(one.element.id for one in found[:5]) or "none is registered"
            raise ElementUnavailable(f"no storage element is reached: {names}")

    def routes(self) -> Iterator[Route]:
        """The raw ones."""
        if self._serves and Part.STORAGE in self._parts:
            yield from files_http.element_routes(self._element_door())
        if self._parts & {Part.INGESTER, Part.QUERY}:
            yield from self._file_routes()

    def _file_routes(self) -> Iterator[Route]:
        services, settings = self._services, self._services.settings
        door = files_http.Door(
            identity=services.identity,
            quotas=services.quotas,
            ids=services.ids,
            base_headers=SECURITY_HEADERS,
            problem=problem,
            once=self._once,
        )
        bounds = files_http.UploadBounds(max_bytes=settings.file_max_bytes, idle_s=settings.file_idle_s)
        if Part.INGESTER in self._parts:
            yield from files_http.ingesting(files=self.service, door=door, bounds=bounds)
        if Part.QUERY in self._parts:
            yield from files_http.querying(files=self.service, thumbnails=self.thumbnails, door=door)

    def _element_door(self) -> files_http.ElementDoor:
        services, registry = self._services, self.service.registry
        return files_http.ElementDoor(
            verify=partial(services.identity.verifier.verify, audience=Audience.STORAGE),
            elements=registry.held,
            ids=services.ids,
            base_headers=SECURITY_HEADERS,
            idle_s=services.settings.file_idle_s,
        )

    def routers(self, authenticate: Authenticate) -> Iterator[Routes]:
        """Everything else."""
        if Part.QUERY in self._parts:
            yield files_http.query_router(files=self.service, waiting=self.care.later, authenticate=authenticate)
        if Part.INGESTER in self._parts:
            yield files_http.ingest_router(files=self.service, waiting=self.care.later, authenticate=authenticate)
            yield retention_router(retention=self.care.retention, later=self.care.later, authenticate=authenticate)
            yield restoring_router(restoring=self.care.restoring, authenticate=authenticate)
        if Part.REGISTRY in self._parts:
            yield files_http.registry_router(files=self.service, authenticate=authenticate)
            yield rounds_router(rounds=self.care.rounds, authenticate=authenticate)
            yield transactions_router(desk=self.service.desk, authenticate=authenticate)

    @cached_property
    def _reaching(self) -> adapters.Reach:
        services = self._services
        token = RoleToken(issuer=services.identity.issuer, parts=self._parts, clock=services.clock)
        return adapters.Reach(token=token, rest_s=services.settings.storage_rest_s, ca_pem=services.ca_pem)

    def _place(self, element: Element) -> tuple[str, adapters.Reach]:
        """Where this process finds an element, and how it gets there."""
        folders_at = self._services.folders_at
        if folders_at is None or not is_folder(element):
            return element.url, self._reaching
        if not folders_at:
            raise BadElement(
                f"The storage element {element.id} is a folder, and this host began without any, so that none of its workers"
                " serves folders: name it in SAMOVAR_STORAGE_ELEMENTS and restart."
            )
        adapters.folder_of(element.url)
        return folders_at, msgspec.structs.replace(self._reaching, rest_s=_NEAR_REST_S)

    def _open(self, element: Element) -> StorageElement:
        if is_folder(element) and Part.STORAGE not in self._parts:
            raise BadElement(
                f"The storage element {element.id} is a folder, which only a process with the role storage-element opens:"
                " register the http://host:port at which that process serves it."
            )
        try:
            url, reach = self._place(element)
            return adapters.element_for(
                url,
                element_id=element.id,
                mode=element.mode,
                clock=self._services.clock,
                may_begin=partial(self.service.registry.may_begin, element.id),
                s3=bucket_access(self._services.settings),
                reach=reach,
            )
        except ValueError as error:
            raise BadElement(f"The address of the storage element {element.id} {error}.") from error

    async def _once(
        self, principal: Principal, scope: Scope, key: bytes, mark: bytes
    ) -> "files_http.Noting | files_http.Again":
        found = await self._services.idempotency.claim(
            principal, path=scope["path"], query=scope["query_string"], key=key, body=mark
        )
        if isinstance(found, Recorded):
            return partial(gateway_http.replay, found)
        return gateway_http.Recorder(found)


def _facts_of(event: FileEvent) -> dict[str, object]:
    return {name: event.details[name] for name in ("owner", "size_bytes") if name in event.details}


def bucket_access(settings: Settings) -> S3Access:
    """How the service of elements in buckets is reached."""
    secret = settings.blob_secret_access_key
    return S3Access(
        endpoint=settings.blob_endpoint,
        region=settings.blob_region,
        access_key_id=settings.blob_access_key_id,
        secret_access_key="" if secret is None else secret.get_secret_value(),
    )


def is_folder(element: Element) -> bool:
    """Whether one process at a time has it."""
    return element.url.startswith("file:")


def configured_elements(settings: Settings, clock: Clock) -> list[Element]:
    """What the settings say: one place for temporary files, one for permanent ones, and more where somebody wants them. Who
    opens no folders has no places by itself but in a bucket; a storage-element that is told of some has no others."""
    has_usual = settings.holds_folders and not (settings.is_storage_alone and settings.storage_elements)
    base = settings.blob_url or (settings.data_dir.absolute() / "files").as_uri()
    now = clock.now()
    usual = [
        Element(id=mode.value, url=f"{base}/{mode.value}", mode=mode, configured=True, created_at=now, updated_at=now)
        for mode in (Mode.EDIT, Mode.RW)
        if settings.blob_url or has_usual
    ]
    more = [
        Element(
            id=one.id,
            url=one.url,
            mode=one.mode,
            priority=one.priority,
            capacity_bytes=one.capacity_bytes,
            configured=True,
            created_at=now,
            updated_at=now,
        )
        for one in settings.storage_elements
    ]
    named = {one.id for one in more}
    return [*[one for one in usual if one.id not in named], *more]
