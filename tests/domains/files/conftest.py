"""Files over a real database and real folders, in as many processes as a test wants."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.disk import DiskElement
from samovar.adapters.memory import MemoryBus, MemoryCache
from samovar.adapters.system import SystemIds
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.model.records import FileAnswer, FileEvent, StoredFile
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.service import FileService, IngestRules
from samovar.domains.identity.model import ServiceRole, administrator, permissions_of
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from samovar.ports.elements import Mode, RetentionKind, StorageElement
from tests.domains.files.caring import Care
from tests.support.clock import ManualClock

ADMIN = administrator()


def caller(name: str = "ann", *, role: ServiceRole = ServiceRole.USER, team_id: str = "default") -> Principal:
    """A person of a team."""
    return Principal(
        id=f"person_{name}",
        kind=PrincipalKind.PERSON,
        team_id=team_id,
        name=name,
        permissions=permissions_of([role]),
    )


ANN, BOB = caller("ann"), caller("bob")
AUDITOR = caller("eve", role=ServiceRole.AUDITOR)
STRANGER = caller("mallory", team_id="other", role=ServiceRole.ADMIN)


async def pieces(*some: bytes) -> AsyncIterator[bytes]:
    """A content, in these pieces."""
    for piece in some:
        yield piece


async def read_whole(files: FileService, principal: Principal, file_id: str) -> bytes:
    """What a file holds."""
    seen = await files.reads.find(principal, file_id)
    async with aclosing(await files.reads.content(seen.file, start=0, end=seen.file.attributes.size_bytes)) as content:
        return b"".join([piece async for piece in content])


async def put(
    files: FileService, principal: Principal = ANN, content: bytes = b"hello", filename: str = "a.txt", **more: Any
) -> FileAnswer:
    """Upload a file."""
    return await files.ingest.upload(principal, Intent(filename=filename, **more), pieces(content))


def element(folder: Path, mode: Mode, clock: ManualClock, **more: Any) -> Element:
    """An element of the settings, in a folder of its own."""
    said = {"id": mode.value, "url": (folder / mode.value).as_uri(), "mode": mode, **more}
    return Element(**said, configured=True, created_at=clock.now(), updated_at=clock.now())


@pytest.fixture
def told() -> list[FileEvent]:
    """The news that went out."""
    return []


Start = Callable[..., Any]


@pytest.fixture
async def start(
    database: Database, tmp_path: Path, clock: ManualClock, ids: SystemIds, box: AesGcmBox, told: list[FileEvent]
) -> AsyncIterator[Start]:
    """Starts the files of a process, and ends them with the test. A folder is one process's at a time: others that run at once
    get no elements, and share the database, the bus and the cache."""
    cache = MemoryCache(clock=clock)

    async def notify(event: FileEvent, file: StoredFile | None) -> None:
        told.append(event)

    async with AsyncExitStack() as stack:

        async def started(
            *, modes: tuple[Mode, ...] = (Mode.EDIT, Mode.RW), rules: IngestRules | None = None, **more: Any
        ) -> FileService:
            bus: MemoryBus = more.pop("bus", None) or MemoryBus()
            folders = more.pop("folders", tmp_path / "files")
            open_element = more.pop("open_element", None) or _on_disk(clock)
            files = FileService(
                database=more.pop("database", database),
                clock=clock,
                ids=ids,
                bus=bus,
                cache=more.pop("cache", cache),
                box=box,
                configured=more.pop("configured", None) or [element(folders, mode, clock) for mode in modes],
                open_element=open_element,
                rules=rules or IngestRules(),
                notify=more.pop("notify", notify),
            )
            if more.pop("starts_bus", True):
                await bus.start()
            stack.push_async_callback(bus.close)
            await stack.enter_async_context(files.running(_keep))
            return files

        yield started


@pytest.fixture
async def files(start: Start) -> FileService:
    """One process, with an element for temporary files and one for permanent ones."""
    found: FileService = await start()
    return found


@pytest.fixture
async def apart(start: Start, database: Database, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Any]:
    """Makes an ingester that may be stopped or killed, and an admin beside it."""
    # They use what stands above.
    from tests.domains.files.sagas import Halts, Mortal, Roles, Shared

    disks: list[DiskElement] = []

    async def made(mode: Mode = Mode.EDIT, rules: IngestRules | None = None) -> Any:
        disk = DiskElement(tmp_path / "shared", element_id="one", mode=mode, clock=clock)
        disks.append(disk)
        await disk.start()
        halts, mortal = Halts(), Mortal(database)
        url, now = (tmp_path / "shared").as_uri(), clock.now()
        where = [Element(id="one", url=url, mode=mode, created_at=now, updated_at=now)]
        bus = MemoryBus()
        more = {"bus": bus, "configured": where, "rules": rules}
        ingester = await start(**more, database=mortal, open_element=lambda _: Shared(disk, halts), starts_bus=False)
        admin = await start(**more, open_element=lambda _: Shared(disk))
        retention = RetentionKind.TEMPORARY if mode is Mode.EDIT else RetentionKind.PERMANENT
        return Roles(ingester, admin, mortal, halts, disk, tmp_path / "shared", clock, retention)

    yield made
    for disk in disks:
        await disk.close()


@pytest.fixture
def care(database: Database, clock: ManualClock, ids: SystemIds, box: AesGcmBox) -> Care:
    """Looks after the files of a process."""
    return Care(database, clock, ids, box)


async def told_all(files: FileService) -> None:
    """Let the news in the outbox go out, all of it: what the process itself tells beside the test, and what telling makes."""
    for _ in range(100):
        if not await files.teller.tell_all():
            return


def _on_disk(clock: ManualClock) -> Callable[[Element], StorageElement]:
    def opened(one: Element) -> StorageElement:
        return DiskElement(Path(one.url.removeprefix("file://")), element_id=one.id, mode=one.mode, clock=clock)

    return opened


async def _keep(name: str, run: Callable[[], Any]) -> None:
    await run()
