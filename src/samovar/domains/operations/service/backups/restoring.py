"""Filling a database from a backup, all of it or nothing."""

from collections.abc import AsyncIterator
from typing import NoReturn

from samovar.domains.operations.errors import (
    BackupDamaged,
    BackupTooNew,
    NotEmpty,
    OtherMasterKey,
    SchemaUnlike,
)
from samovar.domains.operations.model.backups import Manifest, Verdict
from samovar.domains.operations.service.backups.reading import ArchiveReader
from samovar.domains.operations.store import backups as store
from samovar.domains.operations.store import restoring
from samovar.ports.schema import Rebuild, Rebuilder


async def restore(
    stream: AsyncIterator[bytes], rebuilder: Rebuilder, *, master_key_check: str, replace: bool
) -> Verdict:
    """Fill the database and commit when the backup has proved whole; whatever is raised, it stays as it was.

    ``replace`` lets go of what is in it. A backup of an older revision is loaded into that revision's tables, which then are
    brought up to date. Raises :class:`BackupDamaged`, :class:`BackupTooNew`, :class:`OtherMasterKey`, :class:`NotEmpty`,
    :class:`SchemaUnlike`, ``RowRefused``, ``EnvelopeBroken``, ``Unavailable``.
    """
    reader = ArchiveReader(stream, found=_damaged)
    manifest = await reader.open()
    if manifest.master_key_check != master_key_check:
        raise OtherMasterKey(
            "The secrets in this backup are sealed under another master key than this installation's. Give SAMOVAR_MASTER_KEY"
            " (or the master key's file) the value it had when the backup was made; `samovar backup master-key` brings it back"
            " with the recovery phrase."
        )
    async with rebuilder() as rebuild:
        if manifest.schema > rebuild.newest:
            raise BackupTooNew(
                f"The backup's tables are of revision {manifest.schema}, this Samovar knows revisions up to {rebuild.newest}."
                " Restore it with the newer version."
            )
        await _make_room(rebuild, replace=replace)
        await rebuild.upgrade(manifest.schema)
        await _fill(rebuild, reader, manifest)
        await rebuild.upgrade(rebuild.newest)
    return Verdict(problems=(), manifest=manifest, rows=reader.rows, size_bytes=reader.size_bytes)


async def _make_room(rebuild: Rebuild, *, replace: bool) -> None:
    there = await store.tables_there(rebuild.tx)
    strangers = there - {shape.name for shape in store.shapes()} - await store.kept_by_triggers(rebuild.tx)
    if strangers:
        raise SchemaUnlike(
            f"The database holds tables that are not Samovar's ({', '.join(sorted(strangers))}): give it one of its own."
        )
    if not replace and not await restoring.is_empty(rebuild.tx, there):
        raise NotEmpty(
            "There is something in the database. Restore into an empty one, or say --replace to lose what is there."
        )
    await restoring.drop_all(rebuild.tx)


async def _fill(rebuild: Rebuild, reader: ArchiveReader, manifest: Manifest) -> None:
    tx = rebuild.tx
    for shape in manifest.tables:
        missing = {column.name for column in shape.columns} - await restoring.columns_there(tx, shape.name)
        if missing:
            raise SchemaUnlike(
                f"Revision {manifest.schema} has no {', '.join(sorted(missing))} in the table {shape.name!r}, which the backup"
                " holds: it was not made by a released version."
            )
    await restoring.clear(tx, [shape.name for shape in manifest.tables])
    deferred = await restoring.defer_references(tx)
    async for shape, rows in reader.parts(manifest):
        await restoring.fill(tx, shape, rows)
    await restoring.check_references(tx, deferred)
    await restoring.set_sequences(tx)


def _damaged(problem: str) -> NoReturn:
    raise BackupDamaged(f"The backup is damaged, nothing was restored: {problem}.")
