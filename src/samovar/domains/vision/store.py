"""All SQL of settings that are kept in the database. Functions take the open transaction first and filter by team first."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, String, Table, delete, select

from samovar.ports.database import Instant, Json, Tx, metadata, upsert

config = Table(
    "config",
    metadata,
    Column("team_id", String(64), ForeignKey("teams.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", Json, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
)


async def read(tx: Tx, team_id: str, name: str) -> tuple[Any, int, datetime] | None:
    """Value, revision and the instant of its last change."""
    asked = select(config.c.value, config.c.revision, config.c.updated_at)
    row = (await tx.execute(asked.where(config.c.team_id == team_id, config.c.name == name))).one_or_none()
    return None if row is None else (row.value, row.revision, row.updated_at)


async def write(tx: Tx, team_id: str, name: str, value: Any, *, revision: int, at: datetime) -> None:
    """In place of what stands there."""
    row = {"team_id": team_id, "name": name, "value": value, "revision": revision, "updated_at": at}
    await upsert(tx, config, row, keys=("team_id", "name"))


async def remove(tx: Tx, team_id: str, name: str) -> bool:
    """Whether there was one."""
    gone = await tx.execute(delete(config).where(config.c.team_id == team_id, config.c.name == name))
    return gone.rowcount > 0
