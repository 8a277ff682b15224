"""The keys that sign tokens: the installation's, not a team's."""

from datetime import datetime

from sqlalchemy import Column, Integer, LargeBinary, String, Table, delete, func, select

from samovar.domains.identity.model import SigningKey
from samovar.ports.database import Instant, Json, Tx, insert_new, metadata

signing_keys = Table(
    "signing_keys",
    metadata,
    # Not counted by the database: of processes that make the same generation, one shall win.
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("kid", String(64), nullable=False, unique=True),
    Column("public", Json, nullable=False, comment="a JWK"),
    Column("sealed", LargeBinary, nullable=False, comment="the private JWK"),
    Column("created_at", Instant, nullable=False),
    Column("active_from", Instant, nullable=False),
    Column("active_until", Instant, nullable=False),
    Column("retires_at", Instant, nullable=False),
)

_t = signing_keys.c
_SHOWN = [column for column in signing_keys.c if column.name != "sealed"]
_MOST = 1000


async def add_signing_key(tx: Tx, key: SigningKey, *, sealed: bytes) -> bool:
    """Insert; ``False`` where another process has made this generation already."""
    row = {
        "generation": key.generation,
        "kid": key.kid,
        "public": key.public,
        "sealed": sealed,
        "created_at": key.created_at,
        "active_from": key.active_from,
        "active_until": key.active_until,
        "retires_at": key.retires_at,
    }
    await insert_new(tx, signing_keys, [row], keys=("generation",))
    return await tx.scalar(select(_t.kid).where(_t.generation == key.generation)) == key.kid


async def all_signing_keys(tx: Tx) -> tuple[SigningKey, ...]:
    """The newest last, retired ones too while their rows stand."""
    found = await tx.execute(select(*_SHOWN).order_by(_t.generation.desc()).limit(_MOST))
    return tuple(SigningKey(**row._mapping) for row in reversed(found.all()))


async def sealed_signing_key(tx: Tx, kid: str) -> bytes | None:
    """The private half."""
    found: bytes | None = await tx.scalar(select(_t.sealed).where(_t.kid == kid))
    return found


async def delete_retired(tx: Tx, before: datetime) -> None:
    """Those that retired long ago, but for the newest: it says which generation comes next."""
    newest = select(func.max(_t.generation)).scalar_subquery()
    await tx.execute(delete(signing_keys).where(_t.retires_at < before, _t.generation < newest))
