"""A disk that fills while a file is written to it: another element takes the file, where it is known that this one has not."""

import errno
import os
from pathlib import Path

import pytest

from samovar.adapters.disk import DiskElement, Syscalls
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.service import FileService, IngestRules
from samovar.ports.elements import ElementFull, ElementUnavailable, Mode, StorageElement
from tests.domains.files.conftest import ANN, Start, element, put, read_whole
from tests.support.clock import ManualClock

MIB = 1024 * 1024


class Writing(Syscalls):
    """A disk whose room is another's by the time that content comes to be written."""

    def write(self, descriptor: int, content: bytes | memoryview) -> int:
        if ".element" not in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, content)


class Naming(Syscalls):
    """A disk that has no room for the name of the attributes, and says so when it is too late to take it back."""

    def __init__(self) -> None:
        super().__init__()
        self._committed = False

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self._committed = target.endswith(".attr.json")

    def fsync_folder(self, path: str) -> None:
        if self._committed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().fsync_folder(path)


async def two(start: Start, tmp_path: Path, clock: ManualClock, calls: Syscalls, **more: object) -> FileService:
    """Two elements, of which the one that goes first has this disk."""

    def opened(one: Element) -> StorageElement:
        on = calls if one.id == "first" else None
        return DiskElement(tmp_path / one.id, element_id=one.id, mode=one.mode, clock=clock, syscalls=on)

    configured = [
        element(tmp_path, Mode.EDIT, clock, id=name, priority=at) for at, name in enumerate(["first", "then"])
    ]
    made: FileService = await start(configured=configured, open_element=opened, **more)
    assert len(made.registry.started()) == 2
    return made


def found(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


@pytest.mark.parametrize("size_bytes", [2, 100_000, 3 * MIB])
async def test_what_is_still_known_whole_goes_to_another_element(
    start: Start, tmp_path: Path, clock: ManualClock, size_bytes: int
) -> None:
    files = await two(start, tmp_path, clock, Writing(), rules=IngestRules(max_bytes=10 * MIB))
    content = os.urandom(size_bytes)
    made = await put(files, content=content)
    assert made.storage_element_id == "then"
    assert await read_whole(files, ANN, made.file_id) == content
    assert found(tmp_path / "first", f"*{made.file_id}*") == []
    # Its room was taken once.
    assert (await files.reads.usage(ANN, made.owner))[:2] == (1, size_bytes)


async def test_what_is_not_known_any_more_is_told_as_full(start: Start, tmp_path: Path, clock: ManualClock) -> None:
    files = await two(start, tmp_path, clock, Writing())
    with pytest.raises(ElementFull):
        await put(files, content=os.urandom(9 * MIB))
    assert found(tmp_path, "2*/**/*.*") == []


async def test_what_may_stand_on_the_first_is_asked_of_it_and_not_written_twice(
    start: Start, tmp_path: Path, clock: ManualClock
) -> None:
    files = await two(start, tmp_path, clock, Naming())
    with pytest.raises(ElementUnavailable, match="may stand"):
        await put(files, content=b"tea")
    assert len(found(tmp_path, "*.attr.json")) == 1
    assert found(tmp_path / "then", "*.attr.json") == []
