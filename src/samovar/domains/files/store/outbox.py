"""News that was written with its change, and is told until somebody heard it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, insert, or_, select, update

from samovar.domains.files.model.records import FileEvent
from samovar.domains.files.store.tables import outbox
from samovar.ports.database import Tx


async def add(tx: Tx, events: Sequence[FileEvent], *, not_before: datetime | None = None) -> None:
    """To be told after the commit, and ``not_before`` then."""
    if events:
        rows = [
            {
                "team_id": event.team_id,
                "file_id": event.file_id,
                "event": msgspec.to_builtins(event),
                "leased_until": not_before,
            }
            for event in events
        ]
        await tx.execute(insert(outbox), rows)


async def take(tx: Tx, *, now: datetime, until: datetime, limit: int) -> list[tuple[int, FileEvent]]:
    """The oldest that nobody tells at the moment; they are the caller's ``until`` then."""
    free = or_(outbox.c.leased_until.is_(None), outbox.c.leased_until <= now)
    some = select(outbox.c.id).where(free).order_by(outbox.c.id).limit(limit)
    if tx.dialect.name == "postgresql":
        some = some.with_for_update(skip_locked=True)
    taken = await tx.execute(
        update(outbox).where(outbox.c.id.in_(some)).values(leased_until=until).returning(outbox.c.id, outbox.c.event)
    )
    found = [(row.id, msgspec.convert(row.event, FileEvent)) for row in taken]
    return sorted(found, key=lambda pair: pair[0])


async def done(tx: Tx, ids: Sequence[int]) -> None:
    """They were told."""
    await tx.execute(delete(outbox).where(outbox.c.id.in_(list(ids))))
