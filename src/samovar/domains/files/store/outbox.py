"""News that was written with its change, and is told until somebody heard it."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, or_, select, update

from samovar.domains.files.model.records import FileEvent
from samovar.domains.files.store.tables import outbox
from samovar.ports.database import Tx, among_json
from samovar.ports.scripts import Add, Ask, Script, plain

_COLUMNS: Final = ("team_id", "file_id", "event", "leased_until")


def add(events: Sequence[FileEvent], *, not_before: datetime | None = None) -> Script[dict[str, int]]:
    """To be told after the commit, and ``not_before`` then; their ids, by file."""
    rows = [
        {
            "team_id": event.team_id,
            "file_id": event.file_id,
            "event": msgspec.to_builtins(event),
            "leased_until": not_before,
        }
        for event in events
    ]
    made = yield Add(outbox, plain(outbox, rows, _COLUMNS), (), _COLUMNS, returning=("file_id", "id"))
    return dict(made.rows)


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


def done(ids: Sequence[int]) -> Script[None]:
    """They were told."""
    yield Ask(_gone, {"among": msgspec.json.encode(ids).decode()})


def put_off(ids: Sequence[int], *, until: datetime) -> Script[None]:
    """They could not be told, and are anybody's from ``until`` on."""
    yield Ask(_free_from, {"among": msgspec.json.encode(ids).decode(), "until": until})


@cache
def _gone(dialect: str) -> Any:
    return delete(outbox).where(outbox.c.id.in_(_those(dialect)))


@cache
def _free_from(dialect: str) -> Any:
    until = bindparam("until", type_=outbox.c.leased_until.type)
    return update(outbox).where(outbox.c.id.in_(_those(dialect))).values(leased_until=until)


def _those(dialect: str) -> Any:
    # What took longer than its lease is told by two, who both write it, and neither in an order of its own.
    return select(outbox.c.id).where(among_json(dialect, outbox.c.id)).order_by(outbox.c.id).with_for_update()
