"""How a name becomes targets. A :class:`TeamCatalog` is one team's view at one moment: built, then only read.

Order: ``auto:<strategy>`` and ``<group>:<strategy>``; a full id of a configured provider; an alias or a group; a bare name
that exactly one provider has. What a caller may use is cut out of that by the patterns of its key.
"""

import difflib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from samovar.domains.catalog.errors import AmbiguousModel, ModelNotAllowed, ModelNotFound
from samovar.domains.catalog.model.families import FamilyTable
from samovar.domains.catalog.model.prices import PriceCard, flat
from samovar.domains.catalog.model.snapshot import Entry, Listing
from samovar.domains.catalog.model.things import (
    MAX_NAME_CHARS,
    Alias,
    Group,
    Model,
    Override,
    Provider,
    Resolved,
    Strategy,
    Target,
    is_for_chat,
    is_model_name,
)
from samovar.domains.identity.model import model_allowed

# Callers choose names, so what is kept of them is bounded: at the bound it is all forgotten, which costs microseconds.
_MAX_KEPT: Final = 4096
_MAX_SUGGESTED: Final = 3
_MAX_COMPARED: Final = 16
_MAX_COMPARED_CHARS: Final = 64

_BATCH: Final = ":batch"
"""OpenRouter's price of a model whose answers come within a day, listed as a model (openrouter.ai/docs, Batch API)."""
AUTO: Final = "auto"
"""``auto:<strategy>``: the best of all chat models that the caller may use."""
_AUTO_STRATEGIES: Final = frozenset({Strategy.COST, Strategy.LATENCY, Strategy.QUALITY, Strategy.BALANCED})
_STRATEGIES: Final = {strategy.value: strategy for strategy in Strategy}

Allowed = tuple[str, ...] | None


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """A provider and what its vendor's price list says."""

    provider: Provider
    listing: Listing


