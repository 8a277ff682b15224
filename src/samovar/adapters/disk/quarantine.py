"""Where damaged files are set aside. Attributes go first, so that nobody is served a moment later; the bytes follow. Nothing is
ever deleted, and nothing put over what was set aside before."""

import os

import msgspec

from samovar.adapters.disk.commits import Commits
from samovar.adapters.disk.durability import Durability
from samovar.adapters.disk.journal import Intent, Journal, Kind
from samovar.adapters.disk.place import Place
from samovar.adapters.disk.syscalls import Syscalls, write_all
from samovar.adapters.disk.waiting import Waiting
from samovar.ports.elements import FileNotThere

_REASON_CHARS = 1000


class Quarantine:
    """``content``, ``attr.json`` and ``reason.json`` in a folder a file. All of it blocks and is called in threads."""

    def __init__(
        self,
        *,
        place: Place,
        calls: Syscalls,
        durability: Durability,
        journal: Journal,
        waiting: Waiting,
        commits: Commits,
    ) -> None:
        self._place = place
        self._calls = calls
        self._durability = durability
        self._journal = journal
        self._waiting = waiting
        self._commits = commits

    def set_aside(self, path: str, *, reason: str, at: str) -> None:
        """Move it. Raises ``FileNotThere`` where there is neither content nor attributes."""
        names = (self._place.attributes(path), self._place.content(path))
        if not any(self._commits.stands(name) for name in names):
            raise FileNotThere(f"There is no {path}.")
        intent = self._journal.begin(Kind.QUARANTINE, file_id="", path=path)
        into = self._folder(intent)
        self._durability.make_folder(into, below=self._place.aside)
        descriptor = self._calls.open(f"{into}/reason.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            note = {"path": path, "reason": reason[:_REASON_CHARS], "at": at}
            write_all(self._calls, descriptor, msgspec.json.encode(note))
            self._durability.content(descriptor, into)
        finally:
            self._calls.close(descriptor)
        if self._commits.stands(self._place.attributes(path)):
            self._move(intent, self._place.attributes(path), f"{into}/attr.json")
        self._move_content(intent)
        self._journal.end([intent.number, *self._waiting.forget(path)])

    def go_on(self, intent: Intent) -> None:
        """At the start: the rest of it, when the attributes had gone already; else it never happened."""
        if self._commits.stands(self._place.attributes(intent.path)):
            return
        self._durability.make_folder(self._folder(intent), below=self._place.aside)
        self._move_content(intent)

    def _move_content(self, intent: Intent) -> None:
        source, target = self._place.content(intent.path), f"{self._folder(intent)}/content"
        if self._commits.stands(source) and not self._commits.stands(target):
            self._move(intent, source, target)

    def _move(self, intent: Intent, source: str, target: str) -> None:
        self._calls.rename(source, target)
        # Where it goes before where it was: between the two it may be in both, never in neither.
        self._durability.names(self._folder(intent))
        self._durability.names(self._place.folder(intent.path))

    def _folder(self, intent: Intent) -> str:
        return self._place.set_aside(intent.path, number=intent.number)
