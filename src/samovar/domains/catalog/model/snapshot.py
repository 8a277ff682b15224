"""The checked-in price snapshot, read: which models a vendor has, under which spellings, at what price.

The file is made by ``tools/refresh_prices.py`` (ADR 0001) and holds the clauses by which genai-prices recognises a
model's many names; they are read here with the same meaning. A vendor's part is decoded when it is first asked for.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from samovar.domains.catalog.model.prices import PriceCard

_COMPACT_DATE: Final = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$")


class Clause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Exactly one field is set. Texts are lower case, as is the name they are held against."""

    equals: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    regex: str | None = None
    any: tuple["Clause", ...] | None = None
    all: tuple["Clause", ...] | None = None

    def matches(self, name: str) -> bool:
        """``name`` must be lower case."""
        if self.equals is not None:
            return name == self.equals
        if self.any is not None:
            return any(clause.matches(name) for clause in self.any)
        if self.starts_with is not None:
            return name.startswith(self.starts_with)
        if self.contains is not None:
            return self.contains in name
        return self._rarely(name)

    def _rarely(self, name: str) -> bool:
        if self.regex is not None:
            return re.search(self.regex, name) is not None
        if self.ends_with is not None:
            return name.endswith(self.ends_with)
        return self.all is not None and all(clause.matches(name) for clause in self.all)


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One model of a vendor."""

    id: str
    match: Clause
    title: str | None = None
    context_window: int | None = None
    deprecated: bool = False
    price: PriceCard | None = None


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    models: tuple[Entry, ...]
    fallback: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    providers: dict[str, msgspec.Raw]


class Listing:
    """A vendor's models. ``elsewhere`` are other vendors' models that it serves too, priced but not listed."""

    def __init__(self, entries: tuple[Entry, ...], *, elsewhere: tuple[Entry, ...] = ()) -> None:
        self.entries = entries
        self._by_id = {entry.id: entry for entry in entries}
        self._all = entries + elsewhere

    def find(self, name: str) -> Entry | None:
        """The model that goes by ``name``: its id, or the first whose clause fits. Linear: callers keep the answer."""
        if (entry := self._by_id.get(name)) is not None:
            return entry
        name = name.lower()
        spellings = (name, _COMPACT_DATE.sub(r"-\1-\2-\3", name))
        for spelling in dict.fromkeys(spellings):
            for entry in self._all:
                if entry.match.matches(spelling):
                    return entry
        return None


class PriceBook:
    """The whole snapshot. ``read`` gives the file's bytes and is called once, when the first vendor is looked up."""

    def __init__(self, *, read: Callable[[], bytes]) -> None:
        self._read = read
        self._file: _File | None = None
        self._listings: dict[str, Listing] = {}

    @property
    def source(self) -> str:
        """``"genai-prices 0.2.3"``."""
        return self._open().source

    def vendors(self) -> tuple[str, ...]:
        """The ids that :meth:`listing` knows."""
        return tuple(self._open().providers)

    def listing(self, price_source: str | None) -> Listing:
        """The models of one vendor; empty for ``None`` and for a vendor that the snapshot lacks."""
        if price_source is None:
            return Listing(())
        if price_source not in self._listings:
            part = self._part(price_source)
            elsewhere = tuple(entry for other in part.fallback for entry in self._part(other).models)
            self._listings[price_source] = Listing(part.models, elsewhere=elsewhere)
        return self._listings[price_source]

    def _open(self) -> _File:
        if self._file is None:
            self._file = msgspec.json.decode(self._read(), type=_File)
        return self._file

    def _part(self, price_source: str) -> _Part:
        raw = self._open().providers.get(price_source)
        if raw is None:
            return _Part(models=())
        part = msgspec.json.decode(raw, type=_Part)
        source = self._open().source
        return _Part(models=tuple(_signed(entry, source) for entry in part.models), fallback=part.fallback)


def _signed(entry: Entry, source: str) -> Entry:
    """The entry with its card's source filled in: the file says it once, not two thousand times."""
    if entry.price is None:
        return entry
    return msgspec.structs.replace(entry, price=msgspec.structs.replace(entry.price, source=source))
