"""The chain's tables. The chain is the installation's, not a team's: there is one head, and who reads of one team alone says so
in :class:`Wanted`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError

from samovar.domains.audit.errors import RecordRefused
from samovar.domains.audit.model import Anchor, Checkpoint, Entry, PublicKey, Record, Result
from samovar.domains.audit.model.records import instant_text
from samovar.ports.database import Instant, Json, Tx, insert_new, metadata

_HEAD: Final = 1
MAX_KEYS: Final = 1000

_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("chain", String(64), nullable=False),
    Column("sequence", BigInteger, nullable=False, comment="of the last record"),
    Column("hash", String(64), nullable=False, comment="of the last record"),
    Column("sealed_sequence", BigInteger, nullable=False, comment="of the last checkpoint"),
    Column("sealed_at", Instant, nullable=False),
    Column("copied_sequence", BigInteger, nullable=False, comment="of the last checkpoint that was copied elsewhere"),
)

_records = Table(
    "audit_records",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False, unique=True),
    Column("at", Instant, nullable=False),
    Column("service", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("user_id", String(160), nullable=False),
    Column("resource", String(320), nullable=False),
    Column("result", String(16), nullable=False),
    Column("facts", Json, nullable=False),
    Column("team_id", String(64)),
    Column("request_id", String(128)),
    Column("hash", String(64), nullable=False),
    Index(None, "at"),
    Index(None, "team_id", "sequence"),
    Index(None, "action", "sequence"),
    Index(None, "user_id", "sequence"),
    Index(None, "resource", "sequence"),
    Index(None, "result", "sequence"),
)

_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("chain", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("count", BigInteger, nullable=False, comment="records since the one before"),
    Column("at", Instant, nullable=False),
    Column("key_id", String(32), nullable=False),
    Column("signature", String(88), nullable=False),
)

_anchors = Table(
    "audit_anchors",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False, comment="of the last record that was pruned"),
    Column("chain", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("count", BigInteger, nullable=False, comment="records pruned since the one before"),
    Column("at", Instant, nullable=False),
    Column("key_id", String(32), nullable=False),
    Column("signature", String(88), nullable=False),
)

_keys = Table(
    "audit_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("public_key", String(44), nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="the secret half, under the master key"),
    Column("created_at", Instant, nullable=False),
)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where the chain stands."""

    chain: str
    sequence: int
    hash: str
    sealed_sequence: int
    sealed_at: datetime
    copied_sequence: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which records. ``team_id`` ``None`` is all teams; ``start`` is the first instant, ``end`` the first no more."""

    team_id: str | None
    action: str | None = None
    user_id: str | None = None
    resource: str | None = None
    result: Result | None = None
    start: datetime | None = None
    end: datetime | None = None


class SealedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key as it is stored."""

    public: PublicKey
    sealed: bytes


async def head(tx: Tx) -> Head | None:
    """``None`` before the first record."""
    return _as_head((await tx.execute(select(*_head.c).where(_head.c.id == _HEAD))).first())


async def lock_head(tx: Tx, *, chain: str, genesis: str, now: datetime) -> Head:
    """The head, nobody else's until ``tx`` ends; a chain with this name is begun where there is none."""
    locked = select(*_head.c).where(_head.c.id == _HEAD).with_for_update()
    found = _as_head((await tx.execute(locked)).first())
    if found is None:
        first = {
            "id": _HEAD,
            "chain": chain,
            "sequence": 0,
            "hash": genesis,
            "sealed_sequence": 0,
            "sealed_at": now,
            "copied_sequence": 0,
        }
        await insert_new(tx, _head, [first], keys=("id",))
        found = _as_head((await tx.execute(locked)).first())
    assert found is not None
    return found


