"""Open uploads. Whoever knows one by its id asks by its team as well."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, or_, select, update

from samovar.domains.files.model.uploads import Upload, UploadState
from samovar.domains.files.store.tables import holds, uploads
from samovar.ports.database import Tx


async def add(tx: Tx, upload: Upload) -> None:
    """One more."""
    await tx.execute(insert(uploads).values(**_values(upload)))


async def one(tx: Tx, team_id: str, file_id: str) -> tuple[Upload, int] | None:
    """An upload, and how many bytes of its owner's room it holds."""
    query = (
        select(uploads, holds.c.size_bytes.label("held_bytes"))
        .outerjoin(holds, holds.c.id == uploads.c.hold_id)
        .where(uploads.c.team_id == team_id, uploads.c.file_id == file_id)
        .limit(1)
    )
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else (_upload(row), row.held_bytes or 0)


async def measure(tx: Tx, upload: Upload, length_bytes: int) -> bool:
    """Its length, which was not known; whether it still was not."""
    which = _open(upload).where(uploads.c.length_bytes.is_(None))
    return (await tx.execute(which.values(length_bytes=length_bytes))).rowcount == 1


async def prolong(tx: Tx, upload: Upload, *, now: datetime, expires_at: datetime, hold_expires_at: datetime) -> bool:
    """It lives until then, and so does what it holds; whether it lived still."""
    which = _open(upload).where(uploads.c.expires_at > now)
    if (await tx.execute(which.values(expires_at=expires_at))).rowcount != 1:
        return False
    if upload.hold_id is not None:
        held = update(holds).where(holds.c.team_id == upload.team_id, holds.c.id == upload.hold_id)
        await tx.execute(held.values(expires_at=hold_expires_at))
    return True


async def finish(tx: Tx, upload: Upload, length_bytes: int) -> None:
    """It is a file of so many bytes."""
    of = update(uploads).where(uploads.c.team_id == upload.team_id, uploads.c.file_id == upload.file_id)
    await tx.execute(of.values(state=UploadState.FINISHED.value, length_bytes=length_bytes))


async def give_up(tx: Tx, upload: Upload) -> None:
    """Nobody adds to it any more."""
    await tx.execute(_open(upload).values(state=UploadState.ENDING.value))


async def take_over_due(tx: Tx, *, now: datetime, element_ids: Sequence[str], limit: int) -> list[Upload]:
    """Give up what is over on these elements; those, and what was given up before and never ended."""
    which = (
        select(uploads.c.file_id)
        .where(
            uploads.c.element_id.in_(list(element_ids)),
            or_(uploads.c.expires_at <= now, uploads.c.state == UploadState.ENDING.value),
        )
        .order_by(uploads.c.expires_at)
        .limit(limit)
    )
    ids = (await tx.scalars(which)).all()
    if not ids:
        return []
    of = uploads.c.file_id.in_(ids)
    still_open = uploads.c.state == UploadState.OPEN.value
    await tx.execute(update(uploads).where(of, still_open).values(state=UploadState.ENDING.value))
    return [_upload(row) for row in (await tx.execute(select(uploads).where(of).limit(limit))).all()]


async def remove(tx: Tx, upload: Upload) -> None:
    """It is forgotten."""
    await tx.execute(delete(uploads).where(uploads.c.team_id == upload.team_id, uploads.c.file_id == upload.file_id))


def _open(upload: Upload) -> Any:
    return update(uploads).where(
        uploads.c.team_id == upload.team_id,
        uploads.c.file_id == upload.file_id,
        uploads.c.state == UploadState.OPEN.value,
    )


def _values(upload: Upload) -> dict[str, Any]:
    found = {name: getattr(upload, name) for name in upload.__struct_fields__}
    return {**found, "state": upload.state.value}


def _upload(row: Any) -> Upload:
    return Upload(
        file_id=row.file_id,
        team_id=row.team_id,
        owner=row.owner,
        element_id=row.element_id,
        length_bytes=row.length_bytes,
        hold_id=row.hold_id,
        said=row.said,
        state=UploadState(row.state),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
