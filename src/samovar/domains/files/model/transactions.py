"""An upload as a transaction: who coordinates it, how far it has come, and what undoes it. Pure.

A transaction has the id of its file. Before the commit point (the attributes stand on the element) it may be undone, step by step
backwards; behind it, it only goes forward. The element is the authority on which side it is.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

RETRY_MOST_S: Final = 300.0
_RETRY_FIRST_S: Final = 5.0


class TransactionState(StrEnum):
    """``CANCELLING`` is one whose caller takes it back, while somebody may still write for it. The last three are over; what was
    rolled back or cancelled has left nothing."""

    OPEN = "open"
    CANCELLING = "cancelling"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"


UNFINISHED: Final = (TransactionState.OPEN, TransactionState.CANCELLING)


class TransactionKind(StrEnum):
    """``UPLOAD`` is one request, coordinated by the process that serves it; ``RESUMABLE`` arrives in pieces, and lives as long
    as its open upload."""

    UPLOAD = "upload"
    RESUMABLE = "resumable"


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is where the file is to stand; ``size_bytes`` what was announced. ``coordinator`` is the process that leads it
    until ``due_at``: then any admin process takes it over (``None``: nobody has to). ``resumes`` is how often that was so."""

    file_id: str
    team_id: str
    owner: str
    kind: TransactionKind
    state: TransactionState
    element_id: str
    path: str
    size_bytes: int | None
    hold_id: str | None
    coordinator: str
    due_at: datetime | None
    resumes: int
    error_code: str | None
    started_at: datetime
    finished_at: datetime | None


class StepStatus(StrEnum):
    """``UNDONE`` was compensated, or never came to be; ``UNKNOWN`` only the element could tell, and it is away."""

    DONE = "done"
    PENDING = "pending"
    UNDONE = "undone"
    UNKNOWN = "unknown"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: who takes it, what undoes it (``None`` behind the commit point), and whether it was taken."""

    name: str
    by: str
    compensation: str | None
    status: StepStatus


_BEFORE: Final = (
    ("begin", "ingester", "the transaction is closed, and the owner's room given back"),
    ("content", "storage-element", "the temporary file is taken away"),
    ("attributes", "storage-element", "the content is taken away"),
)
"""The last of them is the commit point."""
_BEHIND: Final = (("row", "ingester"), ("news", "ingester"))


def steps(one: Transaction, *, stands: bool | None, told: bool | None) -> tuple[Step, ...]:
    """All steps, as far as is known: ``stands`` says whether the attributes stand, ``told`` whether the news went out; ``None``
    is not known."""
    if one.state is TransactionState.DONE:
        statuses = [StepStatus.DONE] * 4 + [_status(told)]
    elif one.state in UNFINISHED:
        statuses = [StepStatus.DONE, *[_status(stands)] * 2, StepStatus.PENDING, StepStatus.PENDING]
    else:
        statuses = [StepStatus.UNDONE] * 5
    named = [(name, by, undoes) for name, by, undoes in _BEFORE] + [(name, by, None) for name, by in _BEHIND]
    return tuple(
        Step(name=name, by=by, compensation=undoes, status=status)
        for (name, by, undoes), status in zip(named, statuses, strict=True)
    )


def _status(known: bool | None) -> StepStatus:
    if known is None:
        return StepStatus.UNKNOWN
    return StepStatus.DONE if known else StepStatus.PENDING


def retry_s(resumes: int) -> float:
    """How long one that could not be ended rests before the next try."""
    return min(RETRY_MOST_S, _RETRY_FIRST_S * 2.0 ** min(max(resumes - 1, 0), 16))


class TransactionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction as the API shows it; its id is that of its file. ``led_until`` is when an admin process takes over, ``null``
    where nobody has to; ``resumes`` how often that was so; ``error_code`` why it did not become a file."""

    id: str
    kind: TransactionKind
    state: TransactionState
    owner: str
    storage_element_id: str
    size_bytes: int | None
    resumes: int
    error_code: str | None
    started_at: datetime
    led_until: datetime | None
    finished_at: datetime | None
    steps: tuple[Step, ...]


class TransactionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of them; ``next_cursor`` leads on, ``None`` at the end."""

    items: tuple[TransactionAnswer, ...]
    next_cursor: str | None


def told_transaction(one: Transaction, *, stands: bool | None, told: bool | None) -> TransactionAnswer:
    """As the API shows it; see :func:`steps`."""
    return TransactionAnswer(
        id=one.file_id,
        kind=one.kind,
        state=one.state,
        owner=one.owner,
        storage_element_id=one.element_id,
        size_bytes=one.size_bytes,
        resumes=one.resumes,
        error_code=one.error_code,
        started_at=one.started_at,
        led_until=one.due_at,
        finished_at=one.finished_at,
        steps=steps(one, stands=stands, told=told),
    )
