"""A folder and a registry side by side: what differs, and who changed it. Pure."""

import difflib
from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec
from msgspec import UNSET, structs

from samovar.domains.prompts.model.exchange import Entry, Slot, digest, path_of, write_file


class Standing(StrEnum):
    """How a file stands to the registry. ``conflict``: both changed since they were last the same, or nobody knows."""

    SAME = "same"
    CHANGED_HERE = "changed here"
    CHANGED_THERE = "changed in the registry"
    CONFLICT = "conflict"
    ONLY_HERE = "only here"
    ONLY_THERE = "only in the registry"
    GONE_THERE = "gone from the registry"


class Pair(msgspec.Struct, frozen=True):
    """One file's version here, all its fields said, and the registry's."""

    path: str
    standing: Standing
    here: Entry | None
    there: Entry | None


def by_path(entries: Iterator[Entry] | list[Entry]) -> dict[str, Entry]:
    """An export's entries by the paths of their files. Of each prompt the newest comes first."""
    found: dict[str, Entry] = {}
    seen: set[Slot] = set()
    for entry in entries:
        found[path_of(entry, is_newest=entry.slot not in seen)] = entry
        seen.add(entry.slot)
    return found


def is_newest(path: str) -> bool:
    """Whether the file at ``path`` speaks of its prompt's newest version."""
    return "@" not in path.rpartition("/")[2]


def compare(here: Mapping[str, Entry], there: Mapping[str, Entry], bases: Mapping[str, str]) -> list[Pair]:
    """Every path of either side. ``bases`` are digests of what was last the same on both."""
    pairs = []
    for path in sorted({*here, *there}):
        ours, theirs, base = here.get(path), there.get(path), bases.get(path)
        whole = None if ours is None else completed(ours, theirs)
        pairs.append(Pair(path, _standing(whole, theirs, base), whole, theirs))
    return pairs


def _standing(here: Entry | None, there: Entry | None, base: str | None) -> Standing:
    if here is None:
        return Standing.ONLY_THERE
    if there is None:
        return Standing.ONLY_HERE if base is None else Standing.GONE_THERE
    ours, theirs = digest(here), digest(there)
    if ours == theirs:
        return Standing.SAME
    if base is None:
        # Made by hand, or pulled by somebody who kept no state: then the number tells whether the registry went on.
        is_behind = here.version is not UNSET and there.version is not UNSET and here.version < there.version
        return Standing.CONFLICT if is_behind else Standing.CHANGED_HERE
    if theirs == base:
        return Standing.CHANGED_HERE
    return Standing.CHANGED_THERE if ours == base else Standing.CONFLICT


def completed(said: Entry, there: Entry | None) -> Entry:
    """``said`` with what it leaves out as the registry has it, or as it makes what is new."""
    source = said.draft()
    default = {
        "tags": source.tags,
        "priority": source.priority,
        "is_active": source.is_active,
        "is_default": source.make_default,
        "labels": source.labels,
        "variables": source.variables,
        "version": UNSET,
    }
    missing = {
        name: value if there is None else getattr(there, name)
        for name, value in default.items()
        if getattr(said, name) is UNSET
    }
    return structs.replace(said, **missing)


def unified(pair: Pair) -> str:
    """What separates the registry's version from the one here, as ``diff -u`` shows it."""
    return "\n".join(
        difflib.unified_diff(
            _lines(pair.there),
            _lines(pair.here),
            f"registry/{pair.path}" if pair.there else "/dev/null",
            f"folder/{pair.path}" if pair.here else "/dev/null",
            lineterm="",
        )
    )


def _lines(entry: Entry | None) -> list[str]:
    """Of its file; line feeds alone part lines, whatever else the text holds."""
    return [] if entry is None else write_file(entry).decode().removesuffix("\n").split("\n")
