"""Every team's catalogue in memory, and how it is kept fresh."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog

from samovar.domains.catalog import store
from samovar.domains.catalog.model import (
    ApiKey,
    FamilyTable,
    PriceBook,
    Provider,
    Shelf,
    TeamCatalog,
)
from samovar.ports.database import Database
from samovar.ports.dialect import Vendor
from samovar.ports.secrets import SealBroken, SecretBox

_NO_VERSION: Final = -1
_log = structlog.get_logger("samovar.catalog")
_BETWEEN_KEYS: Final = "\n"  # no key has it: it could not stand in a header


class LiveCatalogs:
    """One :class:`TeamCatalog` for each team. Reading never waits; a rebuilt catalogue takes the old one's place whole."""

    def __init__(
        self,
        *,
        database: Database,
        box: SecretBox,
        vendors: Mapping[str, Vendor],
        configured: Sequence[Provider],
        book: PriceBook,
        families: FamilyTable,
    ) -> None:
        self._database = database
        self._box = box
        self._vendors = vendors
        self._configured = tuple(configured)
        self._book = book
        self._families = families
        self._nothing = TeamCatalog(shelves=(), families=families)
        self._catalogs: dict[str, TeamCatalog] = {}
        self._versions: dict[str, int] = {}
        self._reloading = asyncio.Lock()

    def of(self, team_id: str) -> TeamCatalog:
        """The team's catalogue; an empty one where it has none."""
        return self._catalogs.get(team_id, self._nothing)

    def configured(self, team_id: str) -> tuple[Provider, ...]:
        """The team's providers that come from the environment (or are the sandbox)."""
        return tuple(provider for provider in self._configured if provider.team_id == team_id)

    async def refresh(self) -> bool:
        """Rebuild what changed since the last time; whether anything had. A provider whose key does not open under this
        master key is left out until that is mended, and told in the log; all others serve."""
        async with self._reloading:
            async with self._database.reading() as tx:
                versions = dict(await store.versions(tx))
            for provider in self._configured:
                versions.setdefault(provider.team_id, 0)
            stale = [team for team, version in versions.items() if self._versions.get(team, _NO_VERSION) != version]
            for team_id in stale:
                self._catalogs[team_id] = await self._read(team_id)
                self._versions[team_id] = versions[team_id]
            return bool(stale)

    def open_key(self, stored: store.StoredProvider) -> Provider:
        """The provider with its key. Raises ``SealBroken``."""
        if stored.sealed_key is None:
            return stored.provider
        plain = self._box.open(stored.sealed_key, bound_to=bound_to(stored.provider.id))
        first, *spare = [ApiKey(key) for key in plain.decode().split(_BETWEEN_KEYS)]
        return msgspec.structs.replace(stored.provider, api_key=first, spare_keys=tuple(spare))

    def opened(self, stored: store.StoredProvider) -> Provider | None:
        """The provider with its key; ``None``, and a line in the log, where the key does not open."""
        try:
            return self.open_key(stored)
        except SealBroken as error:
            _log.error(
                "provider_key_does_not_open",
                team_id=stored.provider.team_id,
                provider=stored.provider.name,
                reason=error.detail,
                remedy="start with the master key it was sealed under, or send the provider's key again",
            )
            return None

    def seal_key(self, provider: Provider) -> store.StoredProvider:
        """The provider as it is stored."""
        if provider.api_key is None:
            return store.StoredProvider(provider=provider, sealed_key=None)
        plain = _BETWEEN_KEYS.join(key.reveal() for key in provider.api_keys)
        sealed = self._box.seal(plain.encode(), bound_to=bound_to(provider.id))
        without = msgspec.structs.replace(provider, api_key=None, spare_keys=())
        return store.StoredProvider(provider=without, sealed_key=sealed)

    async def _read(self, team_id: str) -> TeamCatalog:
        async with self._database.reading() as tx:
            stored = await store.team_providers(tx, team_id)
            aliases = await store.aliases(tx, team_id)
            groups = await store.groups(tx, team_id)
            overrides = await store.overrides(tx, team_id)
        # A provider that an admin added under a configured one's name replaces it: the API cannot edit the environment.
        providers = {provider.name: provider for provider in self.configured(team_id)}
        for one in stored:
            # Still there under its name: a configured one of that name must not quietly take its place.
            providers[one.provider.name] = self.opened(one) or msgspec.structs.replace(one.provider, enabled=False)

        def build() -> TeamCatalog:
            return TeamCatalog(
                shelves=[self._shelf(provider) for provider in providers.values()],
                families=self._families,
                aliases=aliases,
                groups=groups,
                overrides=overrides,
            )

        # A provider with a thousand models takes tens of milliseconds: not on the loop.
        return await asyncio.to_thread(build)

    def _shelf(self, provider: Provider) -> Shelf:
        vendor = self._vendors.get(provider.vendor)
        return Shelf(provider=provider, listing=self._book.listing(None if vendor is None else vendor.price_source))


def bound_to(provider_id: str) -> str:
    """What a sealed key is bound to: table, row and column."""
    return f"providers/{provider_id}/sealed_key"