async def add_records(tx: Tx, records: Sequence[Record]) -> None:
    """Append, under :func:`lock_head`. Raises :class:`RecordRefused`."""
    last = records[-1]
    try:
        await tx.execute(insert(_records), [_row(record) for record in records])
    except DBAPIError as error:
        raise RecordRefused(f"The database does not take audit records: {error.orig}.") from error
    await tx.execute(update(_head).where(_head.c.id == _HEAD).values(sequence=last.sequence, hash=last.hash))


async def known_ids(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Those of ``ids`` that are in the chain. At most some hundreds are asked for."""
    found = await tx.execute(select(_records.c.id).where(_records.c.id.in_(ids)).limit(len(ids)))
    return {row.id for row in found}


async def add_checkpoint(tx: Tx, checkpoint: Checkpoint, *, at: datetime) -> None:
    """Under :func:`lock_head`."""
    row = {name: getattr(checkpoint, name) for name in ("sequence", "chain", "hash", "count", "key_id", "signature")}
    await tx.execute(insert(_checkpoints).values(**row, at=at))
    sealed = {"sealed_sequence": checkpoint.sequence, "sealed_at": at}
    await tx.execute(update(_head).where(_head.c.id == _HEAD).values(**sealed))


async def note_copied(tx: Tx, sequence: int) -> None:
    """Checkpoints up to this one are copied."""
    behind = (_head.c.id == _HEAD) & (_head.c.copied_sequence < sequence)
    await tx.execute(update(_head).where(behind).values(copied_sequence=sequence))


async def checkpoints(tx: Tx, *, after: int, up_to: int, limit: int) -> list[Checkpoint]:
    """In the order of the chain."""
    query = select(*_checkpoints.c).where(_checkpoints.c.sequence > after, _checkpoints.c.sequence <= up_to)
    found = await tx.execute(query.order_by(_checkpoints.c.sequence).limit(limit))
    return [_as_checkpoint(row) for row in found]


async def checkpoints_before(tx: Tx, *, before: int | None, limit: int) -> list[Checkpoint]:
    """The newest first; ``before`` is where the page before ended."""
    query = select(*_checkpoints.c).order_by(_checkpoints.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(_checkpoints.c.sequence < before)
    return [_as_checkpoint(row) for row in await tx.execute(query)]


async def last_checkpoint_before(tx: Tx, at: datetime, *, up_to: int) -> Checkpoint | None:
    """The last that was made before ``at``, of those up to this record."""
    query = select(*_checkpoints.c).where(_checkpoints.c.at < at, _checkpoints.c.sequence <= up_to)
    row = (await tx.execute(query.order_by(_checkpoints.c.sequence.desc()).limit(1))).first()
    return None if row is None else _as_checkpoint(row)


async def add_anchor(tx: Tx, anchor: Anchor, *, at: datetime) -> None:
    """Under :func:`lock_head`."""
    row = {name: getattr(anchor, name) for name in ("sequence", "chain", "hash", "count", "key_id", "signature")}
    await tx.execute(insert(_anchors).values(**row, at=at))


async def anchor(tx: Tx) -> Anchor | None:
    """After what the chain begins; ``None`` where nothing was ever pruned."""
    row = (await tx.execute(select(*_anchors.c).order_by(_anchors.c.sequence.desc()).limit(1))).first()
    if row is None:
        return None
    return Anchor(
        chain=row.chain,
        sequence=row.sequence,
        hash=row.hash,
        count=row._mapping["count"],
        time=instant_text(row.at),
        key_id=row.key_id,
        signature=row.signature,
    )


async def prune_records(tx: Tx, *, up_to: int, limit: int) -> int:
    """Delete at most ``limit`` records up to this one; how many."""
    some = select(_records.c.sequence).where(_records.c.sequence <= up_to).order_by(_records.c.sequence).limit(limit)
    return (await tx.execute(delete(_records).where(_records.c.sequence.in_(some)))).rowcount


async def prune_checkpoints(tx: Tx, *, before: int, limit: int) -> int:
    """Delete at most ``limit`` checkpoints of records before this one; how many."""
    some = select(_checkpoints.c.sequence).where(_checkpoints.c.sequence < before).limit(limit)
    return (await tx.execute(delete(_checkpoints).where(_checkpoints.c.sequence.in_(some)))).rowcount


async def add_key(tx: Tx, key: SealedKey) -> None:
    """A new signing key."""
    public = key.public
    await tx.execute(
        insert(_keys).values(id=public.id, public_key=public.text, sealed=key.sealed, created_at=public.created_at)
    )


async def keys(tx: Tx) -> list[SealedKey]:
    """All that ever signed, the newest first: one, and one more for each time that the master key was another."""
    found = await tx.execute(select(*_keys.c).order_by(_keys.c.created_at.desc(), _keys.c.id).limit(MAX_KEYS))
    return [
        SealedKey(public=PublicKey(id=row.id, text=row.public_key, created_at=row.created_at), sealed=bytes(row.sealed))
        for row in found
    ]


async def hash_of(tx: Tx, sequence: int) -> str | None:
    """The hash of a record, ``None`` where there is none."""
    found: str | None = await tx.scalar(select(_records.c.hash).where(_records.c.sequence == sequence))
    return found


async def records(tx: Tx, *, after: int, up_to: int, limit: int) -> list[Record]:
    """In the order of the chain."""
    query = select(*_records.c).where(_records.c.sequence > after, _records.c.sequence <= up_to)
    return [_as_record(row) for row in await tx.execute(query.order_by(_records.c.sequence).limit(limit))]


async def page(tx: Tx, wanted: Wanted, *, before: int | None, limit: int) -> list[Record]:
    """The newest first; ``before`` is where the page before ended."""
    query = select(*_records.c).order_by(_records.c.sequence.desc()).limit(limit)
    if wanted.team_id is not None:
        query = query.where(_records.c.team_id == wanted.team_id)
    for name in ("action", "user_id", "resource", "result"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(_records.c[name] == str(value))
    if wanted.start is not None:
        query = query.where(_records.c.at >= wanted.start)
    if wanted.end is not None:
        query = query.where(_records.c.at < wanted.end)
    if before is not None:
        query = query.where(_records.c.sequence < before)
    return [_as_record(row) for row in await tx.execute(query)]


async def last_sequence(tx: Tx) -> int:
    """The highest number among the records, whatever the head says; 0 where there is none."""
    return int(await tx.scalar(select(func.max(_records.c.sequence))) or 0)


def _row(record: Record) -> dict[str, Any]:
    entry = record.entry
    return {
        "sequence": record.sequence,
        "id": entry.id,
        "at": entry.at,
        "service": entry.service,
        "action": entry.action,
        "user_id": entry.user_id,
        "resource": entry.resource,
        "result": str(entry.result),
        "facts": dict(entry.metadata),
        "team_id": entry.team_id,
        "request_id": entry.request_id,
        "hash": record.hash,
    }


def _as_record(row: Row[Any]) -> Record:
    entry = Entry(
        id=row.id,
        at=row.at,
        service=row.service,
        action=row.action,
        user_id=row.user_id,
        resource=row.resource,
        result=row.result,
        metadata=row.facts,
        team_id=row.team_id,
        request_id=row.request_id,
    )
    return Record(sequence=row.sequence, entry=entry, hash=row.hash)


def _as_head(row: Row[Any] | None) -> Head | None:
    if row is None:
        return None
    return Head(
        chain=row.chain,
        sequence=row.sequence,
        hash=row.hash,
        sealed_sequence=row.sealed_sequence,
        sealed_at=row.sealed_at,
        copied_sequence=row.copied_sequence,
    )


def _as_checkpoint(row: Row[Any]) -> Checkpoint:
    # Not row.count: that is a method of every tuple.
    return Checkpoint(
        chain=row.chain,
        sequence=row.sequence,
        hash=row.hash,
        count=row._mapping["count"],
        time=instant_text(row.at),
        key_id=row.key_id,
        signature=row.signature,
    )
