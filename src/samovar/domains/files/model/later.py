"""A change that waits for its storage element. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from samovar.ports.jobs import GiveUp, Job, JobState, NotYet

MOST_WAITING: Final = 20
"""Changes of one file that wait at once."""

_FIRST_S: Final = 2.0
_MOST_S: Final = 300.0
_SIGNS: Final = tuple(f"{kind.__name__}: " for kind in (GiveUp, NotYet))


class Doing(StrEnum):
    """What is to be done with the file."""

    AMEND = "amend"
    DELETE = "delete"
    FINALIZE = "finalize"


class WaitingState(StrEnum):
    """Where a change stands. ``refused`` was not made, and will not be."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class WaitingChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was taken while the element was away. ``reason`` says why it waits, or why it was refused; ``until`` is
    when it is given up."""

    id: str
    file_id: str
    change: Doing
    state: WaitingState
    reason: str | None
    taken_at: datetime
    until: datetime
    ended_at: datetime | None


STATE_OF: Final = {
    JobState.QUEUED: WaitingState.WAITING,
    JobState.RUNNING: WaitingState.WAITING,
    JobState.DONE: WaitingState.DONE,
    JobState.DEAD: WaitingState.REFUSED,
    JobState.CANCELLED: WaitingState.CANCELLED,
}


def rest_s(waited_s: float) -> float:
    """How long a change that has waited for so long rests until it is tried again: it grows by a quarter each time."""
    return min(_MOST_S, max(_FIRST_S, waited_s / 4))


def reason_of(job: Job) -> str | None:
    """What its last attempt said, without the sign that it is a job's."""
    said = job.error
    for sign in _SIGNS:
        said = said and said.removeprefix(sign)
    return said


def key_after(live: list[Job], file_id: str) -> str:
    """The key of the next change of a file behind those that wait, in whose order they stand."""
    last = max((int((job.key or "/0").rpartition("/")[2]) for job in live), default=0)
    return f"{prefix_of(file_id)}{last + 1:09d}"


def prefix_of(file_id: str) -> str:
    """What the keys of all changes of a file begin with."""
    return f"{file_id}/"
