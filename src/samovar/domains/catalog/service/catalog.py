"""The catalogue's face: what the gateway asks on every call, and the upkeep behind it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from samovar.domains.catalog import store
from samovar.domains.catalog.model import (
    FamilyTable,
    Model,
    PriceBook,
    PriceCard,
    Provider,
    Resolved,
    Sheet,
    Target,
)
from samovar.domains.catalog.service.entries import Entries
from samovar.domains.catalog.service.live import LiveCatalogs
from samovar.domains.catalog.service.providers import Providers
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx
from samovar.ports.dialect import Vendor
from samovar.ports.events import Bus
from samovar.ports.outages import Outage
from samovar.ports.secrets import SecretBox
from samovar.ports.transport import Transport

CATALOG_CHANGED: Final = "catalog.changed"
"""Bus topic. The message is the id of the team whose catalogue changed."""

POLL_S: Final = 10.0
"""How old a catalogue may be where no bus message came through."""


class CatalogService:
    """Which models there are. ``providers`` and ``entries`` hold the use cases that change it."""

    def __init__(
        self,
        *,
        database: Database,
        box: SecretBox,
        bus: Bus,
        ids: Ids,
        clock: Clock,
        transport: Transport,
        vendors: Mapping[str, Vendor],
        configured: Sequence[Provider],
        book: PriceBook,
        families: FamilyTable,
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._live = LiveCatalogs(
            database=database, box=box, vendors=vendors, configured=configured, book=book, families=families
        )
        self.providers = Providers(
            database=database,
            live=self._live,
            changing=self._changing,
            ids=ids,
            clock=clock,
            transport=transport,
            vendors=vendors,
        )
        self.entries = Entries(database=database, live=self._live, changing=self._changing, clock=clock)
        self.prices_version = book.source
        self._log = structlog.get_logger("samovar.catalog")

    # -- asked on every call: from memory, without waiting

    def resolve(self, name: str, principal: Principal) -> tuple[Target, ...]:
        """The targets behind a model's name, best first, never empty.

        Raises ``ModelNotFound``, ``AmbiguousModel``, ``ModelNotAllowed``. Whether the principal may call at all is the
        gateway's question.
        """
        return self._live.of(principal.team_id).resolve(name, principal.allowed_models)

    def route(self, name: str, principal: Principal) -> Resolved:
        """As :meth:`resolve`, with the strategy by which the best of the targets is found."""
        return self._live.of(principal.team_id).route(name, principal.allowed_models)

    def visible(self, principal: Principal) -> Sequence[Model]:
        """The listed models that the principal may use, by id. Raises ``Forbidden``."""
        require(principal, Permission.MODELS_READ)
        return self._live.of(principal.team_id).visible(principal.allowed_models)

    def named(self, principal: Principal) -> Sequence[Model]:
        """The aliases and groups that the principal may use, each as the first model it stands for. Raises ``Forbidden``."""
        require(principal, Permission.MODELS_READ)
        return self._live.of(principal.team_id).named(principal.allowed_models)

    def prices_now(self, card: PriceCard) -> Mapping[str, Sheet]:
        """What is in force at this moment: ``standard``, and each service tier under the vendor's word."""
        at = self._clock.now()
        tiers = {name: card.sheet(at=at, service_tier=name) for name in sorted(card.service_tiers)}
        return {"standard": card.sheet(at=at), **tiers}

    # -- upkeep

    async def load(self) -> None:
        """Read everything; called once before the first question."""
        await self._live.refresh()

    async def on_changed(self, message: bytes) -> None:
        """Somebody changed a catalogue (:data:`CATALOG_CHANGED`)."""
        await self._live.refresh()

    async def on_gap(self) -> None:
        """Messages may have been missed."""
        await self._live.refresh()

    async def watch(self, *, every_s: float = POLL_S) -> None:
        """Look for changes for ever: one small query each ``every_s``. A failure is logged and tried again."""
        outage = Outage("catalog_refresh_failed", logger="samovar.catalog")
        while True:
            await asyncio.sleep(every_s)
            try:
                await self._live.refresh()
                outage.over()
            except Exception as error:  # noqa: BLE001 a loop: it must outlive whatever the database does
                outage.tell(error)

    @asynccontextmanager
    async def _changing(self, team_id: str) -> AsyncIterator[Tx]:
        """One transaction that changes a team's catalogue: its writers take turns, and everybody hears of it."""
        async with self._database.transaction() as tx:
            await store.bump(tx, team_id)
            yield tx
        try:
            await self._live.refresh()
        except Unavailable as error:
            # The change is committed: whoever made it must not be told that it failed. `watch` finds it in ten seconds.
            self._log.warning("catalog_change_not_seen_yet", error=str(error))
        try:
            await self._bus.publish(CATALOG_CHANGED, team_id.encode())
        except Unavailable as error:
            # The change is committed; the others find it when they next look.
            self._log.warning("catalog_change_not_announced", error=str(error))
