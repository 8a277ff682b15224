"""What an import does to the registry, worked out before anything is written. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Any, Final

from msgspec import UNSET, Struct, structs

from samovar.domains.prompts.model.exchange.entries import Entry, Item, digest
from samovar.domains.prompts.model.prompt import MAX_VERSION, Prompt
from samovar.kernel.errors import Flaw


class Mode(StrEnum):
    """What to do about a version that the registry has with another text: give the prompt a new version, write over the one
    there is (its former text is kept in its history), or leave it."""

    NEW_VERSIONS = "create-new-versions"
    OVERWRITE = "overwrite"
    SKIP = "skip"


class Action(StrEnum):
    """What becomes of an item: a version is ``created``; the prompt gets a ``new_version``; a version's text is
    ``overwritten``; only its other fields are ``changed``; it stands there as it is, ``unchanged``; or the mode has it
    ``skipped``."""

    CREATED = "created"
    NEW_VERSION = "new_version"
    OVERWRITTEN = "overwritten"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


class Step(Struct, frozen=True):
    """What becomes of one item. ``version`` is the one that it is about in the end; ``before`` is that version as it stands
    or, for a new one, the version whose fields it takes over; ``fields`` are those that change."""

    item: Item
    action: Action
    version: int
    before: Prompt | None
    fields: tuple[str, ...] = ()

    @property
    def makes_row(self) -> bool:
        """Whether there is no such version yet."""
        return self.action in (Action.CREATED, Action.NEW_VERSION)

    @property
    def writes(self) -> bool:
        """Whether anything is written."""
        return self.action not in (Action.UNCHANGED, Action.SKIPPED)


_TEXT: Final = ("text", "variables")
_WRITTEN: Final = ("text", "variables", "tags", "priority", "is_active")
_FIELDS: Final = ("text", "variables", "tags", "priority", "is_active", "is_default", "labels")


def clashes(items: Sequence[Item]) -> Iterator[Flaw]:
    """Items that cannot both hold, whatever the registry has."""
    versions = Counter((item.entry.slot, item.entry.version) for item in items)
    labels = Counter((item.entry.slot, label) for item in items for label in item.entry.labels or ())
    defaults = Counter(_realm(item.entry) for item in items if item.entry.is_default is True)
    for item in items:
        entry = item.entry
        if versions[entry.slot, entry.version] > 1:
            yield item.flaw("stands there more than once", "version")
        for label in entry.labels or ():
            if labels[entry.slot, label] > 1:
                yield item.flaw(f"the label {label!r} is on more than one version of the prompt", "labels")
        if entry.is_default is True and defaults[_realm(entry)] > 1:
            yield item.flaw(f"more than one is the default of {entry.namespace}, {entry.lang}", "is_default")


def conflicts(items: Sequence[Item], standing: Sequence[Prompt]) -> Iterator[Flaw]:
    """Items of one prompt that were made from another newest version than stands in the registry now."""
    newest = max(standing, key=lambda prompt: prompt.version, default=None)
    for item in items:
        if item.entry.base is UNSET or (newest is not None and digest(newest) == item.entry.base):
            continue
        now = "is gone" if newest is None else f"stands at version {newest.version}, changed by {newest.updated_by}"
        yield item.flaw(f"the prompt was changed since: it {now}")


def plan(items: Sequence[Item], standing: Sequence[Prompt], mode: Mode) -> list[Step]:
    """The steps for all items of one prompt, of which ``standing`` are the versions that they name and the newest."""
    there = {prompt.version: prompt for prompt in standing}
    named = {item.entry.version for item in items}
    highest = max((version for version in (*there, *named) if isinstance(version, int)), default=0)
    steps: list[Step] = []
    for item in items:
        step = _step(item, there, mode, others=named - {item.entry.version}, next_version=highest + 1)
        highest = max(highest, step.version)
        steps.append(step)
    return steps


def flaws_of(steps: Sequence[Step]) -> Iterator[Flaw]:
    """What is wrong with what the steps of one prompt would make."""
    targets = Counter(step.version for step in steps)
    for step in steps:
        if targets[step.version] > 1:
            yield step.item.flaw(f"more than one item speaks of version {step.version}", "version")
        if step.version > MAX_VERSION:
            yield step.item.flaw(f"the prompt would pass version {MAX_VERSION}", "version")
        if step.writes:
            yield from _state_flaws(step)


def content(step: Step) -> dict[str, Any]:
    """The fields that the version has in the end, but for labels and the default, which are pointed and not written."""
    entry = step.item.entry
    source = entry.draft() if step.before is None else step.before
    fields = {name: getattr(source, name) for name in _WRITTEN}
    if step.makes_row:
        # A version that nobody says is inactive is made to be used.
        fields["is_active"] = True
    said = {name: getattr(entry, name) for name in _WRITTEN}
    return fields | {name: value for name, value in said.items() if value is not UNSET}


def _step(item: Item, there: dict[int, Prompt], mode: Mode, *, others: AbstractSet[object], next_version: int) -> Step:
    entry = item.entry
    newest = there[max(there)] if there else None
    before = newest if entry.version is UNSET else there.get(entry.version)
    if before is None:
        action = Action.CREATED if newest is None else Action.NEW_VERSION
        return Step(item, action, 1 if entry.version is UNSET else entry.version, None)
    changed = _changed(entry, before)
    if not any(field in changed for field in _TEXT):
        return _edited(item, before, changed, mode)
    if mode is Mode.SKIP:
        return Step(item, Action.SKIPPED, before.version, before, changed)
    if mode is Mode.OVERWRITE:
        return Step(item, Action.OVERWRITTEN, before.version, before, changed)
    # Importing a file twice must not make a version twice.
    if newest is not None and newest.version not in others:
        since = _changed(entry, newest)
        if not any(field in since for field in _TEXT):
            return _edited(item, newest, since, mode)
    return Step(item, Action.NEW_VERSION, next_version, before, changed)


def _edited(item: Item, before: Prompt, changed: tuple[str, ...], mode: Mode) -> Step:
    action = Action.UNCHANGED if not changed else Action.SKIPPED if mode is Mode.SKIP else Action.CHANGED
    return Step(item, action, before.version, before, changed)


def _changed(entry: Entry, before: Prompt) -> tuple[str, ...]:
    """The fields that the entry says otherwise."""
    return tuple(
        field
        for field in _FIELDS
        if (said := getattr(entry, field)) is not UNSET and _plain(field, said) != _plain(field, getattr(before, field))
    )


def _plain(field: str, value: object) -> object:
    return frozenset(value) if field == "labels" and isinstance(value, tuple) else value


def _state_flaws(step: Step) -> Iterator[Flaw]:
    entry = step.item.entry
    fields = content(step)
    stays_default = step.before is not None and step.before.is_default and not step.makes_row
    is_default = stays_default if entry.is_default is UNSET else entry.is_default
    if is_default and not fields["is_active"]:
        yield step.item.flaw("an inactive prompt cannot be the default", "is_default")
    drafted = structs.replace(entry.draft(), version=None, **fields)
    for flaw in drafted.flaws():
        yield step.item.flaw(flaw.what, flaw.where)


def _realm(entry: Entry) -> tuple[str, str]:
    return entry.namespace, entry.lang


def by_slot(items: Iterable[Item]) -> list[list[Item]]:
    """The items of each prompt together, in the order in which prompts first come."""
    groups: dict[object, list[Item]] = {}
    for item in items:
        groups.setdefault(item.entry.slot, []).append(item)
    return list(groups.values())
