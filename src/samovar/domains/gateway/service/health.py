"""How a provider does, as this process knows it: its keys, and its models with their breakers and vitals."""

from typing import Final

import msgspec

from samovar.domains.catalog.model import ProviderInfo
from samovar.domains.catalog.service import CatalogService
from samovar.domains.gateway.model import BreakerState
from samovar.domains.gateway.model.key_pool import KeyHealth
from samovar.domains.gateway.model.routing import UNSEEN, Vitals
from samovar.domains.gateway.service.attempts import Attempts
from samovar.domains.gateway.service.routes import Routes
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock

MAX_MODELS: Final = 100


class ModelHealth(msgspec.Struct, frozen=True):
    """A model that was called. ``rests_for_s`` is how long its breaker lets nothing out."""

    model: str
    breaker: BreakerState
    rests_for_s: float
    vitals: Vitals


class ProviderHealth(msgspec.Struct, frozen=True):
    """``keys`` are empty for a provider with fewer than two; of ``models`` the :data:`MAX_MODELS` that do worst, of
    ``models_seen``."""

    provider: ProviderInfo
    keys: tuple[KeyHealth, ...]
    models: tuple[ModelHealth, ...]
    models_seen: int


class Healths:
    """Part of :class:`~samovar.domains.gateway.service.GatewayService`."""

    def __init__(self, *, catalog: CatalogService, attempts: Attempts, routes: Routes, clock: Clock) -> None:
        self._catalog = catalog
        self._attempts = attempts
        self._routes = routes
        self._clock = clock

    async def of(self, principal: Principal, provider_id: str) -> ProviderHealth:
        """Raises ``Forbidden``, ``ProviderNotFound``, ``Unavailable``."""
        provider = await self._catalog.providers.get(principal, provider_id)
        now = self._clock.monotonic()
        vitals = self._routes.vitals_of(provider_id)
        breakers = {model: one for (owner, model), one in self._attempts.breakers.items() if owner == provider_id}
        models = []
        for model in vitals.keys() | breakers.keys():
            breaker = breakers.get(model)
            state = BreakerState.CLOSED if breaker is None else breaker.state
            rest_s = 0.0 if breaker is None or state is BreakerState.CLOSED else breaker.rests_for_s(now)
            models.append(ModelHealth(model, state, rest_s, vitals.get(model, UNSEEN)))
        models.sort(key=lambda one: (one.breaker is BreakerState.CLOSED, -one.vitals.failure, one.model))
        return ProviderHealth(
            provider=provider,
            keys=self._attempts.keys.health(provider_id, provider.key_hints),
            models=tuple(models[:MAX_MODELS]),
            models_seen=len(models),
        )
