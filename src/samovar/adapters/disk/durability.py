"""What survives a power cut, and what is shared to make it so.

A sync that fails is never tried again: the kernel may have dropped the pages and would answer the second one with success. From
then on the element takes nothing until it is started anew, and recovery looks at what is really there.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from samovar.adapters.disk.syscalls import NO_ROOM, Syscalls
from samovar.adapters.disk.together import waits
from samovar.ports.elements import ElementFull, ElementUnavailable

_FOLDERS_KNOWN: Final = 4096


class _Round:
    """One sync to come, and whoever waits for it."""

    __slots__ = ("ended", "error")

    def __init__(self) -> None:
        self.ended = False
        self.error: BaseException | None = None


class SharedSync:
    """Group commit: who calls it returns after a sync that *began* after the call; those who call while one runs share the next.

    The first of them to find nobody syncing does it for all, in its own thread.
    """

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._changed = threading.Condition()
        self._coming: _Round | None = None
        self._busy = False

    def __call__(self) -> None:
        """Raises what the sync raised, to all who waited for it."""
        if waits(self):
            return
        with self._changed:
            mine = self._coming = self._coming or _Round()
            while self._busy and not mine.ended:
                self._changed.wait()
            leads = not mine.ended
            if leads:
                self._busy, self._coming = True, None
        if leads:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error

    def _lead(self, mine: _Round) -> None:
        try:
            self._sync()
        except BaseException as error:  # noqa: BLE001 - edge: those who wait must hear of it, in their own threads
            mine.error = error
        with self._changed:
            mine.ended, self._busy = True, False
            self._changed.notify_all()


class Durability:
    """Syncs of an element's files and folders, and whether one has ever failed."""

    def __init__(self, *, calls: Syscalls) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._folders: OrderedDict[str, SharedSync] = OrderedDict()
        self._stand: OrderedDict[str, None] = OrderedDict()
        self.broken_because: str | None = None

    def check(self) -> None:
        """Raises ``ElementUnavailable`` once a sync has failed."""
        if self.broken_because is not None:
            raise ElementUnavailable(f"The storage element takes nothing any more: {self.broken_because}")

    def content(self, descriptor: int, path: str) -> None:
        """Sync a file's content. Raises ``OSError``."""
        self.check()
        sync = partial(self._sync_content, descriptor, path)
        if not waits(sync):
            sync()

    def _sync_content(self, descriptor: int, path: str) -> None:
        try:
            self._calls.fdatasync(descriptor)
        except OSError as error:
            self._break(path, error)
            raise

    def names(self, folder: str) -> None:
        """Sync a folder, together with whoever wants the same just now. Raises ``OSError``."""
        self.check()
        with self._lock:
            shared = self._folders.get(folder)
            if shared is None:
                # One that is dropped while it is in use shares no more; it syncs all the same.
                shared = self._folders[folder] = SharedSync(lambda: self._sync_folder(folder))
                if len(self._folders) > _FOLDERS_KNOWN:
                    self._folders.popitem(last=False)
            else:
                self._folders.move_to_end(folder)
        shared()

    def make_folder(self, folder: str, *, below: str) -> None:
        """Make ``folder`` and all between it and ``below``, which stands. Each one's name is synced before anything may
        rely on it, even where another thread made it a moment ago. Raises ``OSError``."""
        with self._lock:
            if folder in self._stand:
                return
        parent, _, name = folder.rpartition("/")
        if folder == below or not name:
            return
        self.make_folder(parent, below=below)
        try:
            self._calls.mkdir(folder)
        except FileExistsError:
            if not self._calls.stat(folder).is_folder:
                raise
        self.names(parent)
        with self._lock:
            self._stand[folder] = None
            if len(self._stand) > _FOLDERS_KNOWN:
                self._stand.popitem(last=False)

    def forget_folders(self) -> None:
        """Look again whether folders stand before they are relied on."""
        with self._lock:
            self._stand.clear()

    def _sync_folder(self, folder: str) -> None:
        try:
            self._calls.fsync_folder(folder)
        except OSError as error:
            self._break(folder, error)
            raise

    def _break(self, path: str, error: OSError) -> None:
        self.broken_because = self.broken_because or f"a sync of {path} failed ({error.strerror or error})"


@contextmanager
def translating(element_id: str) -> Iterator[None]:
    """The operating system's refusals in here are the element's."""
    try:
        yield
    except OSError as error:
        raise translated(error, element_id=element_id) from error


def translated(error: OSError, *, element_id: str) -> ElementFull | ElementUnavailable:
    """What the operating system's refusal means to whoever called."""
    words = error.strerror or str(error)
    if error.errno in NO_ROOM:
        return ElementFull(f"The storage element {element_id} has no room left ({words}).")
    return ElementUnavailable(f"The storage element {element_id} does not do what it should ({words}).")
