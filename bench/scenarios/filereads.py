"""What is known of a file by its id, from memory and over HTTP; and a large one downloaded beside nginx serving the same."""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import uvloop

from bench.figures import Figure, median
from bench.lanes import Lane
from bench.load.request import Marks, Request
from bench.load.window import Seen
from bench.scenarios.bench import Bench, busy, spread, typical
from bench.wire import WrongAnswer
from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.memory import MemoryBus, MemoryCache
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock, SystemIds
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.model.names import file_id_of
from samovar.domains.files.model.records import Copy, CopyState, FileEvent, StoredFile, told
from samovar.domains.files.service import FileService, IngestRules
from samovar.domains.identity.model import DEFAULT_TEAM_ID, administrator
from samovar.kernel.ids import hex_of_ulid, ulid
from samovar.kernel.time import milliseconds
from samovar.ports.elements import Attributes, Retention, RetentionKind, StorageElement

MEBIBYTE = 1024 * 1024
READ_US = 100.0
READS_PER_S = 5_000.0
DOWNLOAD_RATIO = 0.55
AT_ONCE = 4
DOWNLOADED_BYTES = 512 * MEBIBYTE
DOWNLOADED_BYTES_A_SECOND_OF_MEASURE = 128 * MEBIBYTE
RECALLED_A_SECOND_OF_MEASURE = 20_000
TIMEOUT_S = 60.0


def filereads(bench: Bench) -> list[Figure]:
    """The first in the bench's own process, the others by a whole Samovar on its one core."""
    lane = bench.samovar
    source = bench.stage.fresh_directory() / "large.bin"
    size_bytes = min(DOWNLOADED_BYTES, int(DOWNLOADED_BYTES_A_SECOND_OF_MEASURE * bench.measure.seconds))
    _fill(source, size_bytes)
    file_id = bench.stage.upload(lane, source)
    recalled = uvloop.run(_recalled_s(bench.stage.fresh_directory(), bench.measure.seconds))
    return [
        Figure(
            "a file's attributes by id from memory",
            recalled * 1e6,
            "us",
            READ_US,
            at_least=False,
            note="with the caller's right to see them, and as JSON",
        ),
        *_over_http(bench, lane, file_id),
        *_downloaded(bench, lane, f"/api/files/{file_id}/content", source),
    ]


# --- by id


async def _recalled_s(folder: Path, seconds: float) -> float:
    """Processor seconds each, of the thread that serves."""
    clock = SystemClock()
    files = FileService(
        database=SqliteDatabase(folder / "never-asked.db"),
        clock=clock,
        ids=SystemIds(clock=clock),
        bus=MemoryBus(),
        cache=MemoryCache(clock=clock),
        box=AesGcmBox(master_key=os.urandom(32)),
        configured=[],
        open_element=_none_open,
        rules=IngestRules(),
        notify=_nobody,
    )
    file, caller = _file(clock), administrator()
    files.memory.replace(file, generation=files.memory.generation)
    times = int(RECALLED_A_SECOND_OF_MEASURE * seconds)
    began = time.thread_time()
    for _ in range(times):
        seen = files.reads.recall(caller, file.attributes.file_id)
        assert seen is not None
        msgspec.json.encode(told(seen.file.attributes))
    return (time.thread_time() - began) / times


def _over_http(bench: Bench, lane: Lane, file_id: str) -> list[Figure]:
    lines = [
        f"GET /api/files/{file_id} HTTP/1.1",
        f"host: {lane.target.host}:{lane.target.port}",
        f"authorization: Bearer {lane.key}",
    ]
    marks = Marks(named=(("answer without the file's id", file_id.encode()),))
    request = Request(raw=("\r\n".join(lines) + "\r\n\r\n").encode(), marks=marks)
    closed = [bench.asked(lane, request) for _ in range(bench.measure.repeats)]
    cpu_us = typical(closed, lambda each: each.cpu_us_per_call("samovar"))
    note = "; ".join(part for part in (spread(closed, _per_s), busy(closed)) if part)
    return [
        Figure("a file's attributes by id over HTTP", typical(closed, _per_s), "reads/s", READS_PER_S, note=note),
        Figure("attributes by id, Samovar's CPU each", cpu_us, "us", note=f"{1e6 / cpu_us:,.0f} per CPU second"),
    ]


