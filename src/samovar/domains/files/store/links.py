"""Links that open one file to whoever holds them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from samovar.domains.files.model.links import Disposition, Link
from samovar.domains.files.store.tables import links
from samovar.ports.database import Tx


async def add(tx: Tx, link: Link) -> None:
    """A new one."""
    await tx.execute(
        insert(links).values(
            id=link.id,
            team_id=link.team_id,
            file_id=link.file_id,
            disposition=link.disposition.value,
            created_at=link.created_at,
            created_by=link.created_by,
            expires_at=link.expires_at,
            revoked_at=None,
        )
    )


async def one(tx: Tx, team_id: str, link_id: str) -> Link | None:
    """One of the team's."""
    found = await tx.execute(select(links).where(links.c.team_id == team_id, links.c.id == link_id).limit(1))
    row = found.one_or_none()
    return None if row is None else _link(row)


async def of_file(tx: Tx, team_id: str, file_id: str, *, limit: int) -> list[Link]:
    """Those of a file, the newest first."""
    query = select(links).where(links.c.team_id == team_id, links.c.file_id == file_id)
    return [_link(row) for row in await tx.execute(query.order_by(links.c.id.desc()).limit(limit))]


async def revoke(tx: Tx, team_id: str, file_id: str, link_id: str, *, at: datetime) -> bool:
    """It opens nothing from now on; whether it was there."""
    mine = (links.c.team_id == team_id, links.c.file_id == file_id, links.c.id == link_id)
    await tx.execute(update(links).where(*mine, links.c.revoked_at.is_(None)).values(revoked_at=at))
    return (await tx.scalar(select(links.c.id).where(*mine).limit(1))) is not None


async def remove_over(tx: Tx, *, before: datetime, limit: int) -> int:
    """Forget those that ended before; how many there were."""
    some = select(links.c.id).where(links.c.expires_at < before).order_by(links.c.expires_at).limit(limit)
    gone: Sequence[Any] = (await tx.execute(delete(links).where(links.c.id.in_(some)).returning(links.c.id))).all()
    return len(gone)


def _link(row: Row[Any]) -> Link:
    return Link(
        id=row.id,
        team_id=row.team_id,
        file_id=row.file_id,
        disposition=Disposition(row.disposition),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
