"""Several files at once, each of which may fail by itself."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from samovar.cli.api import Api, answer_of, ask
from samovar.cli.output import CannotDo, complain, harmless

FILES: Final = "/api/files"
PIECE_BYTES: Final = 8 * 1024 * 1024
"""So much of a file is in memory at once."""

_LOOK_EVERY_S: Final = 1.0

_T = TypeVar("_T")


class Failed(NamedTuple):
    """A file with which it did not work, and why."""

    name: str
    reason: str


async def each(
    items: Sequence[_T], work: Callable[[_T], Awaitable[Any]], *, parallel: int, name_of: Callable[[_T], str] = str
) -> tuple[list[Any], list[Failed]]:
    """What ``work`` gave for each that it worked with, in their order; and those that it did not work with."""
    found: list[Any] = [None] * len(items)
    failed: list[Failed] = []
    room = asyncio.Semaphore(parallel)

    async def one(at: int, item: _T) -> None:
        async with room:
            try:
                found[at] = await work(item)
            except CannotDo as error:
                failed.append(Failed(name_of(item), str(error)))
            except OSError as error:
                failed.append(Failed(name_of(item), error.strerror or str(error)))

    async with asyncio.TaskGroup() as group:
        for at, item in enumerate(items):
            group.create_task(one(at, item))
    return [one for one in found if one is not None], failed


def complain_of(failed: Sequence[Failed]) -> None:
    """Say what did not work."""
    for one in failed:
        complain(f"{harmless(one.name)}:", f" {one.reason}")


async def about(api: Api, file_id: str) -> Any:
    """What the store says of a file. Raises :class:`CannotDo`."""
    return await ask(api, "GET", f"{FILES}/{file_id}")


async def restored(api: Api, file_id: str, *, wait_s: float) -> Any:
    """A file whose content was asked back from an archive, and whether it is. Raises :class:`CannotDo`."""
    file = await _asked_back(api, file_id)
    if wait_s:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while not file["is_back"]:
                    await asyncio.sleep(_LOOK_EVERY_S)
                    file = await _asked_back(api, file_id)
    return file


async def _asked_back(api: Api, file_id: str) -> Any:
    path = f"{FILES}/{file_id}/restore"
    status, body = await api.exchange("POST", path, b"")
    return {**answer_of("POST", path, status, body), "is_back": status != 202}


async def pieces_of(api: Api, file: Any, *, start: int = 0) -> AsyncIterator[bytes]:
    """A file's content from ``start`` on. Raises :class:`CannotDo`."""
    at, size = start, file["size_bytes"]
    path = f"{FILES}/{file['file_id']}/content"
    while at < size:
        end = min(at + PIECE_BYTES, size)
        headers = [("range", f"bytes={at}-{end - 1}"), ("if-range", f'"{file["checksum"]}"')]
        status, piece = await api.exchange("GET", path, b"", headers)
        if status != 206 or len(piece) != end - at:
            raise CannotDo(_refused(path, status, piece))
        yield piece
        at = end


async def checksum_of(path: Path) -> str:
    """The SHA-256 of a file here, in hexadecimal digits. Raises ``OSError``."""

    def digest() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return await asyncio.to_thread(digest)


def _refused(path: str, status: int, body: bytes) -> str:
    if status < 400:
        return "the content did not come as it was asked for; try again"
    try:
        answer_of("GET", path, status, body)
    except CannotDo as error:
        return str(error)
    return f"it answered with status {status}"