class TeamCatalog:
    """What one team has. Answers are kept, so asking twice costs one dictionary look-up."""

    def __init__(
        self,
        *,
        shelves: Sequence[Shelf],
        families: FamilyTable,
        aliases: Sequence[Alias] = (),
        groups: Sequence[Group] = (),
        overrides: Sequence[Override] = (),
    ) -> None:
        self._shelves = {shelf.provider.name: shelf for shelf in shelves if shelf.provider.enabled}
        self._families = families
        self._aliases = {alias.name: alias for alias in aliases}
        self._groups = {group.name: group for group in groups}
        self._overrides = {override.model_id: override for override in overrides}
        self.models: Mapping[str, Model] = {model.id: model for model in self._listed()}
        self._bare = _by_bare_name(self.models.values())
        self._alphabet = sorted((model.name.rpartition("/")[2].lower(), model.id) for model in self.models.values())
        self._kept: dict[tuple[str, Allowed], Resolved] = {}
        self._visible: dict[Allowed, tuple[Model, ...]] = {}
        # Half a millisecond each, and a client with a typing error asks again and again.
        self._suggested: dict[tuple[str, Allowed], tuple[str, ...]] = {}

    def resolve(self, name: str, allowed: Allowed = None) -> tuple[Target, ...]:
        """The targets behind ``name``, in the order given, never empty. Raises as :meth:`route`."""
        return self.route(name, allowed).targets

    def route(self, name: str, allowed: Allowed = None) -> Resolved:
        """What ``name`` stands for, and by which strategy the best of it is found.

        Raises :class:`ModelNotFound`, :class:`AmbiguousModel`, :class:`ModelNotAllowed`.
        """
        kept = self._kept.get((name, allowed))
        if kept is not None:
            return kept
        resolved = self._resolved(name, allowed)
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[name, allowed] = resolved
        return resolved

    def visible(self, allowed: Allowed = None) -> tuple[Model, ...]:
        """The listed models that a caller may use, by id."""
        if allowed not in self._visible:
            if len(self._visible) >= _MAX_KEPT:
                self._visible.clear()
            chosen = (model for model in self.models.values() if allowed is None or allows(allowed, model.id))
            self._visible[allowed] = tuple(sorted(chosen, key=lambda model: model.id))
        return self._visible[allowed]

    def named(self, allowed: Allowed = None) -> tuple[Model, ...]:
        """Aliases and groups that a caller may use, each told as the first model it stands for, under its own name."""
        found: list[Model] = []
        for name in sorted({*self._aliases, *self._groups}):
            try:
                first = self.resolve(name, allowed)[0].model
            except (ModelNotFound, ModelNotAllowed):
                # Whatever it stood for is gone, or is not for this caller.
                continue
            found.append(msgspec.structs.replace(first, id=name))
        return tuple(found)

    def model(self, model_id: str) -> Model | None:
        """The model of a full id, listed or not; ``None`` where no provider serves it."""
        target = self._by_id(model_id)
        return None if target is None else target.model

    # -- names

    def _resolved(self, name: str, allowed: Allowed) -> Resolved:
        base, colon, word = name.rpartition(":")
        strategy = _STRATEGIES.get(word) if colon else None
        if colon and base == AUTO:
            return self._auto(name, strategy, allowed)
        if strategy is not None and (group := self._groups.get(base)) is not None:
            return Resolved(self._of(base, allowed), strategy, group.weights)
        targets = self._of(name, allowed)
        if (group := self._groups.get(name)) is not None:
            return Resolved(targets, group.strategy, group.weights)
        return Resolved(targets)

    def _auto(self, name: str, strategy: Strategy | None, allowed: Allowed) -> Resolved:
        if strategy not in _AUTO_STRATEGIES:
            words = ", ".join(sorted(f"{AUTO}:{one}" for one in _AUTO_STRATEGIES))
            raise ModelNotFound(name[:MAX_NAME_CHARS], why=f"of these there are {words}")
        chosen = tuple(
            Target(self._shelves[model.provider].provider, model)
            for model in self.visible(allowed)
            if not model.deprecated and is_for_chat(model) and not model.name.endswith(_BATCH)
        )
        if not chosen and allowed is not None:
            raise ModelNotAllowed(name, allowed=allowed)
        if not chosen:
            raise ModelNotFound(name, why="no configured provider lists a model for chat")
        return Resolved(chosen, strategy, {}, is_open=True)

    def _of(self, name: str, allowed: Allowed) -> tuple[Target, ...]:
        return self._targets(name) if allowed is None else self._allowed_targets(name, allowed)

    def _allowed_targets(self, name: str, allowed: tuple[str, ...]) -> tuple[Target, ...]:
        # A full id is refused before it is looked up. Of other names the patterns can be asked only once it is known what
        # they stand for; a pattern may also name the alias or group itself, and then allows whatever that stands for.
        by_name = allows(allowed, name)
        if not by_name and name.partition("/")[0] in self._shelves:
            raise ModelNotAllowed(name[:MAX_NAME_CHARS], allowed=allowed)
        targets = self._targets(name, allowed)
        if by_name and (name in self._aliases or name in self._groups):
            return targets
        chosen = tuple(target for target in targets if allows(allowed, target.id))
        if not chosen:
            raise ModelNotAllowed(name, allowed=allowed)
        return chosen

    def _targets(self, name: str, allowed: Allowed = None) -> tuple[Target, ...]:
        if not is_model_name(name):
            raise ModelNotFound(name[:100], why="a model's name is printable ASCII of at most 256 characters")
        if (target := self._by_id(name)) is not None:
            return (target,)
        if (alias := self._aliases.get(name)) is not None:
            return self._members(name, (alias.model_id,))
        if (group := self._groups.get(name)) is not None:
            return self._members(name, group.model_ids)
        return (self._by_bare_name(name, allowed),)

    def _members(self, name: str, model_ids: Sequence[str]) -> tuple[Target, ...]:
        targets = tuple(target for model_id in model_ids if (target := self._by_id(model_id)) is not None)
        if not targets:
            raise ModelNotFound(name, why=f"it stands for {', '.join(model_ids)}, which no configured provider serves")
        return targets

    def _by_id(self, model_id: str) -> Target | None:
        provider_name, slash, name = model_id.partition("/")
        shelf = self._shelves.get(provider_name)
        if shelf is None or not slash or not name:
            return None
        if (model := self.models.get(model_id)) is not None:
            return Target(shelf.provider, model)
        if shelf.provider.models is not None:
            return None
        return Target(shelf.provider, self._model(shelf, name, shelf.listing.find(name)))

    def _by_bare_name(self, name: str, allowed: Allowed) -> Target:
        found = self._bare.get(name) or tuple(
            f"{provider_name}/{name}"
            for provider_name, shelf in self._shelves.items()
            if shelf.provider.models is None and shelf.listing.find(name) is not None
        )
        usable = found if allowed is None else tuple(model_id for model_id in found if allows(allowed, model_id))
        if len(usable) > 1:
            raise AmbiguousModel(name, candidates=usable)
        target = self._by_id(usable[0]) if usable else None
        if target is None:
            if found and allowed is not None:
                raise ModelNotAllowed(name, allowed=allowed)
            raise ModelNotFound(name, closest=self._closest(name, allowed))
        return target

    def _closest(self, name: str, allowed: Allowed) -> tuple[str, ...]:
        kept = self._suggested.get((name, allowed))
        if kept is None:
            if len(self._suggested) >= _MAX_KEPT:
                self._suggested.clear()
            kept = self._suggested[name, allowed] = self._compared(name, allowed)
        return kept

    def _compared(self, name: str, allowed: Allowed) -> tuple[str, ...]:
        # Comparing with every one of a thousand ids would hold the loop for tens of milliseconds, and a caller may do that
        # as often as it likes: only its neighbours in the alphabet are compared.
        wanted = name.rpartition("/")[2].lower()[:_MAX_COMPARED_CHARS]
        place = bisect_left(self._alphabet, (wanted,))
        near = self._alphabet[max(0, place - _MAX_COMPARED) : place + _MAX_COMPARED]
        alike = {last: model_id for last, model_id in near if allowed is None or allows(allowed, model_id)}
        return tuple(alike[last] for last in difflib.get_close_matches(wanted, alike, n=_MAX_SUGGESTED, cutoff=0.5))

    # -- models

    def _listed(self) -> Iterator[Model]:
        for provider_name, shelf in self._shelves.items():
            if shelf.provider.models is not None:
                for name in shelf.provider.models:
                    yield self._model(shelf, name, shelf.listing.find(name))
                continue
            names = set()
            for entry in shelf.listing.entries:
                names.add(entry.id)
                yield self._model(shelf, entry.id, entry)
            for override in self._overrides.values():
                owner, _, name = override.model_id.partition("/")
                if owner == provider_name and name not in names:
                    yield self._model(shelf, name, shelf.listing.find(name))

    def _model(self, shelf: Shelf, name: str, entry: Entry | None) -> Model:
        provider = shelf.provider
        family = self._families.find(provider.vendor, name)
        price: PriceCard | None = None
        if entry is not None:
            price = entry.price
        elif family.rates is not None:
            price = flat(family.rates, source=f"invented for {provider.vendor}")
        model = Model(
            id=f"{provider.name}/{name}",
            provider=provider.name,
            name=name,
            title=None if entry is None else entry.title,
            context_window=(None if entry is None else entry.context_window) or family.context_window,
            max_output_tokens=family.max_output_tokens,
            abilities=family.abilities,
            price=price,
            deprecated=entry is not None and entry.deprecated,
            quality=self._families.quality(provider.vendor, name),
        )
        override = self._overrides.get(model.id)
        return model if override is None else override.over(model)


def is_reserved(name: str) -> bool:
    """Whether routing itself gives ``name`` a meaning: ``auto``, ``auto:...`` and ``...:<strategy>``. An alias or a group of
    that name would take calls that ask for something else."""
    base, colon, word = name.rpartition(":")
    return name.partition(":")[0] == AUTO or (bool(base and colon) and word in _STRATEGIES)


def allows(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of a key's patterns fits ``name``: a full id, an alias or a group. The rule is identity's; a pattern
    without a slash also fits a model of that name at any provider, because that is how bare names are asked for."""
    if model_allowed(patterns, name):
        return True
    bare = name.partition("/")[2]
    return bool(bare) and model_allowed(tuple(pattern for pattern in patterns if "/" not in pattern), bare)


def _by_bare_name(models: Iterable[Model]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for model in models:
        found[model.name] = (*found.get(model.name, ()), model.id)
    return found
