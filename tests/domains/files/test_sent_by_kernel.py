"""Contents of which the kernel may send a part: what is wrong is known before the answer, and each end is counted."""

import os
from contextlib import aclosing
from pathlib import Path

import pytest

from samovar.domains.files.errors import ContentAway, ContentCold
from samovar.domains.files.model.records import StoredFile
from samovar.domains.files.service import FileService
from samovar.domains.files.service.reading import BY_KERNEL_BYTES
from samovar.domains.files.service.tally import Operation, Result
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.ports.elements import DamagedFile, Mode, RetentionKind
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ANN, Start, element, put
from tests.support.clock import ManualClock

LARGE = os.urandom(3 * BY_KERNEL_BYTES + 7)


@pytest.fixture
async def two(start: Start, clock: ManualClock, tmp_path: Path) -> FileService:
    """Two elements that keep what they have."""
    configured = [element(tmp_path, Mode.RW, clock, id=name, url=(tmp_path / name).as_uri()) for name in "ab"]
    found: FileService = await start(configured=configured)
    return found


async def _file(files: FileService, file_id: str) -> StoredFile:
    files.memory.clear()
    return (await files.reads.find(ANN, file_id)).file


async def _twice(files: FileService, care: Care) -> StoredFile:
    """On both, the original first."""
    made = await put(files, ANN, LARGE, retention=RetentionKind.PERMANENT, replicas=2)
    await care(files).replicas.tend("default", made.file_id)
    return await _file(files, made.file_id)


async def _sent(files: FileService, file: StoredFile, start: int, end: int) -> tuple[bytes, int]:
    """All of it, and how much of that is the kernel's."""
    sent, by_kernel = b"", 0
    async with aclosing(await files.reads.content_in_part_by_kernel(file, start=start, end=end)) as content:
        async for piece in content:
            sent += piece
            if content.has_part:
                with content.by_kernel() as part:
                    sent += os.pread(part.file.fileno(), part.size_bytes, part.start)
                    by_kernel += part.size_bytes
        assert content.is_over
    return sent, by_kernel


def _on_disk(folder: Path, file: StoredFile, number: int) -> Path:
    copy = file.copies[number]
    return folder / copy.element_id / copy.path


@pytest.mark.parametrize("size_bytes", [1, BY_KERNEL_BYTES - 1, BY_KERNEL_BYTES, BY_KERNEL_BYTES + 1, len(LARGE)])
async def test_a_content_is_the_same_however_it_goes_out(files: FileService, size_bytes: int) -> None:
    file = await _file(files, (await put(files, ANN, LARGE[:size_bytes])).file_id)
    for start, end in ((0, size_bytes), (size_bytes // 3, size_bytes), (0, size_bytes - size_bytes // 5)):
        sent, by_kernel = await _sent(files, file, start, end)
        assert sent == LARGE[start:end]
        assert (by_kernel > 0) == (end - start >= BY_KERNEL_BYTES)
    assert await _sent(files, file, 0, 0) == (b"", 0)
    assert dict(files.tally.counts) == {(Operation.UPLOAD, Result.SUCCESS): 1, (Operation.DOWNLOAD, Result.SUCCESS): 4}


@pytest.mark.parametrize("length", [None, 0, 1000])
async def test_another_copy_serves_where_the_first_is_gone_or_short(
    two: FileService, care: Care, tmp_path: Path, length: int | None
) -> None:
    file = await _twice(two, care)
    first, second = _on_disk(tmp_path, file, 0), _on_disk(tmp_path, file, 1)
    if length is None:
        first.unlink()
    else:
        os.truncate(first, length)
    assert await _sent(two, file, 0, len(LARGE)) == (LARGE, len(LARGE) - 128 * 1024)
    # The end of a range behind the cut, too.
    assert (await _sent(two, file, 5, len(LARGE)))[0] == LARGE[5:]
    os.truncate(second, 10)
    with pytest.raises(DamagedFile):
        await two.reads.content_in_part_by_kernel(file, start=0, end=len(LARGE))
    assert two.tally.counts[Operation.DOWNLOAD, Result.FAILED] == 1


async def test_cold_contents_and_elements_that_are_away_are_told_as_ever(
    two: FileService, care: Care, tmp_path: Path
) -> None:
    file = await _twice(two, care)
    for copy in file.copies:
        await two.registry.serving(copy.element_id).lower_mode(Mode.RO)
        await two.registry.serving(copy.element_id).lower_mode(Mode.AR)
    with pytest.raises(ContentCold):
        await two.reads.content_in_part_by_kernel(file, start=0, end=len(LARGE))
    for copy in file.copies:
        await two.registry.serving(copy.element_id).close()
    with pytest.raises(ContentAway):
        await two.reads.content_in_part_by_kernel(file, start=0, end=len(LARGE))


def _is_held(path: Path) -> bool:
    """Whether this process has it open."""
    return any(os.path.realpath(f"/proc/self/fd/{number}") == str(path) for number in os.listdir("/proc/self/fd"))


async def _broken_off(files: FileService, file: StoredFile, error: SamovarError | None) -> None:
    async with aclosing(await files.reads.content_in_part_by_kernel(file, start=0, end=len(LARGE))) as content:
        assert await anext(content)
        with content.by_kernel() as part:
            assert _is_held(Path(os.readlink(f"/proc/self/fd/{part.file.fileno()}")))
            if error is not None:
                raise error


@pytest.mark.parametrize(("error", "result"), [(None, Result.BROKEN), (Unavailable("EIO"), Result.FAILED)])
async def test_what_breaks_off_is_counted_and_closed(
    files: FileService, tmp_path: Path, error: SamovarError | None, result: Result
) -> None:
    file = await _file(files, (await put(files, ANN, LARGE)).file_id)
    if error is None:
        await _broken_off(files, file, None)
    else:
        with pytest.raises(type(error)):
            await _broken_off(files, file, error)
    assert files.tally.counts[Operation.DOWNLOAD, result] == 1
    assert not _is_held(_on_disk(tmp_path / "files", file, 0))


async def test_a_content_whose_end_is_lost_on_the_way_is_a_failure_of_ours(files: FileService, tmp_path: Path) -> None:
    file = await _file(files, (await put(files, ANN, LARGE)).file_id)
    content = await files.reads.content_in_part_by_kernel(file, start=0, end=len(LARGE))
    async with aclosing(content):
        await anext(content)
        os.truncate(_on_disk(tmp_path / "files", file, 0), len(LARGE) - 1)
        with content.by_kernel():
            pass
        with pytest.raises(DamagedFile):
            await anext(content)
    assert files.tally.counts[Operation.DOWNLOAD, Result.FAILED] == 1
