"""Files from here into the store. Large ones go in pieces, and go on where they were broken off."""

import asyncio
import base64
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from samovar.cli.api import Api, Headers, answer_of, ask, send
from samovar.cli.files.progress import Bar, Bars
from samovar.cli.files.working import FILES, PIECE_BYTES, Failed, about, each
from samovar.cli.output import CannotDo

UPLOADS: Final = f"{FILES}/uploads"
_VERSION: Final = ("tus-resumable", "1.0.0")
_PIECE: Final = ("content-type", "application/offset+octet-stream")
_TRIES: Final = 4
_PAUSE_S: Final = 0.5
_SAME_FILES: Final = 100


class Source(msgspec.Struct, frozen=True):
    """A file here, and what it is to be called there."""

    path: Path
    name: str


class Said(msgspec.Struct, frozen=True):
    """What is said of all files of one command."""

    tags: tuple[str, ...] = ()
    retention: str | None = None
    ttl_days: int | None = None

    def fields(self) -> dict[str, str]:
        """As an upload has them."""
        found = {"tags": msgspec.json.encode(self.tags).decode()} if self.tags else {}
        if self.retention is not None:
            found["retention"] = self.retention
        if self.ttl_days is not None:
            found["ttl_days"] = str(self.ttl_days)
        return found


def sources(paths: Sequence[Path]) -> list[Source]:
    """The files that are meant; those of a folder keep their way down to them in their names. Raises :class:`CannotDo`."""
    return [source for path in paths for source in _sources(path)]


async def put(
    api: Api, found: Sequence[Source], said: Said, bars: Bars, *, parallel: int
) -> tuple[list[Any], list[Failed]]:
    """What the store says of each file that it has now, and which it has not."""

    async def one(source: Source) -> Any:
        status = source.path.stat()
        bar = bars.bar(source.name, status.st_size)
        if status.st_size <= PIECE_BYTES:
            return await _put_whole(api, source, said, bar)
        return await _put_in_pieces(api, source, said, status, bar)

    return await each(found, one, parallel=parallel, name_of=lambda source: str(source.path))


def _sources(path: Path) -> Iterator[Source]:
    if not path.is_dir():
        if not path.exists():
            raise CannotDo(f"{path} is not there")
        yield Source(path, path.name)
        return
    above = path.resolve().parent
    for folder, folders, names in os.walk(path.resolve()):
        folders.sort()
        for name in sorted(names):
            one = Path(folder) / name
            if one.is_file():
                yield Source(one, one.relative_to(above).as_posix())


async def _put_whole(api: Api, source: Source, said: Said, bar: Bar) -> Any:
    content = await asyncio.to_thread(source.path.read_bytes)
    checksum = hashlib.sha256(content).hexdigest()
    headers: Headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-filename", quote(source.name, safe="")),
        ("x-checksum-sha256", checksum),
    ]
    query = urlencode(said.fields())
    made = await send(api, "POST", f"{FILES}/upload{'?' if query else ''}{query}", content, headers)
    bar.stands_at(len(content))
    return made


async def _put_in_pieces(api: Api, source: Source, said: Said, status: os.stat_result, bar: Bar) -> Any:
    file_id, at = await _opened(api, source, said, status)
    with source.path.open("rb") as file:
        failures = 0
        while at < status.st_size:
            bar.stands_at(at)
            file.seek(at)
            piece = await asyncio.to_thread(file.read, PIECE_BYTES)
            if not piece:
                raise CannotDo("it became shorter while it was read")
            try:
                at = await _added(api, file_id, at, piece)
                failures = 0
            except CannotDo:
                failures += 1
                if failures == _TRIES:
                    raise
                await asyncio.sleep(_PAUSE_S * 2**failures)
                at = (await ask(api, "GET", f"{UPLOADS}/{file_id}"))["offset_bytes"]
    bar.stands_at(at)
    made = await about(api, file_id)
    changed = source.path.stat()
    if (changed.st_size, changed.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise CannotDo(f"it changed while it was read: {file_id} may hold some of each")
    return made


async def _opened(api: Api, source: Source, said: Said, status: os.stat_result) -> tuple[str, int]:
    """An upload, and where it goes on. The key by which it is asked for is made of what the file is, so who comes again after
    an interruption is answered with the upload that was begun; where that is a file by now, or over, it is the next one."""
    fields = {"filename": source.name, **said.fields()}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    which = [str(source.path.resolve()), str(status.st_size), str(status.st_mtime_ns), metadata]
    for count in range(_SAME_FILES):
        key = hashlib.sha256("\n".join([*which, str(count)]).encode()).hexdigest()
        headers = [
            _VERSION,
            ("upload-length", str(status.st_size)),
            ("upload-metadata", metadata),
            ("idempotency-key", key),
        ]
        file_id = (await send(api, "POST", UPLOADS, b"", headers))["file_id"]
        code, raw = await api.exchange("GET", f"{UPLOADS}/{file_id}", b"")
        if code in (404, 410):
            continue
        stands = answer_of("GET", f"{UPLOADS}/{file_id}", code, raw)
        if stands["state"] == "open":
            return file_id, stands["offset_bytes"]
    raise CannotDo(f"it was put {_SAME_FILES} times within a day")


async def _added(api: Api, file_id: str, at: int, piece: bytes) -> int:
    checksum = base64.b64encode(hashlib.sha256(piece).digest()).decode()
    headers = [_VERSION, _PIECE, ("upload-offset", str(at)), ("upload-checksum", f"sha256 {checksum}")]
    await send(api, "PATCH", f"{UPLOADS}/{file_id}", piece, headers)
    return at + len(piece)
