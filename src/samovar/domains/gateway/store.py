"""All SQL of the gateway: the requests that came with an ``Idempotency-Key``, and the answers they got.

A row is good until ``until``: while its request runs that is the end of a lease, which the process at work goes on
renewing; afterwards it is the end of the answer's time. A row past it counts as none, and is removed some time later.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Table, bindparam, delete, select, update

from samovar.domains.gateway.model.idempotency import Found
from samovar.ports.database import Instant, Tx, insert_or_take, metadata

_RUNNING: Final = "running"
_KEPT: Final = "kept"
_TOO_LARGE: Final = "too_large"

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    Column("team_id", String(64), ForeignKey("teams.id"), nullable=False),
    Column("request_hash", String(64), nullable=False),
    Column("owner", String(64), nullable=False, comment="the claim that works for it, or did"),
    Column("state", String(16), nullable=False),
    Column("until", Instant, nullable=False),
    Column("answer", LargeBinary, nullable=True, comment="sealed"),
    Index(None, "until"),
)


async def claim(
    tx: Tx, team_id: str, key_hash: str, *, request_hash: str, owner: str, now: datetime, until: datetime
) -> bool:
    """Take the key where it is free, in one statement: of racing callers in any number of processes one gets ``True``."""
    row = {
        "key_hash": key_hash,
        "team_id": team_id,
        "request_hash": request_hash,
        "owner": owner,
        "state": _RUNNING,
        "until": until,
        "answer": None,
    }
    return await insert_or_take(tx, idempotency, row, keys=("key_hash",), where=idempotency.c.until <= now)


async def find(tx: Tx, team_id: str, key_hash: str, *, now: datetime) -> Found | None:
    """What stands under a key."""
    columns = (idempotency.c.request_hash, idempotency.c.state, idempotency.c.answer)
    row = (
        await tx.execute(
            select(*columns).where(
                idempotency.c.team_id == team_id, idempotency.c.key_hash == key_hash, idempotency.c.until > now
            )
        )
    ).one_or_none()
    return None if row is None else Found(row.request_hash, row.state == _RUNNING, row.answer)


async def keep(tx: Tx, team_id: str, key_hash: str, *, owner: str, answer: bytes | None, until: datetime) -> bool:
    """Write the sealed answer, ``None`` for one too large to keep. ``False`` where the key is no longer the owner's."""
    found = await tx.execute(
        update(idempotency)
        .where(
            idempotency.c.team_id == team_id,
            idempotency.c.key_hash == key_hash,
            idempotency.c.owner == owner,
            idempotency.c.state == _RUNNING,
        )
        .values(state=_TOO_LARGE if answer is None else _KEPT, answer=answer, until=until)
    )
    return found.rowcount == 1


async def free(tx: Tx, team_id: str, key_hash: str, *, owner: str) -> None:
    """Give the key back; nothing happens where it is no longer the owner's, or has its answer."""
    await tx.execute(
        delete(idempotency).where(
            idempotency.c.team_id == team_id,
            idempotency.c.key_hash == key_hash,
            idempotency.c.owner == owner,
            idempotency.c.state == _RUNNING,
        )
    )


async def renew(tx: Tx, held: Sequence[tuple[str, str]], *, until: datetime) -> None:
    """Lengthen the leases of ``(key hash, owner)``: what this process works for, of all teams."""
    statement = (
        update(idempotency)
        .where(
            idempotency.c.key_hash == bindparam("of_key"),
            idempotency.c.owner == bindparam("of_owner"),
            idempotency.c.state == _RUNNING,
        )
        .values(until=until)
    )
    await tx.execute(statement, [{"of_key": key, "of_owner": owner} for key, owner in held])


async def remove_over(tx: Tx, *, now: datetime, limit: int) -> int:
    """Remove up to ``limit`` rows whose time is over, of all teams; how many there were."""
    over = select(idempotency.c.key_hash).where(idempotency.c.until <= now).limit(limit)
    # Again in the outer condition: on PostgreSQL a row may be taken anew between the two.
    found = await tx.execute(
        delete(idempotency).where(idempotency.c.key_hash.in_(over.scalar_subquery()), idempotency.c.until <= now)
    )
    return int(found.rowcount)
