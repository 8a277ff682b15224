"""Metrics of providers, read at each scrape: the breakers of their models, and keys that rest."""

from collections.abc import Container, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from samovar.domains.gateway.model import BreakerState

MAX_MODELS: Final = 300
MAX_PROVIDERS: Final = 100
OTHER: Final = "other"
_VALUES: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class ProviderMetrics:
    """``samovar_breaker_state`` by model and ``samovar_provider_keys_resting`` by provider. What is told no more (a breaker
    that was forgotten, a provider that was removed) goes to zero."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._breaker = _Worst(
            Gauge(
                "samovar_breaker_state",
                "0 closed, 1 half open, 2 open.",
                ("model",),
                multiprocess_mode="livemax",
                registry=registry,
            ),
            most=MAX_MODELS,
        )
        # Of processes, each of which learns for itself, the one that knows of the most.
        self._resting = _Worst(
            Gauge(
                "samovar_provider_keys_resting",
                "Keys of a provider that its vendor limits or refuses.",
                ("provider",),
                multiprocess_mode="livemax",
                registry=registry,
            ),
            most=MAX_PROVIDERS,
        )

    def refresh(
        self, *, breakers: Mapping[str, BreakerState], known: Container[str], resting: Mapping[str, int]
    ) -> None:
        """Take the figures as they are now. A model that is not ``known`` (it never answered, and callers have no end of
        words) shows only once it fails."""
        self._breaker.show(
            {
                model: _VALUES[state]
                for model, state in breakers.items()
                if state is not BreakerState.CLOSED or model in known
            }
        )
        self._resting.show(resting)


class _Worst:
    """A gauge with one label. Names beyond ``most`` share one series, which has the worst of them."""

    def __init__(self, gauge: Gauge, *, most: int) -> None:
        self._gauge = gauge
        self._most = most
        self._named: set[str] = set()

    def show(self, values: Mapping[str, int]) -> None:
        """``values``, and zero for what had one before."""
        shown = dict.fromkeys(self._named, 0)
        for name, value in values.items():
            label = name if name in shown or len(shown) < self._most else OTHER
            shown[label] = max(shown.get(label, 0), value)
        self._named.update(shown)
        for label, value in shown.items():
            self._gauge.labels(label).set(value)
