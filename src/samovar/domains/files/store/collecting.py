"""What is over, of whatever team, in the order of its ends."""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import and_, or_, select, update

from samovar.domains.files.model.records import CopyState
from samovar.domains.files.store.tables import copies, files
from samovar.ports.database import Tx

EARLIEST: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Ended(NamedTuple):
    """A file, or a copy of one, that is over."""

    ended_at: datetime
    key: int | str
    team_id: str
    file_id: str
    element_id: str
    path: str


async def expired(tx: Tx, *, now: datetime, after: tuple[datetime, int], limit: int) -> list[Ended]:
    """Files whose time is over, beyond the end and number ``after``."""
    behind = or_(files.c.expires_at > after[0], and_(files.c.expires_at == after[0], files.c.number > after[1]))
    query = (
        select(files.c.expires_at, files.c.number, files.c.team_id, files.c.file_id, files.c.element_id, files.c.path)
        .where(files.c.expires_at >= after[0], files.c.expires_at <= now, behind)
        .order_by(files.c.expires_at, files.c.number)
        .limit(limit)
    )
    return [Ended(*row) for row in await tx.execute(query)]


async def left_behind(tx: Tx, *, now: datetime, after: tuple[datetime, str], limit: int) -> list[Ended]:
    """Copies whose time is over, beyond the end and file id ``after``."""
    behind = or_(copies.c.expires_at > after[0], and_(copies.c.expires_at == after[0], copies.c.file_id > after[1]))
    query = (
        select(
            copies.c.expires_at,
            copies.c.file_id.label("key"),
            copies.c.team_id,
            copies.c.file_id,
            copies.c.element_id,
            copies.c.path,
        )
        .where(copies.c.expires_at >= after[0], copies.c.expires_at <= now, behind)
        .order_by(copies.c.expires_at, copies.c.file_id)
        .limit(limit)
    )
    return [Ended(*row) for row in await tx.execute(query)]


async def stays(tx: Tx, file_id: str, element_id: str) -> None:
    """A copy that is good, and does not expire."""
    mine = (copies.c.file_id == file_id, copies.c.element_id == element_id)
    await tx.execute(update(copies).where(*mine).values(state=CopyState.GOOD.value, expires_at=None))
