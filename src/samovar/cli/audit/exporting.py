"""Exporting the chain, piece by piece: of an installation here, or of a server that runs."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlencode

from samovar.app.settings import load
from samovar.cli.api import Credential, remote_answer
from samovar.cli.output import CannotDo


def exported(
    output: Path | None, *, first: int | None, last: int | None, url: str | None, credential: Credential | None
) -> int:
    """How many bytes were written to ``output``, which is whole or not there; ``None`` is standard output. Raises
    :class:`CannotDo`, ``SamovarError``, ``SettingsInvalid``, ``OSError``."""
    settings = load()

    async def run() -> int:
        pieces = _here(settings, first, last) if url is None else _there(settings, url, credential, first, last)
        async with aclosing(pieces):
            return await _written(output, pieces)

    return asyncio.run(run())


async def _here(settings: Any, first: int | None, last: int | None) -> AsyncGenerator[bytes, None]:
    from samovar.app.services import Services
    from samovar.app.upkeep import migrated
    from samovar.domains.identity.model import administrator

    if settings.auto_migrate:
        await migrated(settings)
    services = Services(settings)
    try:
        audit = services.audit
        await audit.note("audit:export", "audit", asked_from=first, asked_to=last)
        async with aclosing(await audit.service.reading.export(administrator(), first=first, last=last)) as pieces:
            async for piece in pieces:
                yield piece
    finally:
        await services.database.close()


async def _there(
    settings: Any, url: str, credential: Credential | None, first: int | None, last: int | None
) -> AsyncGenerator[bytes, None]:
    bounds = {"from": first, "to": last}
    query = urlencode({name: number for name, number in bounds.items() if number is not None})
    async with remote_answer(settings, url, credential, f"/api/audit/export?{query}") as blocks:
        async for block in blocks:
            yield block


async def _written(output: Path | None, pieces: AsyncIterator[bytes]) -> int:
    size_bytes = 0
    with _opened(output) as write:
        async for piece in pieces:
            await asyncio.to_thread(write, piece)
            size_bytes += len(piece)
    return size_bytes


@contextmanager
def _opened(output: Path | None) -> Iterator[Any]:
    if output is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    if output.exists() and not output.is_file():
        raise CannotDo(f"{output} is there and no file; - writes to standard output")
    with NamedTemporaryFile(dir=output.absolute().parent, prefix=".audit-", delete=False) as file:
        try:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, output)
        except BaseException:
            os.unlink(file.name)
            raise