def _per_s(seen: Seen) -> float:
    return seen.per_s


# --- content


def _downloaded(bench: Bench, lane: Lane, path: str, source: Path) -> list[Figure]:
    """Turn by turn, each by a connection of its own."""
    size_bytes = source.stat().st_size
    try:
        other = bench.stage.nginx_serving(source.parent)
    except LookupError as error:
        speeds = [_speed(lane, path, size_bytes) for _ in range(bench.measure.repeats)]
        return [Figure("large download", median(speeds), "MiB/s", note=f"{size_bytes // MEBIBYTE:,} MiB; {error}")]
    figures = []
    for name, count, target in (("large download", 1, DOWNLOAD_RATIO), (f"{AT_ONCE} of them at once", AT_ONCE, None)):
        ours, theirs = [], []
        for _ in range(max(3, bench.measure.repeats)):
            theirs.append(_speed_together(other, f"/{source.name}", size_bytes, count))
            ours.append(_speed_together(lane, path, size_bytes, count))
        said = f"{median(ours):,.0f} MiB/s, nginx with sendfile {median(theirs):,.0f} MiB/s"
        figures.append(
            Figure(
                f"{name}, beside nginx",
                median([mine / its for mine, its in zip(ours, theirs, strict=True)]),
                "of its speed",
                target,
                note=f"{size_bytes // MEBIBYTE:,} MiB{' each' if count > 1 else ''}: {said}",
            )
        )
    return figures


def _speed_together(lane: Lane, path: str, size_bytes: int, count: int) -> float:
    """MiB a second of so many downloads at once, all together."""
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda _: _speed(lane, path, size_bytes), range(count)))
    return count * size_bytes / MEBIBYTE / (time.perf_counter() - began)


def _speed(lane: Lane, path: str, size_bytes: int) -> float:
    """MiB a second. Raises WrongAnswer for any other length."""
    lines = [f"GET {path} HTTP/1.1", f"host: {lane.target.host}", f"authorization: Bearer {lane.key}"]
    room = bytearray(MEBIBYTE)
    began = time.perf_counter()
    with socket.create_connection((lane.target.host, lane.target.port), TIMEOUT_S) as connection:
        connection.sendall(("\r\n".join([*lines, "connection: close"]) + "\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65_536)
            if not piece:
                raise WrongAnswer(f"{lane.name}: a download broke off in its headers: {head[:300]!r}")
            head += piece
        said, _, begun = head.partition(b"\r\n\r\n")
        received = len(begun)
        while count := connection.recv_into(room):
            received += count
    if b" 200 " not in said.partition(b"\r\n")[0] or received != size_bytes:
        raise WrongAnswer(f"{lane.name}: a download of {size_bytes} bytes had {received}: {said[:300]!r}")
    return size_bytes / MEBIBYTE / (time.perf_counter() - began)


# --- what is asked for


def _fill(path: Path, size_bytes: int) -> None:
    block = os.urandom(MEBIBYTE)
    with path.open("wb") as file:
        for _ in range(size_bytes // MEBIBYTE):
            file.write(block)


def _file(clock: SystemClock) -> StoredFile:
    now = clock.now()
    file_id = file_id_of(hex_of_ulid(ulid(milliseconds(now), 1)))
    path = f"2026/11/21/13/report_ann_20261121T133100Z_{file_id}.pdf"
    attributes = Attributes(
        file_id=file_id,
        path=path,
        filename="Отчёт о продажах.pdf",
        content_type="application/pdf",
        size_bytes=123_456,
        checksum="0" * 64,
        storage_element_id="bench",
        created_at=now,
        team_id=DEFAULT_TEAM_ID,
        owner="ann",
        retention=Retention(kind=RetentionKind.PERMANENT),
        revision=1,
        tags=("report", "2026"),
        custom={"project": "apollo", "pages": 12},
    )
    return StoredFile(attributes=attributes, copies=(Copy(element_id="bench", path=path, state=CopyState.GOOD),))


def _none_open(element: Element) -> StorageElement:
    raise LookupError(element.id)


async def _nobody(event: FileEvent, file: StoredFile | None) -> None:
    pass
