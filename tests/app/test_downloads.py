"""Large contents over a whole Samovar: by the kernel where that can be, and the same bytes wherever."""

import asyncio
import hashlib
import io
import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from samovar.domains.files.service.reading import BY_KERNEL_BYTES
from samovar.domains.files.service.tally import Operation, Result
from tests.app.conftest import ADMIN, ADMIN_TOKEN, Answer, Serve, Served, read_answer

LARGE = random.Random(7).randbytes(50_000_000)


async def _stored(served: Served, content: bytes) -> str:
    """The path of its content."""
    made = await served.ask("POST", "/api/files/upload", body=content, headers={**ADMIN, "X-Filename": "large"})
    assert made.status == 201
    return f"/api/files/{made.json['file_id']}/content"


def _asked(path: str, *more: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"X-Admin-Token: {ADMIN_TOKEN}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _counts(served: Served, result: Result) -> int:
    return served.services.files.service.tally.counts[Operation.DOWNLOAD, result]


def _sends() -> bool:
    """Whether the kernel was asked to send anything."""
    return any("-send_" in thread.name for thread in threading.enumerate())


def _open_files(folder: Path) -> list[str]:
    """Contents that this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [path for path in found if path.startswith(str(folder)) and "/large_" in path]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not condition():  # noqa: ASYNC110  # any condition
            await asyncio.sleep(0.02)


def _content_on_disk(folder: Path) -> Path:
    (found,) = [path for path in folder.rglob("large_*") if path.suffix != ".json"]
    return found


async def test_a_large_content_is_whole_and_so_is_each_range_of_it(served: Served) -> None:
    path = await _stored(served, LARGE)
    reader, writer = await served.connect()
    size = len(LARGE)
    spans = [(0, size - 1), (1, size - 1), (4095, 4096 + BY_KERNEL_BYTES), (size - BY_KERNEL_BYTES, size - 1), (7, 8)]
    # One behind the other on one connection, and some other answers among them.
    writer.write(_asked(path) + _asked(path, method="HEAD") + _asked(path.removesuffix("/content")))
    for first, last in spans:
        writer.write(_asked(path, f"Range: bytes={first}-{last}"))
    whole = await read_answer(reader)
    assert (whole.status, hashlib.sha256(whole.body).hexdigest()) == (200, hashlib.sha256(LARGE).hexdigest())
    head = await read_answer(reader, has_body=False)
    assert head.headers["content-length"] == str(size)
    assert (await read_answer(reader)).json["size_bytes"] == size
    for first, last in spans:
        part = await read_answer(reader)
        assert (part.status, part.headers["content-range"]) == (206, f"bytes {first}-{last}/{size}")
        assert part.body == LARGE[first : last + 1]
    writer.close()
    assert _sends()
    assert _counts(served, Result.SUCCESS) == 1 + len(spans)


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_contents_of_about_the_size_at_which_the_kernel_begins_are_whole(
    served: Served, more: int, version: str
) -> None:
    content = LARGE[: BY_KERNEL_BYTES + more]
    asked = _asked(await _stored(served, content), "Connection: close").replace(
        b"HTTP/1.1", b"HTTP/" + version.encode()
    )
    reader, writer = await served.connect()
    writer.write(asked)
    assert (await reader.read()).partition(b"\r\n\r\n")[2] == content
    writer.close()


async def test_a_page_of_another_origin_gets_it_so_too(serve: Serve) -> None:
    served = await serve(allowed_origins=("https://tea.test",))
    path = await _stored(served, LARGE[:2_000_000])
    answer: Answer = await served.ask("GET", path, headers={**ADMIN, "Origin": "https://tea.test"})
    assert answer.headers["access-control-allow-origin"] == "https://tea.test"
    assert answer.body == LARGE[:2_000_000]
    assert _sends()


async def test_who_leaves_in_the_middle_is_counted_as_such_and_nothing_stays_open(
    served: Served, tmp_path: Path, logged: io.StringIO
) -> None:
    path = await _stored(served, LARGE)
    reader, writer = await served.connect()
    writer.write(_asked(path))
    await reader.readexactly(3_000_000)
    assert _open_files(tmp_path)
    writer.transport.abort()
    await _until(lambda: _counts(served, Result.BROKEN) == 1)
    await _until(lambda: not _open_files(tmp_path))
    assert "unexpected" not in logged.getvalue()
    assert "request failed" not in logged.getvalue()


async def test_who_falls_asleep_over_it_is_cut_off_and_nothing_stays_open(serve: Serve, tmp_path: Path) -> None:
    served = await serve(unread_timeout_s=1.0)
    path = await _stored(served, LARGE)
    reader, writer = await served.connect()
    writer.write(_asked(path))
    await _until(lambda: _counts(served, Result.BROKEN) == 1)
    await _until(lambda: not _open_files(tmp_path))
    assert 0 < len(await reader.read()) < len(LARGE)
    writer.close()


async def test_a_content_that_is_cut_short_on_the_way_cuts_the_answer(served: Served, tmp_path: Path) -> None:
    path = await _stored(served, LARGE)
    reader, writer = await served.connect()
    writer.write(_asked(path))
    await reader.readexactly(1_000_000)
    os.truncate(_content_on_disk(tmp_path), 30_000_000)
    assert len(await reader.read()) < 29_010_000
    writer.close()
    await _until(lambda: _counts(served, Result.FAILED) == 1)
    await _until(lambda: not _open_files(tmp_path))
    # What was short before the answer began is told.
    os.truncate(_content_on_disk(tmp_path), 1000)
    assert (await served.ask("GET", path, headers=ADMIN)).json["code"] == "damaged_file"


async def test_many_at_once_are_each_whole(served: Served, tmp_path: Path) -> None:
    content = LARGE[:5_000_000]
    path = await _stored(served, content)
    async with asyncio.TaskGroup() as group:
        every = [group.create_task(served.ask("GET", path, headers=ADMIN)) for _ in range(30)]
    assert all(one.result().body == content for one in every)
    assert not _open_files(tmp_path)
