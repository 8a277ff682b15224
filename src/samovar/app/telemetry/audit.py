"""Metrics of the audit chain, read at each scrape."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from samovar.domains.audit.service import AuditFigures


class AuditMetrics:
    """Reads :class:`~samovar.domains.audit.service.AuditFigures`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, words: str, mode: str = "livesum") -> Gauge:
            return Gauge(name, words, multiprocess_mode=mode, registry=registry)  # type: ignore[arg-type]

        self._records = Counter(
            "samovar_audit_records_total", "Records written to the audit chain.", ("result",), registry=registry
        )
        self._unwritten = Counter(
            "samovar_audit_unwritten_total", "Audit records that are lost: each is an alarm.", registry=registry
        )
        self._late = Counter(
            "samovar_audit_late_total",
            "Audit records that were not written while their request waited; they are tried again.",
            registry=registry,
        )
        self._waiting = gauge("samovar_audit_waiting", "Audit records that are not written yet.")
        self._uncopied = gauge(
            "samovar_audit_checkpoints_uncopied", "Signed checkpoints that are not copied yet.", mode="livemax"
        )
        self._sequence = gauge("samovar_audit_sequence", "The last audit record written.", mode="livemax")
        self._before: Mapping[str, int] = {}
        self._lost_before = self._late_before = 0

    def refresh(self, figures: AuditFigures) -> None:
        """Take the figures as they are now."""
        for result, count in figures.written.items():
            self._records.labels(result).inc(count - self._before.get(result, 0))
        self._before = dict(figures.written)
        self._unwritten.inc(figures.unwritten - self._lost_before)
        self._lost_before = figures.unwritten
        self._late.inc(figures.late - self._late_before)
        self._late_before = figures.late
        self._waiting.set(figures.waiting)
        self._uncopied.set(figures.uncopied)
        self._sequence.set(figures.sequence)
