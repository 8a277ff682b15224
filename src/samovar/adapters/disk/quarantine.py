"""Where damaged files are set aside. They get their second names there first, durably, and lose the first ones then, attributes
before bytes: at no moment is anything of them nowhere. Nothing is ever deleted, nor put over what was set aside before."""

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
        self._link(self._place.attributes(path), into, "attr.json")
        self._link(self._place.content(path), into, "content")
        self._let_go(path)
        self._journal.end([intent.number, *self._waiting.forget(path)])

    def go_on(self, intent: Intent) -> None:
        """At the start: the rest of it, when the attributes had gone already; else it never happened."""
        if self._commits.stands(self._place.attributes(intent.path)):
            return
        into = self._folder(intent)
        self._durability.make_folder(into, below=self._place.aside)
        self._link(self._place.content(intent.path), into, "content")
        self._let_go(intent.path)

    def _link(self, source: str, into: str, name: str) -> None:
        if self._commits.stands(source) and not self._commits.stands(f"{into}/{name}"):
            self._calls.link(source, f"{into}/{name}")
        self._durability.names(into)

    def _let_go(self, path: str) -> None:
        for name in (self._place.attributes(path), self._place.content(path)):
            if self._commits.remove(name):
                self._durability.names(self._place.folder(path))

    def _folder(self, intent: Intent) -> str:
        return self._place.set_aside(intent.path, number=intent.number)
