"""Uploads as transactions. Whoever knows one by its id asks by its team as well; who resumes them asks for all."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import bindparam, case, delete, func, or_, select, update

from samovar.domains.files.model.transactions import (
    UNFINISHED,
    Transaction,
    TransactionKind,
    TransactionState,
)
from samovar.domains.files.store.tables import UNFINISHED_ROWS, outbox, transactions
from samovar.ports.database import Instant, Tx, among_json, upsert
from samovar.ports.elements import Attributes
from samovar.ports.scripts import Add, Ask, Script, plain

_OPEN, _CANCELLING = TransactionState.OPEN.value, TransactionState.CANCELLING.value
_UNFINISHED = [state.value for state in UNFINISHED]
_ROLLED_BACK = TransactionState.ROLLED_BACK.value


def add(some: Sequence[Transaction]) -> Script[None]:
    """They begin."""
    yield Add(transactions, plain(transactions, map(_values, some)), ("file_id",))


async def place(tx: Tx, one: Transaction) -> None:
    """It begins, or begins anew on another element."""
    await upsert(tx, transactions, _values(one), keys=("file_id",))


async def move(tx: Tx, file_id: str, *, element_id: str, coordinator: str) -> bool:
    """It goes on on another element; whether it is still the coordinator's."""
    own = update(transactions).where(transactions.c.file_id == file_id, *_led_by(coordinator))
    return (await tx.execute(own.values(element_id=element_id))).rowcount == 1


async def renew(tx: Tx, file_ids: Sequence[str], *, coordinator: str, due_at: datetime) -> set[str]:
    """These are led by the same process until then; those of them that still are."""
    own = select(transactions.c.file_id).where(transactions.c.file_id.in_(list(file_ids)), *_led_by(coordinator))
    some = own
    if tx.dialect.name == "postgresql":
        # Who has one of them in hand ends it: to wait for that could be to wait for each other.
        some = own.with_for_update(skip_locked=True)
    await tx.execute(update(transactions).where(transactions.c.file_id.in_(some)).values(due_at=due_at))
    return {*(await tx.scalars(own)).all()}


def done(told: Sequence[Attributes], *, now: datetime) -> Script[list[str]]:
    """Their files stand, and have their rows: that is the truth, whoever took them for lost. Those that are being cancelled are
    for the canceller, at once. What a power cut took of transactions is made again. Returns the ids of what they hold of their
    owners' room, for the caller to release."""
    file_ids = sorted(one.file_id for one in told if one.replica_of is None)
    if not file_ids:
        return []
    held = (yield Ask(_closed, {"among": msgspec.json.encode(file_ids).decode(), "at": now})).rows
    if len(held) < len(file_ids):
        first = [
            _remade(one, now) for one in sorted(told, key=_file_id) if one.replica_of is None and one.revision == 1
        ]
        yield Add(transactions, plain(transactions, first), ("file_id",))
    return [hold_id for (hold_id,) in held if hold_id is not None]


@cache
def _closed(dialect: str) -> Any:
    is_cancelling, at = transactions.c.state == _CANCELLING, bindparam("at", type_=Instant())
    return (
        update(transactions)
        .where(
            among_json(dialect, transactions.c.file_id),
            or_(*[transactions.c.state == state for state in (*_UNFINISHED, _ROLLED_BACK)]),
        )
        .values(
            state=case((is_cancelling, _CANCELLING), else_=TransactionState.DONE.value),
            error_code=case((is_cancelling, transactions.c.error_code), else_=None),
            due_at=case((is_cancelling, at), else_=None),
            finished_at=case((is_cancelling, None), else_=at),
        )
        .returning(transactions.c.hold_id)
    )


async def close(tx: Tx, file_ids: Sequence[str], *, error_code: str, now: datetime) -> int:
    """Nothing of them is left: they were rolled back, or cancelled where that was asked for. How many were not over."""
    is_cancelling = transactions.c.state == _CANCELLING
    closed = (
        update(transactions)
        .where(transactions.c.file_id.in_(list(file_ids)), transactions.c.state.in_(_UNFINISHED))
        .values(
            state=case((is_cancelling, TransactionState.CANCELLED.value), else_=_ROLLED_BACK),
            error_code=func.coalesce(transactions.c.error_code, error_code),
            due_at=None,
            finished_at=now,
        )
    )
    return (await tx.execute(closed)).rowcount


async def settle(tx: Tx, file_id: str, *, state: TransactionState, error_code: str | None, now: datetime) -> None:
    """How it ended, said by who took it to its end."""
    await tx.execute(
        update(transactions)
        .where(transactions.c.file_id == file_id)
        .values(state=state.value, error_code=error_code, due_at=None, finished_at=now)
    )


async def postpone(tx: Tx, file_id: str, *, coordinator: str, error_code: str, due_at: datetime) -> None:
    """Whoever leads it cannot tell how it ended: it is taken over then."""
    await tx.execute(
        update(transactions)
        .where(
            transactions.c.file_id == file_id,
            transactions.c.coordinator == coordinator,
            transactions.c.state.in_(_UNFINISHED),
        )
        .values(due_at=due_at, error_code=func.coalesce(transactions.c.error_code, error_code))
    )


