"""Backups' use cases. A backup is of the whole installation, so only its own administrators come near one."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from samovar.domains.identity.model import DEFAULT_TEAM_ID, Permission, require
from samovar.domains.operations.errors import BackupDamaged, BackupNotFound, BackupSealed
from samovar.domains.operations.model.backups import (
    Manifest,
    StoredBackup,
    Verdict,
    backup_name,
    outdated,
    stored_backup,
)
from samovar.domains.operations.service.backups.reading import ArchiveReader
from samovar.domains.operations.service.backups.restoring import restore
from samovar.domains.operations.service.backups.writing import write_archive
from samovar.domains.operations.store import recovery
from samovar.kernel.errors import Forbidden
from samovar.kernel.principal import Principal
from samovar.ports.blobs import Blobs
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.envelopes import EnvelopeBroken, Opener, Sealer
from samovar.ports.jobs import Enqueued, Jobs
from samovar.ports.schema import Rebuilder

BACKUP_JOB: Final = "backup"
"""The kind of the job that makes one, and the name of the cron job."""

_PREFIX: Final = "samovar-"
_SEALED: Final = b"age-encryption.org/"
_MAX_PROBLEMS: Final = 100


class BackupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``keep`` is how long one stays in the configured place; ``version`` is Samovar's own; ``master_key_check`` tells our
    master key from others (see :class:`Manifest`); asking for it may make a key."""

    keep: timedelta
    version: str
    master_key_check: Callable[[], str]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A backup to be: nothing is read before the first piece of ``content`` is asked for. Close ``content`` in every case."""

    name: str
    content: AsyncGenerator[bytes, None]


class Backups:
    """``blobs`` makes the configured place when it is first needed; ``sealer`` encrypts every backup, where there is one."""

    def __init__(
        self,
        *,
        database: Database,
        blobs: Callable[[], Blobs],
        clock: Clock,
        ids: Ids,
        jobs: Jobs,
        sealer: Sealer | None,
        settings: BackupSettings,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._ids = ids
        self._jobs = jobs
        self._sealer = sealer
        self._settings = settings

    @property
    def where(self) -> str:
        """The configured place, without secrets."""
        return self._blobs().where

    def check_download(self, principal: Principal) -> None:
        """Raises ``Forbidden`` for whom nothing may be handed out to."""
        _check(principal, Permission.BACKUPS_WRITE)

    def draft(self, principal: Principal, *, sealer: Sealer | None = None) -> Draft:
        """A backup of now, encrypted with ``sealer`` or else as configured. Raises ``Forbidden``; reading it raises
        ``Unavailable``, ``SchemaUnlike``."""
        _check(principal, Permission.BACKUPS_WRITE)
        at = self._clock.now()
        sealer = sealer or self._sealer
        content = write_archive(
            self._database,
            samovar=self._settings.version,
            at=at,
            master_key_check=self._settings.master_key_check(),
        )
        # Its own digits: two of one second must not meet.
        chance = hashlib.sha256(self._ids.token(16).encode()).hexdigest()[:8]
        return Draft(
            name=backup_name(at, chance, encrypted=sealer is not None),
            content=content if sealer is None else _sealed(sealer, content),
        )

    async def order(self, principal: Principal) -> Enqueued:
        """Have one made as a job; one is under way at a time. Raises ``Forbidden``, ``Unavailable``."""
        _check(principal, Permission.BACKUPS_WRITE)
        async with self._database.transaction() as tx:
            ordered = await self._jobs.enqueue(tx, BACKUP_JOB, {}, team_id=DEFAULT_TEAM_ID, key=BACKUP_JOB)
        await self._jobs.wake()
        return ordered

    async def keep_copy(self, principal: Principal, sealed: bytes) -> None:
        """Have every backup from now on hold this copy of the master key, and no former one. Raises ``Forbidden``."""
        _check(principal, Permission.BACKUPS_WRITE)
        async with self._database.transaction() as tx:
            await recovery.keep_copy(tx, self._settings.master_key_check(), sealed, at=self._clock.now())

    async def run(self, principal: Principal) -> StoredBackup:
        """Write one to the configured place, read it again to prove it, and only then delete those past their time. Raises
        ``Forbidden``, ``Unavailable``, ``SchemaUnlike``, :class:`BackupDamaged`."""
        draft = self.draft(principal)
        blobs = self._blobs()
        written = _Sum()
        async with aclosing(draft.content) as content:
            await blobs.put(draft.name, written.over(content))
        there = _Sum()
        async for _ in there.over(blobs.get(draft.name)):
            pass
        if there != written:
            await blobs.delete(draft.name)
            raise BackupDamaged(f"{blobs.where} does not hold what was written there as {draft.name}; it was deleted.")
        made = stored_backup(draft.name, written.size_bytes)
        assert made is not None
        await self._prune(blobs, made)
        return made

    async def list(self, principal: Principal) -> list[StoredBackup]:
        """Those in the configured place, the newest first. Raises ``Forbidden``, ``Unavailable``."""
        _check(principal, Permission.BACKUPS_READ)
        return sorted(await _stored(self._blobs()), key=lambda one: one.name, reverse=True)

    def read(self, principal: Principal, name: str) -> AsyncGenerator[bytes, None]:
        """A backup's bytes as they stand in the configured place, to verify or restore it. Raises ``Forbidden``,
        :class:`BackupNotFound`; reading it raises ``BlobNotFound``, ``Unavailable``."""
        _check(principal, Permission.BACKUPS_READ)
        if stored_backup(name, 0) is None:
            raise BackupNotFound(f"No backup is called {name!r}. GET /api/backups lists those there are.")
        return self._blobs().get(name)

    async def copy_in(self, content: AsyncIterator[bytes], *, opener: Opener | None = None) -> bytes | None:
        """The sealed copy of the master key in a backup, ``None`` where it has none. Raises :class:`BackupDamaged`,
        ``BackupTooNew``, :class:`BackupSealed`, ``EnvelopeBroken``."""
        reader = ArchiveReader(plain(content, opener), found=_ignored)
        await reader.open()
        return reader.recovery

    async def verify(
        self, principal: Principal, content: AsyncIterator[bytes], *, opener: Opener | None = None
    ) -> Verdict:
        """Read all of a backup and say what is wrong with it. Raises ``Forbidden``, :class:`BackupSealed`,
        :class:`BackupTooNew`, ``Unavailable``."""
        _check(principal, Permission.BACKUPS_READ)
        problems: list[str] = []

        def found(problem: str) -> None:
            problems.append(problem)
            if len(problems) >= _MAX_PROBLEMS:
                raise BackupDamaged("And more: the rest was not read.")

        manifest: Manifest | None = None
        reader = ArchiveReader(plain(content, opener), found=found)
        try:
            manifest = await reader.open()
            async for _ in reader.parts(manifest):
                pass
        except (BackupDamaged, EnvelopeBroken) as error:
            problems.append(error.detail)
        return Verdict(problems=tuple(problems), manifest=manifest, rows=reader.rows, size_bytes=reader.size_bytes)

    async def restore(
        self,
        content: AsyncIterator[bytes],
        rebuilder: Rebuilder,
        *,
        replace: bool,
        opener: Opener | None = None,
    ) -> Verdict:
        """See :func:`restoring.restore`. For who may write to the database anyway: no entrance of HTTP leads here."""
        return await restore(
            plain(content, opener),
            rebuilder,
            master_key_check=self._settings.master_key_check(),
            replace=replace,
        )

    async def _prune(self, blobs: Blobs, made: StoredBackup) -> None:
        for old in outdated(await _stored(blobs), now=self._clock.now(), keep=self._settings.keep, good=made.name):
            await blobs.delete(old.name)
            structlog.get_logger("samovar.backups").info("deleted a backup past its time", name=old.name)


async def plain(content: AsyncIterator[bytes], opener: Opener | None) -> AsyncIterator[bytes]:
    """The archive itself, whether it comes encrypted or not. Raises :class:`BackupSealed`, ``EnvelopeBroken``."""
    begin = b""
    while len(begin) < len(_SEALED):
        piece = await anext(content, None)
        if piece is None:
            break
        begin += piece

    async def whole() -> AsyncIterator[bytes]:
        if begin:
            yield begin
        async for piece in content:
            yield piece

    if not begin.startswith(_SEALED):
        source = whole()
    elif opener is None:
        raise BackupSealed("This backup is encrypted with age: give the identity it was made for, or its passphrase.")
    else:
        source = opener.open(whole())
    async for piece in source:
        yield piece


def _ignored(problem: str) -> None:
    """Not asked for here."""


class _Sum:
    """The SHA-256 and the length of what went by."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sum) and self._digest.digest() == other._digest.digest()

    __hash__ = None  # type: ignore[assignment]

    async def over(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in content:
            self._digest.update(piece)
            self.size_bytes += len(piece)
            yield piece


async def _sealed(sealer: Sealer, content: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(content):
        async for piece in sealer.seal(content):
            yield piece


async def _stored(blobs: Blobs) -> list[StoredBackup]:
    return [
        one
        async for blob in blobs.list(prefix=_PREFIX)
        if (one := stored_backup(blob.name, blob.size_bytes)) is not None
    ]


def _check(principal: Principal, permission: Permission) -> None:
    require(principal, permission)
    if principal.team_id != DEFAULT_TEAM_ID:
        raise Forbidden("A backup holds the rows of all teams: only administrators of the installation may have it.")
