"""What an element keeps of itself: who holds its folder, and its mode."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from samovar.adapters.disk.durability import Durability
from samovar.adapters.disk.place import HIDDEN, PART_SUFFIX, Place
from samovar.adapters.disk.syscalls import Syscalls, read_all, write_all
from samovar.ports.element_rules import ModeKept, mode_at_start
from samovar.ports.elements import ElementUnavailable, Mode

_STATE_BYTES = 4096
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class State:
    """Blocks; called in threads. Raises ``OSError``."""

    def __init__(
        self,
        *,
        element_id: str,
        configured: Mode,
        may_begin: Callable[[], bool],
        place: Place,
        calls: Syscalls,
        durability: Durability,
    ) -> None:
        self._element_id = element_id
        self._configured = configured
        self._may_begin = may_begin
        self._place = place
        self._calls = calls
        self._durability = durability
        self._lock = -1

    def take_hold(self) -> None:
        """Make the folders and hold them against other processes. Raises ``ElementUnavailable`` where another has them, or the
        element stands elsewhere."""
        self._check_begun()
        self._make(self._place.root)
        for folder in (self._place.hidden, self._place.journal, self._place.uploads, self._place.aside):
            self._durability.make_folder(folder, below=self._place.root)
        self._lock = self._calls.open(self._place.lock, os.O_RDWR | os.O_CREAT)
        try:
            self._calls.lock(self._lock)
        except OSError as error:
            self.let_go()
            if not isinstance(error, BlockingIOError):
                raise
            raise ElementUnavailable(
                f"Another process has the storage element {self._element_id} open: one process writes to one folder."
            ) from error

    def _check_begun(self) -> None:
        # What is made in the folder that a disk is to be mounted over would be taken for the element itself from then on.
        if not _has_mark(self._calls, self._place) and not self._may_begin():
            raise ElementUnavailable(
                f"The storage element {self._element_id} was begun before, and {self._place.root} has no mark of it"
                f" ({HIDDEN}/element.json): is its disk mounted? It is tried again, and serves when it is back. To begin it anew"
                f" there, with no file in it, say so: samovar files begin {self._element_id}"
            )

    def let_go(self) -> None:
        """Another process may have it."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            self._calls.close(lock)

    def check_held(self) -> None:
        """Raises ``ElementUnavailable`` where the folder is not the one that is held: its disk was taken away, and what stands
        there now, if anything, is what the disk was mounted over. Nothing may be written there, or be said of it."""
        if self._lock >= 0 and not self._calls.is_at(self._lock, self._place.lock):
            raise ElementUnavailable(
                f"The storage element {self._element_id} has another folder than it was started with: is its disk mounted? It"
                " serves again when it is back, or when it is started anew."
            )

    def mode(self) -> Mode:
        """The mode to start in, remembered. Raises ``ElementUnavailable`` where the folder is another element's."""
        kept = self._kept()
        if kept is not None and kept.element_id != self._element_id:
            raise ElementUnavailable(
                f"The folder belongs to the storage element {kept.element_id}; it is configured as {self._element_id}."
            )
        mode = mode_at_start(kept, self._configured)
        wanted = ModeKept(element_id=self._element_id, mode=mode, configured=self._configured)
        if kept != wanted:
            self._keep(wanted)
        return mode

    def lower(self, mode: Mode) -> None:
        """Remember it."""
        self._keep(ModeKept(element_id=self._element_id, mode=mode, configured=self._configured))

    def _kept(self) -> ModeKept | None:
        try:
            raw = read_all(self._calls, self._place.state, limit_bytes=_STATE_BYTES)
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(raw, type=ModeKept)
        except msgspec.DecodeError as error:
            # To guess here could open what somebody has closed.
            raise ElementUnavailable(f"{self._place.state} cannot be read ({error}): put it right by hand.") from error

    def _keep(self, kept: ModeKept) -> None:
        part = f"{self._place.state}{PART_SUFFIX}"
        descriptor = self._calls.open(part, _CREATE)
        try:
            write_all(self._calls, descriptor, msgspec.json.encode(kept))
            self._durability.content(descriptor, part)
        finally:
            self._calls.close(descriptor)
        self._calls.rename(part, self._place.state)
        self._durability.names(self._place.hidden)

    def _make(self, folder: str) -> None:
        try:
            if not self._calls.stat(folder).is_folder:
                raise NotADirectoryError(f"{folder} is no folder")
        except FileNotFoundError:
            parent = folder.rpartition("/")[0] or "/"
            self._make(parent)
            try:
                self._calls.mkdir(folder)
            except FileExistsError:
                return
            self._durability.names(parent)


def is_begun(root: Path) -> bool:
    """Whether some element has its mark in the folder. Blocks; raises ``OSError``."""
    return _has_mark(Syscalls(), Place(str(root)))


def _has_mark(calls: Syscalls, place: Place) -> bool:
    try:
        calls.stat(place.state)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
