"""Metrics of limits and load, read at each scrape."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from samovar.domains.billing.service.quotas import Away, Figures


class QuotaMetrics:
    """Reads :class:`~samovar.domains.billing.service.quotas.Figures`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, words: str, labels: tuple[str, ...] = (), mode: str = "livesum") -> Gauge:
            return Gauge(name, words, labels, multiprocess_mode=mode, registry=registry)  # type: ignore[arg-type]

        self._mode = gauge(
            "samovar_quota_mode",
            "Processes that keep limits of a kind so: exact (alone), leased (with Redis), or share, local, open, closed"
            " while Redis is away.",
            ("kind", "mode"),
        )
        self._lag = gauge("samovar_loop_lag_seconds", "How late the event loop was lately.", mode="livemax")
        self._in_flight = gauge("samovar_calls_in_flight", "Gateway calls under way.")
        self._blocked = gauge("samovar_addresses_blocked", "Addresses that are shut out.", mode="livemax")
        self._processes = gauge("samovar_quota_processes", "Processes that share limits.", mode="livemax")
        self._refused = Counter("samovar_calls_limited_total", "Refused by a limit of the caller.", registry=registry)
        self._shed = Counter("samovar_calls_shed_total", "Calls refused because of load.", registry=registry)
        self._seen = (0, 0)

    def refresh(self, figures: Figures) -> None:
        """Take the figures as they are now."""
        for kind, mode in figures.modes.items():
            for word in ("exact", "leased", *(away.value for away in Away)):
                self._mode.labels(kind, word).set(word == mode)
        self._lag.set(figures.lag_s)
        self._in_flight.set(figures.in_flight)
        self._blocked.set(figures.blocked)
        self._processes.set(figures.processes)
        refused, shed = self._seen
        self._refused.inc(figures.refused - refused)
        self._shed.inc(figures.shed - shed)
        self._seen = (figures.refused, figures.shed)
