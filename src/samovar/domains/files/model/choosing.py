"""Which element takes a file: by mode, health, room, and priority. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from samovar.domains.files.errors import NoElement, StorageFull
from samovar.kernel.errors import SamovarError
from samovar.ports.elements import Condition, Mode, RetentionKind

ELEMENT_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"


class Watermarks(msgspec.Struct, frozen=True, kw_only=True):
    """When an element counts as how full, in percent of its capacity; ``small_bytes`` is what a critical one still takes."""

    warning_percent: float = 85.0
    critical_percent: float = 95.0
    full_percent: float = 98.0
    small_bytes: int = 1024 * 1024


class ElementState(StrEnum):
    """Whether new files may go there. A draining one is read from. A lost one does not come back: nothing is read from it, and
    what stood there is made anew from other copies."""

    ACTIVE = "active"
    DRAINING = "draining"
    LOST = "lost"


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """A registered element. ``mode`` is the one that it was configured with: the one in force is asked of the element.
    ``capacity_bytes`` of its own bounds what it may hold, where the place has more. A smaller ``priority`` goes first.
    ``configured`` ones come from the settings. ``begun_at`` is when its folder was first seen to be one: from then on a folder
    without its mark is another."""

    id: str
    url: str
    mode: Mode
    priority: int = 100
    capacity_bytes: int | None = None
    watermarks: Watermarks = Watermarks()
    state: ElementState = ElementState.ACTIVE
    configured: bool = False
    revision: int = 1
    created_at: datetime
    updated_at: datetime
    begun_at: datetime | None = None


class Room(IntEnum):
    """How full an element is."""

    PLENTY = 0
    WARNING = 1
    CRITICAL = 2
    FULL = 3


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An element and how it was found; ``condition`` is ``None`` where it does not answer."""

    element: Element
    condition: Condition | None
    used_bytes: int = 0

    @property
    def room(self) -> Room:
        """How full it is. One that nobody can tell the size of has plenty."""
        marks, percent = self.element.watermarks, self.used_percent
        if percent >= marks.full_percent:
            return Room.FULL
        if percent >= marks.critical_percent:
            return Room.CRITICAL
        return Room.WARNING if percent >= marks.warning_percent else Room.PLENTY

    @property
    def used_percent(self) -> float:
        """Of the smaller of what it may hold and what its place can."""
        found = [0.0]
        if self.element.capacity_bytes:
            found.append(100.0 * self.used_bytes / self.element.capacity_bytes)
        condition = self.condition
        if condition is not None and condition.capacity_bytes and condition.free_bytes is not None:
            found.append(100.0 * (1 - condition.free_bytes / condition.capacity_bytes))
        return max(found)

    @property
    def free_bytes(self) -> int | None:
        """``None`` where nobody can tell."""
        found = []
        if self.element.capacity_bytes is not None:
            found.append(max(0, self.element.capacity_bytes - self.used_bytes))
        if self.condition is not None and self.condition.free_bytes is not None:
            found.append(self.condition.free_bytes)
        return min(found) if found else None


def ranked(standings: Iterable[Standing], kind: RetentionKind, size_bytes: int | None) -> list[Standing]:
    """The elements that may take a file of so many bytes (``None``: nobody knows yet), the best first. Raises :class:`NoElement`
    or :class:`StorageFull`, which say why there is none."""
    known = [*standings]
    fitting = [one for one in known if _mode_of(one) in _MODES[kind] and one.element.state is ElementState.ACTIVE]
    awake = [one for one in fitting if one.condition is not None and one.condition.read_only_because is None]
    roomy = [one for one in awake if _has_room(one, size_bytes)]
    if not roomy:
        raise _nowhere(kind, fitting, awake)
    return sorted(
        roomy, key=lambda one: (_MODES[kind].index(_mode_of(one)), one.room, one.element.priority, one.element.id)
    )


_MODES: Final = {
    RetentionKind.TEMPORARY: (Mode.EDIT,),
    # Without an element of its own a permanent file is safe with the others too; only nobody is kept from deleting it.
    RetentionKind.PERMANENT: (Mode.RW, Mode.EDIT),
}


def _mode_of(standing: Standing) -> Mode:
    return standing.element.mode if standing.condition is None else standing.condition.mode


def _has_room(standing: Standing, size_bytes: int | None) -> bool:
    room, free = standing.room, standing.free_bytes
    if room is Room.FULL or (size_bytes is not None and free is not None and size_bytes > free):
        return False
    return room is not Room.CRITICAL or (
        size_bytes is not None and size_bytes <= standing.element.watermarks.small_bytes
    )


def _nowhere(kind: RetentionKind, fitting: Sequence[Standing], awake: Sequence[Standing]) -> SamovarError:
    modes = " or ".join(mode.value for mode in _MODES[kind])
    if not fitting:
        return NoElement(f"No storage element in mode {modes} is registered, which a {kind.value} file needs.")
    if not awake:
        return NoElement(
            f"No storage element in mode {modes} takes anything at the moment. Try again.", headers={"Retry-After": "5"}
        )
    return StorageFull(f"The storage elements in mode {modes} have no room for this file.")
