"""Verifying and restoring backups."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Final, cast

from samovar.adapters.aesgcm import parse_master_key
from samovar.adapters.age import AgeOpener, Passphrase, parse_identities
from samovar.adapters.alembic import rebuilding
from samovar.app.adapters import prepare_folder
from samovar.app.backups import BackupDesk
from samovar.app.master_key import master_key_file
from samovar.app.services import Services
from samovar.app.settings import Settings, load
from samovar.cli.output import CannotDo
from samovar.domains.operations.model.backups import Verdict, stored_backup
from samovar.domains.operations.model.recovery import as_printed
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
            verdict = await desk.service.restore(
                _read(source, desk), partial(rebuilding, settings.database), replace=replace, opener=opener
            )
            if verdict.is_good:
                # In the chain that was restored: where it goes on from an older place, this says why.
                await desk.tell("backup:restore", f"backup:{Path(source).name}")
            return verdict
        finally:
            await services.database.close()

    return asyncio.run(run())


def master_key(source: str, *, phrase_file: Path, identity: Path | None, passphrase_file: Path | None) -> Path:
    """The file it was written to. Raises as :func:`verify`, and ``BadMasterKey``."""
    opener = _opener(identity, passphrase_file)
    phrase = as_printed(passphrase_in(phrase_file).phrase)
    settings = load()
    path = master_key_file(settings)
    if path.exists():
        raise CannotDo(f"{path} is there already: move it away if it is not the one that is wanted")

    async def run() -> bytes | None:
        services = Services(settings)
        try:
            desk = services.backups
            copy = await desk.service.copy_in(_read(source, desk), opener=opener)
        finally:
            await services.database.close()
        if copy is None:
            return None
        found = AgeOpener(Passphrase(phrase)).open(_whole(copy))
        return b"".join([piece async for piece in found])

    key = asyncio.run(run())
    if key is None:
        raise CannotDo("this backup holds no copy of the master key: it was made before `samovar backup recovery` was")
    parse_master_key(key.decode("ascii"))
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "xb", opener=partial(os.open, mode=0o600)) as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return path


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
        return _pieces(cast(BufferedReader, sys.stdin.buffer))
    path = Path(source)
    if path.is_file():
        return _pieces(path.open("rb"))
    if stored_backup(source, 0) is None:
        raise CannotDo(f"there is no file {source}, and no backup has such a name; `samovar backup list` shows them")
    return desk.service.read(desk.principal, source)


async def _whole(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


async def _pieces(file: BufferedReader) -> AsyncGenerator[bytes, None]:
    with file:
        # What there is: a pipe need not be full to be read.
        while piece := await asyncio.to_thread(file.read1, _READ_BYTES):
            yield piece


def _needs_master_key(settings: Settings) -> None:
    """Here none is made: a new one opens nothing of what is restored."""
    if settings.master_key is None and not master_key_file(settings).exists():
        raise CannotDo(
            f"there is no master key: put the file that the installation had to {master_key_file(settings)}, or give"
            " SAMOVAR_MASTER_KEY; `samovar backup master-key` brings it back with the recovery phrase"
        )
