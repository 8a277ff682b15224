"""Making and listing backups."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from samovar.adapters.age import AgeSealer, parse_recipient
from samovar.adapters.objects import ObjectBlobs
from samovar.app.backups import BackupDesk
from samovar.app.services import Services
from samovar.app.settings import load
from samovar.cli.backup.taking import passphrase_in
from samovar.cli.output import CannotDo
from samovar.domains.operations.model.backups import StoredBackup
from samovar.domains.operations.service.backups import Draft
from samovar.ports.envelopes import Sealer

_STANDARD_OUTPUT = Path("-")


def create(*, output: Path | None, recipients: Sequence[str], passphrase_file: Path | None) -> tuple[str, int]:
    """Name and size in bytes. Raises :class:`CannotDo`, ``SamovarError``, ``SettingsInvalid``."""
    if output is None and (recipients or passphrase_file):
        raise CannotDo(
            "for whom backups in the configured place are encrypted is a setting, SAMOVAR_BACKUP_AGE_RECIPIENTS;"
            " --recipient and --passphrase-file go with --output"
        )
    sealer = _sealer(recipients, passphrase_file)
    if output is None or output == _STANDARD_OUTPUT:
        return asyncio.run(_create(output, sealer))
    path = output.absolute()
    if path.exists() and not path.is_file():
        # A file takes the place of what stands there, be it a device.
        raise CannotDo(f"{output} is there and no file; -o - writes to standard output")
    asyncio.run(_to_file(path, sealer))
    return str(output), path.stat().st_size


def listed() -> list[StoredBackup]:
    """Those in the configured place. Raises as :func:`create`."""

    async def run() -> list[StoredBackup]:
        async with opened() as desk:
            return await desk.service.list(desk.principal)

    return asyncio.run(run())


def new_phrase() -> str:
    """A recovery phrase whose copy of the master key is in the database now. Raises as :func:`create`."""

    async def run() -> str:
        async with opened() as desk:
            phrase = await desk.new_recovery_phrase()
            await desk.tell("master-key:copy", "master-key")
            return phrase

    return asyncio.run(run())


@asynccontextmanager
async def opened() -> AsyncIterator[BackupDesk]:
    """This installation's backups."""
    services = Services(load())
    try:
        yield services.backups
    finally:
        await services.database.close()


async def _create(output: Path | None, sealer: Sealer | None) -> tuple[str, int]:
    async with opened() as desk:
        if output is None:
            made = await desk.service.run(desk.principal)
            await desk.tell("backup:create", f"backup:{made.name}")
            return made.name, made.size_bytes
        await desk.tell("backup:download", "backup")
        return await _to_standard_output(desk.service.draft(desk.principal, sealer=sealer))


async def _to_file(path: Path, sealer: Sealer | None) -> None:
    async with opened() as desk:
        await desk.tell("backup:download", "backup")
        draft = desk.service.draft(desk.principal, sealer=sealer)
        async with aclosing(draft.content) as content:
            await ObjectBlobs(path.parent.as_uri()).put(path.name, content)


async def _to_standard_output(draft: Draft) -> tuple[str, int]:
    size_bytes = 0
    async with aclosing(draft.content) as content:
        async for piece in content:
            await asyncio.to_thread(sys.stdout.buffer.write, piece)
            size_bytes += len(piece)
    await asyncio.to_thread(sys.stdout.buffer.flush)
    return draft.name, size_bytes


def _sealer(recipients: Sequence[str], passphrase_file: Path | None) -> Sealer | None:
    if recipients and passphrase_file:
        raise CannotDo("age encrypts for recipients or under a passphrase: give --recipient or --passphrase-file")
    if passphrase_file:
        return AgeSealer(passphrase_in(passphrase_file))
    return AgeSealer([parse_recipient(one) for one in recipients]) if recipients else None
