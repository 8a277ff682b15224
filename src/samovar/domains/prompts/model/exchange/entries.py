"""One version of a prompt as it travels between registries, files and git. Pure.

What an entry says holds after its import; what it does not say (``UNSET``) stays, or is the registry's default for what is
new. An entry without a version speaks of its prompt's newest.
"""

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from samovar.domains.prompts.errors import BadImport
from samovar.domains.prompts.model.prompt import DEFAULT_LANG, DEFAULT_NAMESPACE, Draft, Prompt
from samovar.domains.prompts.model.variables import Variable
from samovar.kernel.errors import Flaw

MAX_ENTRIES: Final = 10_000
"""Of one import. It is one transaction: on SQLite others wait for its end, and give up after ten seconds."""

Slot: TypeAlias = tuple[str, str, str]
"""Namespace, name and language: which prompt."""

# What an export tells beside, and only its own registry can know.
_TOLD: Final = frozenset({"id", "revision", "created_at", "created_by", "updated_at", "updated_by"})


class Form(StrEnum):
    """How prompts are written down. ``markdown`` is a folder, packed as a zip."""

    JSON = "json"
    YAML = "yaml"
    MARKDOWN = "markdown"


class Which(StrEnum):
    """``all`` versions, or only ``current`` ones: of each prompt the newest, the default, and those that labels point to."""

    ALL = "all"
    CURRENT = "current"


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version. ``labels`` are all those that point to it. ``base`` is the :func:`digest` of the prompt's newest version as
    whoever sends this last saw it: an import refuses to write over anything else."""

    namespace: str = DEFAULT_NAMESPACE
    name: str
    lang: str = DEFAULT_LANG
    version: int | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET
    labels: tuple[str, ...] | UnsetType = UNSET
    variables: tuple[Variable, ...] | UnsetType = UNSET
    text: str
    base: str | UnsetType = UNSET

    @property
    def slot(self) -> Slot:
        """Which prompt this is a version of."""
        return self.namespace, self.name, self.lang

    def draft(self) -> Draft:
        """The version that this makes where there is none."""
        return Draft(
            namespace=self.namespace,
            name=self.name,
            lang=self.lang,
            version=None if self.version is UNSET else self.version,
            text=self.text,
            tags=() if self.tags is UNSET else self.tags,
            priority=0 if self.priority is UNSET else self.priority,
            is_active=True if self.is_active is UNSET else self.is_active,
            variables=() if self.variables is UNSET else self.variables,
            labels=() if self.labels is UNSET else self.labels,
            make_default=self.is_default is True,
        )


class Item(Struct, frozen=True):
    """An entry, and where it stood: ``prompts[3]``, or the path of its file."""

    where: str
    entry: Entry

    def flaw(self, what: str, field: str = "") -> Flaw:
        """Something wrong with it, with the prompt's name beside its place."""
        return Flaw(f"{self.where}.{field}" if field else self.where, f"{called(self.entry)}: {what}")


def called(entry: Entry | Prompt) -> str:
    """``default/greet.ru v3``, for people."""
    version = "" if entry.version is UNSET else f" v{entry.version}"
    return f"{entry.namespace}/{entry.name}.{entry.lang}{version}"


def entry_of(prompt: Prompt) -> Entry:
    """All that travels of a version."""
    return Entry(**{field: getattr(prompt, field) for field in Entry.__struct_fields__ if field != "base"})


def read_items(raw: Any) -> list[Item]:
    """The entries of an export, ``{"prompts": [...]}``, or of a bare list. Raises ``BadImport``, which names the wrong ones."""
    listed = raw
    if isinstance(raw, dict):
        listed = raw.get("prompts")
        count = raw.get("count")
        if isinstance(listed, list) and count is not None and count != len(listed):
            raise BadImport(
                [Flaw("count", f"says {count!r:.40}, and {len(listed)} prompts are there: is this all of it?")]
            )
    if not isinstance(listed, list):
        raise BadImport([Flaw("prompts", "must be a list of prompts, as an export has it")])
    return read_each([(f"prompts[{place}]", fields) for place, fields in enumerate(listed)])


def read_each(found: Sequence[tuple[str, Any]]) -> list[Item]:
    """Each with its place as an item. Raises ``BadImport``."""
    if len(found) > MAX_ENTRIES:
        raise BadImport([Flaw("prompts", f"{MAX_ENTRIES} is the most that one import takes; send it in parts")])
    items: list[Item] = []
    flaws: list[Flaw] = []
    for where, fields in found:
        try:
            item = Item(where, _entry(fields))
        except msgspec.ValidationError as error:
            flaws.append(Flaw(where, _told(fields) + str(error)))
            continue
        items.append(item)
        for flaw in item.entry.draft().flaws():
            flaws.append(item.flaw(flaw.what, "is_default" if flaw.where == "make_default" else flaw.where))
    if flaws:
        raise BadImport(flaws)
    return items


def _entry(fields: Any) -> Entry:
    if isinstance(fields, dict):
        fields = {name: value for name, value in fields.items() if name not in _TOLD}
    return msgspec.convert(fields, Entry)


def _told(fields: Any) -> str:
    name = fields.get("name") if isinstance(fields, dict) else None
    return f"{name[:100]}: " if isinstance(name, str) else ""


def digest(prompt: Prompt | Entry) -> str:
    """Of all that travels of a version but its number: equal for two that differ in nothing that a person wrote."""
    said: Mapping[str, Any] = {
        "text": prompt.text,
        "tags": prompt.tags,
        "priority": prompt.priority,
        "is_active": prompt.is_active,
        "is_default": prompt.is_default,
        "labels": () if prompt.labels is UNSET else sorted(prompt.labels),
        "variables": prompt.variables,
    }
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:32]
