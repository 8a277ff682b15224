"""Metrics of files, read at each scrape."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from samovar.domains.files.model.rounds import Fault, Outcome
from samovar.domains.files.service.tally import Course, FileFigures, Operation, Result


class FileMetrics:
    """Reads :class:`~samovar.domains.files.service.tally.FileFigures`. What is on an element stands in the database, so every
    worker says the same of it; what was done is each process's own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._operations = Counter(
            "file_operations_total",
            "What was done with files: upload, download, amend, delete; success, refused, failed, broken (the caller left).",
            ("operation", "result"),
            registry=registry,
        )
        self._used = Gauge(
            "storage_space_used_bytes",
            "Of the files on a storage element.",
            ("element",),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._before: Mapping[tuple[Operation, Result], int] = {}
        self._scrubbed = Counter("storage_scrubbed_bytes_total", "Of contents that scrubbing read.", registry=registry)
        self._findings = Counter(
            "storage_scrub_findings_total",
            "What scrubbing found wrong, and what was done about it.",
            ("fault", "outcome"),
            registry=registry,
        )
        self._courses = Counter(
            "file_transactions_total",
            "Uploads as transactions: begun, done, rolled_back, in_doubt (left for an admin process), cancelled, resumed_forward,"
            " resumed_back.",
            ("course",),
            registry=registry,
        )
        self._unfinished = Gauge(
            "file_transactions_unfinished",
            "Uploads that are not over, as an admin process last counted them.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._courses_before: Mapping[Course, int] = {}
        self._scrubbed_before, self._findings_before = 0, dict[tuple[Fault, Outcome], int]()

    def refresh(self, figures: FileFigures) -> None:
        """Take the figures as they are now."""
        for (operation, result), count in figures.operations.items():
            self._operations.labels(operation.value, result.value).inc(count - self._before.get((operation, result), 0))
        self._before = dict(figures.operations)
        self._scrubbed.inc(figures.scrubbed_bytes - self._scrubbed_before)
        for found, count in figures.scrub_findings.items():
            self._findings.labels(found[0].value, found[1].value).inc(count - self._findings_before.get(found, 0))
        self._scrubbed_before, self._findings_before = figures.scrubbed_bytes, dict(figures.scrub_findings)
        for course, count in figures.courses.items():
            self._courses.labels(course.value).inc(count - self._courses_before.get(course, 0))
        self._courses_before = dict(figures.courses)
        if figures.unfinished is not None:
            self._unfinished.set(figures.unfinished)
        for element_id, size in figures.used_bytes.items():
            self._used.labels(element_id).set(size)
