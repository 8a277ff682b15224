"""Metrics of jobs, read at each scrape."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from samovar.ports.jobs import JobFigures


class JobMetrics:
    """Reads :class:`~samovar.ports.jobs.JobFigures`. What waits and runs stands in the database, so every worker says the same
    of it; what ended is each process's own. Kinds are those of our table: they are few."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, words: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, words, labels, multiprocess_mode="livemax", registry=registry)

        self._waiting = gauge("samovar_jobs_waiting", "Jobs that are queued, those for later included.", ("kind",))
        self._running = gauge("samovar_jobs_running", "Jobs under way.", ("kind",))
        self._oldest = gauge("samovar_jobs_oldest_waiting_seconds", "How long the oldest job that is due has waited.")
        self._ended = Counter(
            "samovar_jobs_total",
            "Attempts that ended: done, retried, dead, cancelled, given_back (the worker stopped), lost (its lease was),"
            " expired (taken over from a worker that is gone).",
            ("kind", "outcome"),
            registry=registry,
        )
        self._before: Mapping[tuple[str, str], int] = {}

    def refresh(self, figures: JobFigures) -> None:
        """Take the figures as they are now."""
        for kind, count in figures.waiting.items():
            self._waiting.labels(kind).set(count)
        for kind, count in figures.running.items():
            self._running.labels(kind).set(count)
        self._oldest.set(figures.oldest_waiting_s)
        for labels, count in figures.ended.items():
            self._ended.labels(*labels).inc(count - self._before.get(labels, 0))
        self._before = dict(figures.ended)
