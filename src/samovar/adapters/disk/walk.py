"""Everything in an element, ordered by path, a folder at a time: one folder's names are what is in memory."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from samovar.adapters.disk.commits import Commits
from samovar.adapters.disk.place import Place
from samovar.adapters.disk.syscalls import Stat, Syscalls
from samovar.ports.element_flow import UnderWay
from samovar.ports.element_rules import ATTRIBUTES_SUFFIX
from samovar.ports.elements import DamagedFile, FileNotThere, Found

_AT_ONCE: Final = 64


class Walk:
    """Blocks; each step of its iterator is called in a thread."""

    def __init__(self, *, place: Place, calls: Syscalls, commits: Commits, under_way: UnderWay) -> None:
        self._place = place
        self._calls = calls
        self._commits = commits
        self._under_way = under_way

    def batches(self, *, after: str) -> Iterator[list[Found]]:
        """What is there, some at a time."""
        self._commits.check_held()
        batch: list[Found] = []
        for path in self._paths("", after):
            if (found := self._found(path)) is not None:
                batch.append(found)
            if len(batch) >= _AT_ONCE:
                yield batch
                batch = []
        # Whoever was told that this is all there is takes the rest for lost.
        self._commits.check_held()
        if batch:
            yield batch

    def _paths(self, folder: str, after: str) -> Iterator[str]:
        """Paths of contents and of attributes, each once, in the order of the texts."""
        try:
            names = self._calls.names(f"{self._place.root}/{folder}".rstrip("/"))
        except FileNotFoundError:
            return
        # A folder sorts by what stands in it: behind its name comes a slash.
        paths = {
            f"{folder}{name}/" if is_folder else f"{folder}{name.removesuffix(ATTRIBUTES_SUFFIX)}"
            for name, is_folder in names
            if not name.startswith(".") and _is_text(name)
        }
        for path in sorted(paths):
            if path.endswith("/"):
                if path > after or after.startswith(path):
                    yield from self._paths(path, after)
            elif path > after:
                yield path

    def _found(self, path: str) -> Found | None:
        # In this order: what ended between the two looks is met whole, or not at all.
        if self._under_way.has(path):
            return None
        attributes, fault = None, None
        at = self._stat(self._place.attributes(path))
        if at is not None:
            try:
                attributes = self._commits.attributes(path)
            except DamagedFile as error:
                fault = error.detail
            except FileNotThere:
                at = None
        content = self._stat(self._place.content(path))
        known = content or at
        if known is None:
            return None
        return Found(
            path=path,
            attributes=attributes,
            content_bytes=None if content is None else content.size_bytes,
            modified_at=datetime.fromtimestamp(known.modified_at, UTC),
            fault=fault,
        )

    def _stat(self, name: str) -> Stat | None:
        try:
            found = self._calls.stat(name)
        except FileNotFoundError:
            return None
        return None if found.is_folder else found


class Step(msgspec.Struct, frozen=True):
    """What one step of a walk brings; none at the end."""

    found: list[Found] | None


def next_step(batches: Iterator[list[Found]]) -> Step:
    """One step. A generator's own end cannot cross a thread."""
    return Step(next(batches, None))


def _is_text(name: str) -> bool:
    """Names that are no UTF-8 are nobody's of ours, and could not be told to anybody."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
