"""The sealed copy of the master key: one for each key, however many teams there are."""

from datetime import datetime
from typing import Final

from sqlalchemy import Column, LargeBinary, String, Table, select

from samovar.ports.database import Instant, Tx, metadata, upsert

recovery_copies: Final = Table(
    "recovery_copies",
    metadata,
    Column("master_key_check", String(64), primary_key=True, comment="of the key in it"),
    Column("sealed", LargeBinary, nullable=False, comment="an age file"),
    Column("created_at", Instant, nullable=False),
)


async def keep_copy(tx: Tx, master_key_check: str, sealed: bytes, *, at: datetime) -> None:
    """In the place of the one there was: its phrase opens later backups no more."""
    row = {"master_key_check": master_key_check, "sealed": sealed, "created_at": at}
    await upsert(tx, recovery_copies, row, keys=("master_key_check",))


async def copy_of(tx: Tx, master_key_check: str) -> bytes | None:
    """The one of this master key."""
    found: bytes | None = await tx.scalar(
        select(recovery_copies.c.sealed).where(recovery_copies.c.master_key_check == master_key_check)
    )
    return found
