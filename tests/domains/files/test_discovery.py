"""Storage elements become known to other processes, with the database and without."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from samovar.adapters.disk import DiskElement
from samovar.adapters.memory import MemoryBus
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.system import SystemClock
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.service.discovery import ELEMENTS_CONFIG, Discovered, Discovery
from samovar.domains.files.service.registry import Registry
from samovar.ports.database import Database
from samovar.ports.elements import Mode, StorageElement
from tests.support.clock import ManualClock
from tests.support.sockets import closed_port


class Process:
    """A registry and its discovery, on a folder of their own."""

    def __init__(self, database: Database, bus: MemoryBus, folder: Path, configured: list[Element], **more: Any):
        self.folder = folder
        self.registry = Registry(
            database=database, clock=ManualClock(), bus=bus, configured=configured, open_element=self._open
        )
        self.registry.opens(lambda _: True)
        values = {"file": folder / "known.json", "publishes": False, **more}
        self.discovery = Discovery(registry=self.registry, bus=bus, **values)

    def _open(self, element: Element) -> StorageElement:
        return DiskElement(
            self.folder / element.id,
            element_id=element.id,
            mode=element.mode,
            clock=SystemClock(),
            may_begin=lambda: self.registry.may_begin(element.id),
        )

    @property
    def known(self) -> set[str]:
        """Ids."""
        return set(self.registry.elements)


def element(name: str) -> Element:
    now = ManualClock().now()
    return Element(id=name, url=f"file:///{name}", mode=Mode.EDIT, configured=True, created_at=now, updated_at=now)


@asynccontextmanager
async def away() -> AsyncIterator[PostgresDatabase]:
    """A database that does not answer."""
    database = PostgresDatabase(f"postgresql://nobody@127.0.0.1:{closed_port()}/none", pool_size=1, max_overflow=0)
    yield database
    await database.close()


@asynccontextmanager
async def serving(*processes: Process) -> AsyncIterator[None]:
    for process in processes:
        await process.registry.load(process.discovery.remembered)
    yield
    for process in processes:
        async with process.registry.running():
            pass


async def test_what_is_registered_is_told_with_a_version_that_grows(sqlite_database: Database, tmp_path: Path) -> None:
    bus, told = MemoryBus(), list[Discovered]()

    async def hear(message: bytes) -> None:
        told.append(msgspec.json.decode(message, type=Discovered))

    bus.subscribe(ELEMENTS_CONFIG, hear)
    admin = Process(sqlite_database, bus, tmp_path / "admin", [element("one")], publishes=True)
    query = Process(sqlite_database, bus, tmp_path / "query", [])
    await bus.start()
    async with serving(admin, query):
        await admin.discovery.look()
        await admin.discovery.look()
        await admin.registry.write(element("two"), revision=None)
        await admin.discovery.look()
        await until(lambda: len(told) == 2 and len(query.known) == 2)
        assert [[one.id for one in said.elements] for said in told] == [["one"], ["one", "two"]]
        assert told[0].version < told[1].version
        assert query.known == {"one", "two"}
    await bus.close()


async def until(is_so: Callable[[], bool]) -> None:
    """The bus calls its handlers beside the test."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def test_without_the_database_elements_come_from_the_bus_then_the_disk_and_else_the_settings(
    sqlite_database: Database, tmp_path: Path
) -> None:
    bus = MemoryBus()
    async with away() as nothing:
        admin = Process(sqlite_database, bus, tmp_path / "admin", [element("one")], publishes=True)
        query = Process(nothing, bus, tmp_path / "query", [element("mine")])
        await bus.start()
        async with serving(query):
            assert query.known == {"mine"}
            async with serving(admin):
                await admin.registry.write(element("two"), revision=None)
                await admin.discovery.look()
                await until(lambda: query.known == {"one", "two"})
            await query.discovery.look()
        again = Process(nothing, MemoryBus(), tmp_path / "query", [element("mine")])
        async with serving(again):
            assert again.known == {"mine", "one", "two"}
    await bus.close()


async def test_news_of_the_registry_is_a_word_in_the_log_while_the_database_is_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with away() as nothing:
        process = Process(nothing, MemoryBus(), tmp_path, [element("mine")])
        async with serving(process):
            await process.registry.on_changed(b"")
            await process.registry.on_gap()
            assert process.known == {"mine"}
    said = capsys.readouterr().out
    assert said.count("the registry of storage elements could not be read") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b'{"version": "x"}', b"[]"])
async def test_what_cannot_be_read_of_memory_is_no_memory(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "known.json").write_bytes(content)
    async with away() as nothing:
        process = Process(nothing, MemoryBus(), tmp_path, [element("mine")])
        async with serving(process):
            assert process.known == {"mine"}


async def test_what_is_older_or_is_no_configuration_changes_nothing(tmp_path: Path) -> None:
    async with away() as nothing:
        process = Process(nothing, MemoryBus(), tmp_path, [element("mine")])
        async with serving(process):
            for message in (b"", b"{}", b"\xff", msgspec.json.encode(Discovered(version=0, elements=()))):
                await process.discovery.on_config(message)
            assert process.known == {"mine"}


async def test_an_element_is_begun_once_and_never_while_nobody_can_say_whether_it_was(
    sqlite_database: Database, tmp_path: Path
) -> None:
    one, mark = element("one"), tmp_path / "here" / "one" / ".element" / "element.json"
    async with away() as nothing:
        unknowing = Process(nothing, MemoryBus(), tmp_path / "here", [one])
        async with serving(unknowing):
            assert (unknowing.registry.started(), mark.exists()) == ([], False)
        first = Process(sqlite_database, MemoryBus(), tmp_path / "here", [one])
        async with serving(first):
            assert (len(first.registry.started()), mark.exists()) == (1, True)
            revision = first.registry.elements["one"].revision
            await first.discovery.look()
        mark.parent.rename(tmp_path / "disk")
        for database in (sqlite_database, nothing):
            # From the database, and from what the process remembers where that is away.
            again = Process(database, MemoryBus(), tmp_path / "here", [one])
            async with serving(again):
                assert (again.registry.started(), mark.parent.exists()) == ([], False)
                known = again.registry.elements["one"]
                assert (known.begun_at is not None, known.revision) == (True, revision)
        (tmp_path / "disk").rename(mark.parent)
        async with serving(unknowing):
            assert len(unknowing.registry.started()) == 1
