"""An admin's use cases about names and figures: aliases, groups and overrides."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from samovar.domains.catalog import store
from samovar.domains.catalog.errors import (
    AliasNotFound,
    BadCatalogEntry,
    CatalogFull,
    GroupNotFound,
    NameTaken,
    OverrideNotFound,
)
from samovar.domains.catalog.model import (
    ALIAS_NAME,
    MAX_GROUP_MODELS,
    MAX_WEIGHT,
    OVERRIDE_SOURCE,
    Ability,
    Alias,
    Group,
    Override,
    PriceCard,
    Sheet,
    Strategy,
    is_model_id,
    is_reserved,
)
from samovar.domains.catalog.service.live import LiveCatalogs
from samovar.domains.catalog.service.providers import Changing
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Flaw, StaleRevision
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.database import Database

_Named = TypeVar("_Named", Alias, Group)


class Entries:
    """Part of :class:`~samovar.domains.catalog.service.CatalogService`. Every ``put`` makes or replaces; ``expected`` is the
    revision that the caller saw, ``None`` for whatever there is."""

    def __init__(self, *, database: Database, live: LiveCatalogs, changing: Changing, clock: Clock) -> None:
        self._database = database
        self._live = live
        self._changing = changing
        self._clock = clock

    # -- aliases

    async def aliases(self, principal: Principal) -> Sequence[Alias]:
        """All of the team's, by name."""
        require(principal, Permission.CATALOG_READ)
        async with self._database.reading() as tx:
            return await store.aliases(tx, principal.team_id)

    async def put_alias(self, principal: Principal, name: str, *, model_id: str, expected: int | None = None) -> Alias:
        """Raises :class:`BadCatalogEntry`, :class:`NameTaken`, :class:`CatalogFull`, :class:`StaleRevision`."""
        require(principal, Permission.CATALOG_WRITE)
        _check_name(name)
        await self._check_targets(principal.team_id, (model_id,), where="model_id")
        async with self._changing(principal.team_id) as tx:
            if _named(await store.groups(tx, principal.team_id), name) is not None:
                raise NameTaken(f"There is a group {name!r} already.")
            aliases = await store.aliases(tx, principal.team_id)
            old = _named(aliases, name)
            if old is None and len(aliases) >= store.MAX_ALIASES:
                raise CatalogFull(f"A team has at most {store.MAX_ALIASES} aliases.")
            revision = _next_revision(old, expected)
            made = Alias(team_id=principal.team_id, name=name, model_id=model_id, revision=revision)
            await store.put_alias(tx, made, at=self._clock.now())
        return made

    async def delete_alias(self, principal: Principal, name: str) -> None:
        """Raises :class:`AliasNotFound`."""
        require(principal, Permission.CATALOG_WRITE)
        async with self._changing(principal.team_id) as tx:
            if _named(await store.aliases(tx, principal.team_id), name) is None:
                raise AliasNotFound(f"There is no alias {name!r}.")
            await store.drop_name(tx, store.model_aliases, principal.team_id, name)

    # -- groups

    async def groups(self, principal: Principal) -> Sequence[Group]:
        """All of the team's, by name."""
        require(principal, Permission.CATALOG_READ)
        async with self._database.reading() as tx:
            return await store.groups(tx, principal.team_id)

    async def put_group(
        self,
        principal: Principal,
        name: str,
        *,
        model_ids: tuple[str, ...],
        strategy: Strategy = Strategy.ORDER,
        weights: Mapping[str, int] | None = None,
        expected: int | None = None,
    ) -> Group:
        """Raises :class:`BadCatalogEntry`, :class:`NameTaken`, :class:`CatalogFull`, :class:`StaleRevision`."""
        require(principal, Permission.CATALOG_WRITE)
        _check_name(name)
        if not 1 <= len(model_ids) <= MAX_GROUP_MODELS or len(set(model_ids)) != len(model_ids):
            raise _bad(Flaw("model_ids", f"must be 1 to {MAX_GROUP_MODELS} models, each once"))
        _check_weights(weights or {}, model_ids)
        await self._check_targets(principal.team_id, model_ids, where="model_ids")
        async with self._changing(principal.team_id) as tx:
            if _named(await store.aliases(tx, principal.team_id), name) is not None:
                raise NameTaken(f"There is an alias {name!r} already.")
            groups = await store.groups(tx, principal.team_id)
            old = _named(groups, name)
            if old is None and len(groups) >= store.MAX_GROUPS:
                raise CatalogFull(f"A team has at most {store.MAX_GROUPS} groups.")
            revision = _next_revision(old, expected)
            made = Group(
                team_id=principal.team_id,
                name=name,
                model_ids=model_ids,
                strategy=strategy,
                weights=weights or {},
                revision=revision,
            )
            await store.put_group(tx, made, at=self._clock.now())
        return made

    async def delete_group(self, principal: Principal, name: str) -> None:
        """Raises :class:`GroupNotFound`."""
        require(principal, Permission.CATALOG_WRITE)
        async with self._changing(principal.team_id) as tx:
            if _named(await store.groups(tx, principal.team_id), name) is None:
                raise GroupNotFound(f"There is no group {name!r}.")
            await store.drop_name(tx, store.model_groups, principal.team_id, name)

    # -- overrides

    async def put_override(
        self,
        principal: Principal,
        model_id: str,
        *,
        context_window: int | None = None,
        max_output_tokens: int | None = None,
        abilities: frozenset[Ability] | None = None,
        price: Sheet | None = None,
        quality: int | None = None,
        expected: int | None = None,
    ) -> Override:
        """Say what a model can and costs; what is ``None`` stays the snapshot's word.

        Raises :class:`BadCatalogEntry`, :class:`CatalogFull`, :class:`StaleRevision`.
        """
        require(principal, Permission.CATALOG_WRITE)
        if price is not None and not price.rates.known:
            raise _bad(Flaw("price.rates", "must hold at least one price; leave price out for the snapshot's"))
        await self._check_targets(principal.team_id, (model_id,), where="model_id")
        async with self._changing(principal.team_id) as tx:
            old = await store.override(tx, principal.team_id, model_id)
            if old is None and await store.count_overrides(tx, principal.team_id) >= store.MAX_OVERRIDES:
                raise CatalogFull(f"A team has at most {store.MAX_OVERRIDES} overrides.")
            made = Override(
                team_id=principal.team_id,
                model_id=model_id,
                context_window=context_window,
                max_output_tokens=max_output_tokens,
                abilities=abilities,
                price=None if price is None else PriceCard(sheets=(price,), source=OVERRIDE_SOURCE),
                quality=quality,
                revision=_next_revision(old, expected),
            )
            await store.put_override(tx, made, at=self._clock.now())
        return made

    async def override(self, principal: Principal, model_id: str) -> Override:
        """What is overridden of a model. Raises :class:`OverrideNotFound`."""
        require(principal, Permission.CATALOG_READ)
        async with self._database.reading() as tx:
            found = await store.override(tx, principal.team_id, model_id)
        if found is None:
            raise OverrideNotFound(f"Nothing of {model_id!r} is overridden.")
        return found

    async def delete_override(self, principal: Principal, model_id: str) -> None:
        """Back to the snapshot's word. Raises :class:`OverrideNotFound`."""
        require(principal, Permission.CATALOG_WRITE)
        async with self._changing(principal.team_id) as tx:
            if await store.override(tx, principal.team_id, model_id) is None:
                raise OverrideNotFound(f"Nothing of {model_id!r} is overridden.")
            await store.drop_override(tx, principal.team_id, model_id)

    async def _check_targets(self, team_id: str, model_ids: Sequence[str], *, where: str) -> None:
        # Full ids only: that is what makes a loop impossible, and a typing error visible now and not at the first call.
        await self._live.refresh()
        catalog = self._live.of(team_id)
        for model_id in model_ids:
            if not is_model_id(model_id):
                raise _bad(Flaw(where, f"{model_id[:100]!r} is not of the form provider/model"))
            if catalog.model(model_id) is None:
                raise _bad(Flaw(where, f"no enabled provider serves {model_id!r}"))


