"""How far rounds over elements have come. Elements are the installation's, not a team's."""

from typing import Any

import msgspec
from sqlalchemy import select

from samovar.domains.files.model.rounds import Report, Round, RoundKind
from samovar.domains.files.store.tables import rounds
from samovar.ports.database import Tx, upsert


async def last(tx: Tx, element_id: str, kind: RoundKind) -> Round | None:
    """The last one, finished or not."""
    query = select(rounds).where(rounds.c.element_id == element_id, rounds.c.kind == kind.value).limit(1)
    row: Any = (await tx.execute(query)).one_or_none()
    if row is None:
        return None
    return Round(
        element_id=row.element_id,
        kind=RoundKind(row.kind),
        cursor=row.cursor,
        report=msgspec.convert(row.report, Report),
        started_at=row.started_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )


async def keep(tx: Tx, one: Round) -> None:
    """Write it over the last one of its kind."""
    row = {
        "element_id": one.element_id,
        "kind": one.kind.value,
        "cursor": one.cursor,
        "report": msgspec.to_builtins(one.report),
        "started_at": one.started_at,
        "updated_at": one.updated_at,
        "finished_at": one.finished_at,
    }
    await upsert(tx, rounds, row, keys=("element_id", "kind"))
