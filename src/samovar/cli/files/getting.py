"""Files from the store to here, and whether they are what they should be."""

import asyncio
import hashlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from samovar.cli.api import Api, ask
from samovar.cli.files.progress import Bars
from samovar.cli.files.working import FILES, Failed, about, checksum_of, each, pieces_of
from samovar.cli.output import CannotDo
from samovar.domains.files.model.names import base_name

FILE_ID: Final = re.compile(r"[0-9A-Fa-f-]{36}", re.ASCII)


async def get(
    api: Api, file_ids: Sequence[str], target: Path | None, bars: Bars, *, parallel: int
) -> tuple[list[Any], list[Failed]]:
    """Fetch files into a folder, or one into a file. What is broken off stays in a ``.part`` and goes on the next time; what
    arrives under its name is what the checksum says. Raises :class:`CannotDo`."""
    into_folder = target is None or _is_folder(target)
    if not into_folder and len(file_ids) > 1:
        raise CannotDo(f"{target} is no folder, and several files do not go into one")
    taken: set[Path] = set()

    async def one(file_id: str) -> Any:
        file = await about(api, _checked(file_id))
        path = (target or Path()) / base_name(file["filename"]) if into_folder else (target or Path())
        if path in taken or (into_folder and path.exists() and await checksum_of(path) != file["checksum"]):
            path = path.with_name(f"{file_id}_{path.name}")
        taken.add(path)
        await _fetched(api, file, path, bars)
        return {**file, "path": str(path)}

    return await each(file_ids, one, parallel=parallel)


async def to_standard_output(api: Api, file_id: str) -> None:
    """Its bytes, as they come; a pipe has no second try. Raises :class:`CannotDo`."""
    file = await about(api, _checked(file_id))
    digest = hashlib.sha256()
    async for piece in pieces_of(api, file):
        digest.update(piece)
        await asyncio.to_thread(sys.stdout.buffer.write, piece)
    await asyncio.to_thread(sys.stdout.buffer.flush)
    if digest.hexdigest() != file["checksum"]:
        raise CannotDo(f"what came of {file_id} is not what its checksum says")


async def verify(api: Api, named: Sequence[str], bars: Bars, *, parallel: int) -> tuple[list[Any], list[Failed]]:
    """A path: whether the store has such a file. An id: whether what the store holds is what it says it holds."""

    async def one(name: str) -> Any:
        path = Path(name)
        if FILE_ID.fullmatch(name) and not _is_here(path):
            return await _verified_there(api, name, bars)
        checksum = await checksum_of(path)
        page = await ask(api, "GET", f"{FILES}?checksum={quote(checksum)}&limit=100")
        found = [one["file_id"] for one in page["items"]]
        if not found:
            raise CannotDo("the store has no such file of yours")
        return {"name": name, "checksum": checksum, "file_ids": found}

    return await each(named, one, parallel=parallel)


async def _verified_there(api: Api, file_id: str, bars: Bars) -> Any:
    file = await about(api, file_id)
    bar, digest, at = bars.bar(file["filename"], file["size_bytes"]), hashlib.sha256(), 0
    async for piece in pieces_of(api, file):
        digest.update(piece)
        at += len(piece)
        bar.stands_at(at)
    if digest.hexdigest() != file["checksum"]:
        raise CannotDo(f"its content is not what its checksum says: {digest.hexdigest()}, not {file['checksum']}")
    return {"name": file["filename"], "checksum": file["checksum"], "file_ids": [file_id]}


async def _fetched(api: Api, file: Any, path: Path, bars: Bars) -> None:
    if _is_here(path) and await checksum_of(path) == file["checksum"]:
        bars.bar(path.name, file["size_bytes"]).stands_at(file["size_bytes"])
        return
    part = path.with_name(f"{path.name}.{file['file_id']}.part")
    goes_on = part.exists() and part.stat().st_size > 0
    is_whole = await _filled(api, file, part, bars)
    if not is_whole and goes_on:
        # What was there may have been damaged by a crash of this machine: once more from the beginning.
        part.unlink()
        is_whole = await _filled(api, file, part, bars)
    if not is_whole:
        part.unlink()
        raise CannotDo("what came is not what its checksum says; try again")
    part.replace(path)


async def _filled(api: Api, file: Any, part: Path, bars: Bars) -> bool:
    """Whether it is as its checksum says."""
    bar = bars.bar(file["filename"], file["size_bytes"])
    with part.open("ab") as into:
        if into.tell() > file["size_bytes"]:
            into.truncate(0)
            into.seek(0, os.SEEK_END)
        at = into.tell()
        async for piece in pieces_of(api, file, start=at):
            await asyncio.to_thread(into.write, piece)
            at += len(piece)
            bar.stands_at(at)
        into.flush()
        os.fsync(into.fileno())
    return await checksum_of(part) == str(file["checksum"])


def _is_folder(path: Path) -> bool:
    return path.is_dir()


def _is_here(path: Path) -> bool:
    return path.is_file()


def _checked(file_id: str) -> str:
    if not FILE_ID.fullmatch(file_id):
        raise CannotDo(f"{file_id[:60]} is no id of a file")
    return file_id