def _named(entries: Sequence[_Named], name: str) -> _Named | None:
    return next((entry for entry in entries if entry.name == name), None)


def _next_revision(old: Alias | Group | Override | None, expected: int | None) -> int:
    current = 0 if old is None else old.revision
    if expected is not None and expected != current:
        raise StaleRevision(current=current)
    return current + 1


def _check_name(name: str) -> None:
    if ALIAS_NAME.fullmatch(name) is None:
        raise _bad(
            Flaw(
                "name",
                "must be letters, digits and '.', '_', ':', '@', '-', at most 128, and begin with a letter or digit",
            )
        )
    if is_reserved(name):
        words = ", ".join(f"':{strategy.value}'" for strategy in Strategy)
        raise _bad(
            Flaw("name", f"{name!r} is routing's own: a name must not be 'auto', begin with 'auto:' or end in {words}")
        )


def _check_weights(weights: Mapping[str, int], model_ids: Sequence[str]) -> None:
    for model_id, weight in weights.items():
        if model_id not in model_ids:
            raise _bad(Flaw("weights", f"{model_id[:100]!r} is not in model_ids"))
        if not 0 <= weight <= MAX_WEIGHT:
            raise _bad(Flaw("weights", f"{model_id!r} must weigh 0 to {MAX_WEIGHT}"))
    if model_ids and not any(weights.get(model_id, 1) for model_id in model_ids):
        raise _bad(Flaw("weights", "at least one member must weigh more than 0"))


def _bad(flaw: Flaw) -> BadCatalogEntry:
    return BadCatalogEntry(f"{flaw.where}: {flaw.what}", flaws=[flaw])
