"""Disks that hang, changes that cross, callers who ask for too much at once."""

import asyncio
import shutil
import threading
from pathlib import Path

import msgspec

from samovar.adapters.disk import DiskElement, Syscalls
from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemClock
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.model.query import FileQuery
from samovar.domains.files.model.records import FileHappened
from samovar.domains.files.service import FileService
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.service.thumbnails import Thumbnails
from samovar.ports.database import Database
from samovar.ports.elements import Mode, StorageElement
from samovar.ports.images import ImageKind, ImageLimits, Picture
from tests.domains.files.conftest import ANN, element, put, read_whole
from tests.support.clock import ManualClock


class Hanging(Syscalls):
    """A disk that does not say how full it is until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    def space(self, path: str) -> tuple[int, int]:
        self.may_go_on.wait(10)
        return super().space(path)


async def test_a_disk_that_hangs_keeps_nobody_from_the_others(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    hanging = Hanging()

    def opened(one: Element) -> StorageElement:
        calls = hanging if one.mode is Mode.EDIT else None
        return DiskElement(tmp_path / one.id, element_id=one.id, mode=one.mode, clock=SystemClock(), syscalls=calls)

    registry = Registry(
        database=database,
        clock=clock,
        bus=MemoryBus(),
        configured=[element(tmp_path, mode, clock) for mode in (Mode.EDIT, Mode.RW)],
        open_element=opened,
        condition_s=0.1,
    )
    try:
        async with registry.running():
            await registry.load()
            began = asyncio.get_running_loop().time()
            found = {one.element.id: one.condition for one in await registry.standings()}
            assert asyncio.get_running_loop().time() - began < 5
            assert found["edit"] is None
            assert found["rw"] is not None
            assert registry.away == {"edit"}
            hanging.may_go_on.set()
            await asyncio.sleep(0.2)
            registry.forget_standings()
            assert all(one.condition is not None for one in await registry.standings())
    finally:
        hanging.may_go_on.set()


async def test_a_change_that_crosses_a_deletion_does_not_bring_the_row_back(files: FileService) -> None:
    made = await put(files)
    stands = (await files.reads.find(ANN, made.file_id)).file.attributes
    serving = files.registry.serving(made.storage_element_id)
    amended = await serving.amend(msgspec.structs.replace(stands, tags=("late",), revision=2))
    await files.changes.delete(ANN, made.file_id)
    assert not await files.projector.project(amended, happened=FileHappened.AMENDED)
    assert (await files.reads.page(ANN, FileQuery(), limit=10)).items == ()
    assert (await files.reads.usage(ANN, made.owner)).files == 0


async def test_a_folder_that_somebody_took_away_is_made_again(files: FileService, tmp_path: Path) -> None:
    await put(files)
    for year in (tmp_path / "files" / "edit").glob("2*"):
        shutil.rmtree(year)
    made = await put(files, content=b"again")
    assert await read_whole(files, ANN, made.file_id) == b"again"
    large = await put(files, content=b"x" * 9_000_000)
    assert large.size_bytes == 9_000_000


class Counting:
    """Makes pictures slowly, and knows of how many at once."""

    def __init__(self) -> None:
        self.at_once = 0
        self.most_at_once = 0

    async def prepare(self, content: bytes, *, limits: ImageLimits) -> Picture:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        return Picture(content=b"small", kind=ImageKind.PNG, width_px=1, height_px=1, recoded=True)

    async def close(self) -> None:
        """Nothing to let go of."""


async def test_few_pictures_are_in_memory_however_many_thumbnails_are_asked_for(files: FileService) -> None:
    images = Counting()
    thumbnails = Thumbnails(reads=files.reads, images=images)
    made = [await put(files, content=b"%d" % number, filename="a.png") for number in range(12)]
    seen = [(await files.reads.find(ANN, one.file_id)).file for one in made]
    await asyncio.gather(*[thumbnails.of(file, 64) for file in seen])
    assert 1 < images.most_at_once <= 4
