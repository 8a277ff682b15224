"""Metrics of routing, read at each scrape: what was chosen by what, and how targets do."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from samovar.domains.gateway.model.routing import TargetKey, Vitals

Choices = Mapping[tuple[str, str], int]


class RouteMetrics:
    """``samovar_routes_total`` by strategy and how (best, explored, drawn, kept), and gauges by model. ``name_of`` gives a
    model's label: those beyond the bound share one."""

    def __init__(self, registry: CollectorRegistry, *, name_of: Callable[[str], str]) -> None:
        def gauge(name: str, words: str) -> Gauge:
            return Gauge(name, words, ("model",), multiprocess_mode="livemax", registry=registry)

        self._name_of = name_of
        self._routes = Counter(
            "samovar_routes_total", "Calls whose targets were weighed.", ("strategy", "how"), registry=registry
        )
        self._first = gauge("samovar_target_first_content_seconds", "Time to a stream's first content, lately.")
        self._rate = gauge("samovar_target_tokens_per_second", "Tokens of a stream after its first content, lately.")
        self._failure = gauge("samovar_target_failure_ratio", "Share of calls that failed, lately.")
        self._cooling = gauge("samovar_target_cooling_seconds", "How long the provider asked to be left alone.")
        self._before: Choices = {}

    def refresh(self, choices: Choices, targets: Mapping[TargetKey, Vitals]) -> None:
        """Take the figures as they are now. Of several providers behind one label the worst counts."""
        for words, count in choices.items():
            self._routes.labels(*words).inc(count - self._before.get(words, 0))
        self._before = dict(choices)
        worst: dict[str, list[float]] = {}
        for (_, model), seen in targets.items():
            kept = worst.setdefault(self._name_of(model), [0.0, 0.0, 0.0, 0.0])
            rate = seen.tokens_per_s or 0.0
            kept[0] = max(kept[0], seen.first_s or 0.0)
            kept[1] = min(kept[1], rate) if kept[1] and rate else kept[1] or rate
            kept[2] = max(kept[2], seen.failure)
            kept[3] = max(kept[3], seen.cooling_s)
        for name, (first, rate, failure, cooling) in worst.items():
            if first:
                self._first.labels(name).set(first)
            if rate:
                self._rate.labels(name).set(rate)
            self._failure.labels(name).set(failure)
            self._cooling.labels(name).set(cooling)
