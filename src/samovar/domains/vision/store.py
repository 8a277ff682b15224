"""All SQL of settings that are kept in the database. Functions take the open transaction first and filter by team first."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, String, Table, delete, select

from samovar.ports.database import Instant, Json, Tx, insert_or_take, metadata

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


async def write(tx: Tx, team_id: str, name: str, value: Any, *, over: int, at: datetime) -> bool:
    """In place of what stands there, if that has the revision ``over`` (0: nothing stands there). Of racing callers one gets
    ``True``."""
    row = {"team_id": team_id, "name": name, "value": value, "revision": over + 1, "updated_at": at}
    return await insert_or_take(tx, config, row, keys=("team_id", "name"), where=config.c.revision == over)


async def remove(tx: Tx, team_id: str, name: str, *, revision: int) -> bool:
    """Whether there was one with this revision."""
    found = (config.c.team_id == team_id, config.c.name == name, config.c.revision == revision)
    return (await tx.execute(delete(config).where(*found))).rowcount > 0