async def ask_to_cancel(tx: Tx, team_id: str, file_id: str) -> bool:
    """Whoever leads it is to stop; whether it was open."""
    asked = update(transactions).where(
        transactions.c.team_id == team_id, transactions.c.file_id == file_id, transactions.c.state == _OPEN
    )
    return (await tx.execute(asked.values(state=_CANCELLING, error_code="cancelled"))).rowcount == 1


async def cancelled(tx: Tx, team_id: str, file_id: str) -> None:
    """It was done, and its file was deleted again."""
    await tx.execute(
        update(transactions)
        .where(
            transactions.c.team_id == team_id,
            transactions.c.file_id == file_id,
            transactions.c.state == TransactionState.DONE.value,
        )
        .values(state=TransactionState.CANCELLED.value, error_code="cancelled")
    )


async def take_over(
    tx: Tx, *, now: datetime, lease: timedelta, coordinator: str, element_ids: Sequence[str], limit: int
) -> list[Transaction]:
    """Those on these elements that nobody leads any more: the caller does, for the time of the lease."""
    some = (
        select(transactions.c.file_id)
        .where(
            UNFINISHED_ROWS,
            transactions.c.due_at <= now,
            transactions.c.element_id.in_(list(element_ids)),
        )
        .order_by(transactions.c.due_at)
        .limit(limit)
    )
    if tx.dialect.name == "postgresql":
        some = some.with_for_update(skip_locked=True)
    taken = await tx.execute(
        update(transactions)
        .where(transactions.c.file_id.in_(some))
        .values(coordinator=coordinator, due_at=now + lease, resumes=transactions.c.resumes + 1)
        .returning(*transactions.c)
    )
    return [_transaction(row) for row in taken]


async def one(tx: Tx, team_id: str, file_id: str) -> Transaction | None:
    """One of a team."""
    query = select(transactions).where(transactions.c.team_id == team_id, transactions.c.file_id == file_id).limit(1)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else _transaction(row)


async def page(
    tx: Tx, team_id: str, *, owner: str | None, state: TransactionState | None, before: str, limit: int
) -> list[Transaction]:
    """The team's, or one owner's, newest first, older than ``before`` (an id, or nothing)."""
    query = select(transactions).where(transactions.c.team_id == team_id)
    if owner is not None:
        query = query.where(transactions.c.owner == owner)
    if state is not None:
        query = query.where(transactions.c.state == state.value)
    if before:
        query = query.where(transactions.c.file_id < before)
    rows = (await tx.execute(query.order_by(transactions.c.file_id.desc()).limit(limit))).all()
    return [_transaction(row) for row in rows]


async def is_untold(tx: Tx, team_id: str, file_id: str) -> bool:
    """Whether news of the file waits."""
    waits = select(outbox.c.id).where(outbox.c.team_id == team_id, outbox.c.file_id == file_id).limit(1)
    return (await tx.scalar(waits)) is not None


async def count_unfinished(tx: Tx) -> int:
    """How many there are, of all teams."""
    some = select(func.count()).select_from(transactions).where(UNFINISHED_ROWS)
    return int((await tx.execute(some)).scalar_one())


async def prune(tx: Tx, *, before: str, limit: int) -> int:
    """Forget the oldest that are over and whose id is below ``before``; how many there were."""
    some = (
        select(transactions.c.file_id)
        .where(transactions.c.file_id < before, transactions.c.state.not_in(_UNFINISHED))
        .order_by(transactions.c.file_id)
        .limit(limit)
    )
    return (await tx.execute(delete(transactions).where(transactions.c.file_id.in_(some)))).rowcount


def _file_id(one: Attributes) -> str:
    return one.file_id


def _led_by(coordinator: str) -> tuple[Any, Any]:
    return transactions.c.coordinator == coordinator, transactions.c.state == _OPEN


def _remade(one: Attributes, now: datetime) -> dict[str, Any]:
    return _values(
        Transaction(
            file_id=one.file_id,
            team_id=one.team_id,
            owner=one.owner,
            kind=TransactionKind.UPLOAD,
            state=TransactionState.DONE,
            element_id=one.storage_element_id,
            path=one.path,
            size_bytes=one.size_bytes,
            hold_id=None,
            coordinator="",
            due_at=None,
            resumes=0,
            error_code=None,
            started_at=one.created_at,
            finished_at=now,
        )
    )


def _values(one: Transaction) -> dict[str, Any]:
    found = {name: getattr(one, name) for name in one.__struct_fields__}
    return {**found, "kind": one.kind.value, "state": one.state.value}


def _transaction(row: Any) -> Transaction:
    found = {name: getattr(row, name) for name in Transaction.__struct_fields__}
    found["kind"], found["state"] = TransactionKind(row.kind), TransactionState(row.state)
    return Transaction(**found)
