"""Verifying and restoring backups."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from samovar.adapters.age import AgeOpener, Passphrase, parse_identities
from samovar.adapters.alembic import rebuilding
from samovar.app.adapters import prepare_folder
from samovar.app.backups import BackupDesk
from samovar.app.services import Services
from samovar.app.settings import Settings, load
from samovar.cli.output import CannotDo
from samovar.domains.operations.model.backups import Verdict, stored_backup
from samovar.ports.envelopes import Opener

_READ_BYTES: Final = 256 * 1024
_MAX_SECRET_BYTES: Final = 64 * 1024


def verify(source: str, *, identity: Path | None, passphrase_file: Path | None) -> Verdict:
    """Raises :class:`CannotDo`, ``SamovarError``, ``SettingsInvalid``."""
    opener = _opener(identity, passphrase_file)

    async def run() -> Verdict:
        services = Services(load())
        try:
            desk = services.backups
            return await desk.service.verify(desk.principal, _read(source, desk), opener=opener)
        finally:
            await services.database.close()

    return asyncio.run(run())


def restore(source: str, *, replace: bool, identity: Path | None, passphrase_file: Path | None) -> Verdict:
    """Raises as :func:`verify`."""
    opener = _opener(identity, passphrase_file)
    settings = load()
    _needs_master_key(settings)
    prepare_folder(settings)

    async def run() -> Verdict:
        services = Services(settings)
        try:
            desk = services.backups
            return await desk.service.restore(
                _read(source, desk), partial(rebuilding, settings.database), replace=replace, opener=opener
            )
        finally:
            await services.database.close()

    return asyncio.run(run())


def passphrase_in(path: Path) -> Passphrase:
    """The first line of a file. Raises :class:`CannotDo`."""
    lines = _secret(path).splitlines()
    if not lines or not lines[0].strip():
        raise CannotDo(f"{path} holds no passphrase: it must be the first line")
    return Passphrase(lines[0].strip())


def _opener(identity: Path | None, passphrase_file: Path | None) -> Opener | None:
    if identity and passphrase_file:
        raise CannotDo("a backup is encrypted for an identity or under a passphrase: give one of them")
    if identity:
        return AgeOpener(parse_identities(_secret(identity)))
    return AgeOpener(passphrase_in(passphrase_file)) if passphrase_file else None


def _secret(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_SECRET_BYTES).decode("utf-8", "replace")


def _read(source: str, desk: BackupDesk) -> AsyncGenerator[bytes, None]:
    if source == "-":
        return _pieces(sys.stdin.buffer)
    path = Path(source)
    if path.is_file():
        return _pieces(path.open("rb"))
    if stored_backup(source, 0) is None:
        raise CannotDo(f"there is no file {source}, and no backup has such a name; `samovar backup list` shows them")
    return desk.service.read(desk.principal, source)


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    with file:
        while piece := await asyncio.to_thread(file.read, _READ_BYTES):
            yield piece


def _needs_master_key(settings: Settings) -> None:
    """Here none is made: a new one opens nothing of what is restored."""
    if settings.master_key is None and not (settings.data_dir / "master.key").exists():
        raise CannotDo(
            f"there is no master key: put the file that the backed up installation had to {settings.data_dir}/master.key (or"
            " give SAMOVAR_MASTER_KEY); `samovar backup master-key` brings it back with the recovery phrase"
        )
