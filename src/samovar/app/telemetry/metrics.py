"""Prometheus metrics. Labels are bounded: routes are templates, models beyond the first few hundred are ``other``.

With several workers prometheus_client runs in its multiprocess mode (one file a worker, summed at the scrape); which mode
it is is decided by the environment before the library is imported, so this module is imported late.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from samovar.app.telemetry.audit import AuditMetrics
from samovar.app.telemetry.files import FileMetrics
from samovar.app.telemetry.jobs import JobMetrics
from samovar.app.telemetry.money import MoneyMetrics
from samovar.app.telemetry.process import WorkerMetrics
from samovar.app.telemetry.providers import MAX_MODELS, OTHER, ProviderMetrics
from samovar.app.telemetry.quotas import QuotaMetrics
from samovar.app.telemetry.routes import Choices, RouteMetrics
from samovar.app.telemetry.tallies import Count, Distribution
from samovar.domains.audit.service import AuditFigures
from samovar.domains.billing.service.money import Tally
from samovar.domains.billing.service.quotas import Figures as QuotaFigures
from samovar.domains.files.service.tally import FileFigures
from samovar.domains.gateway.model import BreakerState, CallFinished, CallStatus
from samovar.domains.gateway.model.routing import TargetKey, Vitals
from samovar.kernel.money import NANO_USD_PER_CREDIT
from samovar.ports.jobs import JobFigures

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_CHAT: Final = "chat"
# The buckets that OpenTelemetry's GenAI conventions advise.
_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304)
_HTTP_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_SETTLED_TOGETHER: Final = 256
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Depths = Callable[[], dict[str, int]]
Breakers = Callable[[], dict[str, BreakerState]]


class _ModelTallies:
    """The tallies of one model, whatever the outcome."""

    __slots__ = ("cost", "first", "input_tokens", "output_tokens", "unpriced")

    def __init__(
        self,
        *,
        cost: Count,
        unpriced: Count,
        first: Distribution,
        input_tokens: Distribution,
        output_tokens: Distribution,
    ) -> None:
        self.cost = cost
        self.unpriced = unpriced
        self.first = first
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens


class Metrics:
    """All metrics of a process. Also the edge's :class:`~samovar.app.http.Meter`.

    ``began``, ``ended`` and ``call`` stand on the hot path: they only add to tallies, which :meth:`refresh` hands on.
    """

    def __init__(
        self,
        *,
        connections: Callable[[], int],
        depths: Depths,
        breakers: Breakers,
        resting: Callable[[], Mapping[str, int]] = dict,
        dropped: Callable[[], int] = int,
        quotas: Callable[[], QuotaFigures] | None = None,
        money: Callable[[], tuple[Tally, int]] | None = None,
        targets: Callable[[], tuple[Choices, Mapping[TargetKey, Vitals]]] | None = None,
        jobs: Callable[[], JobFigures] | None = None,
        audit: Callable[[], AuditFigures] | None = None,
        files: Callable[[], FileFigures] | None = None,
        multiprocess: bool,
        is_worker: bool = True,
    ) -> None:
        # A series more for each counter and histogram, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._connections = connections
        self._depths = depths
        self._read_breakers = breakers
        self._read_resting = resting
        self._read_dropped = dropped
        self._dropped_before = 0
        self._read_quotas = quotas
        self._read_money = money
        self._read_targets = targets
        self._read_jobs = jobs
        self._read_audit = audit
        self._read_files = files
        self._multiprocess = multiprocess
        self._registry = registry = CollectorRegistry()
        self._worker = WorkerMetrics(registry, is_worker=is_worker) if multiprocess else None
        if not multiprocess:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
            GCCollector(registry=registry)
        self._tallies: list[Count | Distribution] = []
        self._distributions: list[Distribution] = []
        self._unsettled = 0
        self._running = 0
        self._define_http(registry)
        self._define_calls(registry)
        self._define_state(registry)
        self._quotas = QuotaMetrics(registry)
        self._money = MoneyMetrics(registry)
        self._jobs = JobMetrics(registry)
        self._audit = AuditMetrics(registry)
        self._files = FileMetrics(registry)
        self._providers = ProviderMetrics(registry)
        self._routes = RouteMetrics(registry, name_of=self._name_of)
        self._requests_of: dict[tuple[str, str, int], tuple[Count, Distribution]] = {}
        self._durations_of: dict[tuple[str, str], Distribution] = {}
        self._calls_of: dict[tuple[str, str, CallStatus], tuple[Distribution, _ModelTallies]] = {}
        self._model_of: dict[tuple[str, str], _ModelTallies] = {}
        self._redis_of: dict[tuple[str, str], Count] = {}
        self._guards_of: dict[tuple[str, str], Count] = {}
        self._unknown_of: dict[str, Count] = {}

    def _define_http(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "http_requests_total", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "From the first byte in to the last out.",
            ("method", "route"),
            buckets=_HTTP_SECONDS,
            registry=registry,
        )
        self._inprogress = Gauge(
            "http_requests_inprogress", "Requests under way.", multiprocess_mode="livesum", registry=registry
        )

    def _define_calls(self, registry: CollectorRegistry) -> None:
        labels = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

        def histogram(name: str, words: str, more: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, words, (*labels, *more), buckets=buckets, registry=registry)

        self._tokens = histogram("gen_ai_client_token_usage", "Tokens of a call.", ("gen_ai_token_type",), _TOKENS)
        self._operations = histogram(
            "gen_ai_client_operation_duration_seconds", "A call, whole.", ("outcome",), _SECONDS
        )
        self._first = histogram(
            "gen_ai_client_operation_time_to_first_chunk_seconds", "A stream's first content.", (), _SECONDS
        )
        self._cost = Counter("samovar_cost_credits_total", "Credits spent.", labels, registry=registry)
        self._unpriced = Counter(
            "samovar_calls_unpriced_total", "Calls whose price is not known.", labels, registry=registry
        )
        overhead = Histogram(
            "samovar_overhead_seconds",
            "What we added to the provider's own time.",
            buckets=_HTTP_SECONDS,
            registry=registry,
        )
        self._overhead = self._distribution(overhead, _HTTP_SECONDS)

    def _define_state(self, registry: CollectorRegistry) -> None:
        self._database = Gauge(
            "database_connections_active", "Connections in use.", multiprocess_mode="livesum", registry=registry
        )
        self._guards = Counter(
            "samovar_guard_actions_total",
            "What the guard rails of keys blocked and redacted.",
            ("action", "direction"),
            registry=registry,
        )
        self._unknown = Counter(
            "samovar_unknown_events_total",
            "Events of vendors' streams that this version does not know.",
            ("vendor",),
            registry=registry,
        )
        self._redis = Counter(
            "redis_operations_total", "Operations on Redis.", ("operation", "outcome"), registry=registry
        )
        self._dropped = Counter(
            "samovar_usage_events_dropped_total", "Calls that are missing in the usage log.", registry=registry
        )
        self._depth = Gauge(
            "samovar_queue_depth", "Things that wait.", ("queue",), multiprocess_mode="livesum", registry=registry
        )

    # --- the hot path

    def began(self) -> None:
        """See :class:`samovar.app.http.Meter`."""
        self._running += 1

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """See :class:`samovar.app.http.Meter`."""
        self._running -= 1
        tallies = self._requests_of.get((method, route, status))
        if tallies is None:
            tallies = self._new_request(method if method in _METHODS else OTHER, route, status)
        tallies[0].value += 1
        tallies[1].observe(seconds)
        self._unsettled += 1
        if self._unsettled >= _SETTLED_TOGETHER:
            self._settle()

    def _settle(self) -> None:
        self._unsettled = 0
        for tally in self._distributions:
            tally.settle()

    def call(self, event: CallFinished) -> None:
        """A gateway call ended."""
        tallies = self._calls_of.get((event.provider, event.model, event.status))
        if tallies is None:
            tallies = self._new_call(event)
        duration, model = tallies
        duration.observe(event.duration_ms / 1000)
        self._overhead.observe(event.overhead_ms / 1000)
        usage, cost = event.usage, event.cost_nano_usd
        if usage is not None:
            model.input_tokens.observe(usage.input_tokens)
            model.output_tokens.observe(usage.output_tokens)
            if cost is None:
                model.unpriced.value += 1
            elif cost > 0:
                model.cost.value += cost
        for action, side, count in event.guard_actions:
            self._guarded(action.value, side.value, count)
        if event.unknown_events:
            self._unknown_events(event.vendor, event.unknown_events)
        if event.stream and event.first_content_ms is not None:
            model.first.observe(event.first_content_ms / 1000)

    def _guarded(self, action: str, direction: str, count: int) -> None:
        tally = self._guards_of.get((action, direction))
        if tally is None:
            tally = self._guards_of[action, direction] = self._count(self._guards.labels(action, direction))
        tally.value += count

    def _unknown_events(self, vendor: str, count: int) -> None:
        tally = self._unknown_of.get(vendor)
        if tally is None:
            tally = self._unknown_of[vendor] = self._count(self._unknown.labels(vendor))
        tally.value += count

    def redis(self, operation: str, outcome: str) -> None:
        """One operation on Redis ended. Both words are the adapter's own, so they are few."""
        tally = self._redis_of.get((operation, outcome))
        if tally is None:
            tally = self._redis_of[operation, outcome] = self._count(self._redis.labels(operation, outcome))
        tally.value += 1

    # --- the scrape

    def refresh(self) -> None:
        """Hand the tallies on and read the gauges: at each scrape, and now and then for the scrapes of other workers."""
        for tally in self._tallies:
            tally.flush()
        if self._worker is not None:
            self._worker.refresh()
        self._inprogress.set(self._running)
        self._database.set(self._connections())
        if self._read_quotas is not None:
            self._quotas.refresh(self._read_quotas())
        if self._read_money is not None:
            self._money.refresh(*self._read_money())
        if self._read_targets is not None:
            self._routes.refresh(*self._read_targets())
        if self._read_jobs is not None:
            self._jobs.refresh(self._read_jobs())
        if self._read_audit is not None:
            self._audit.refresh(self._read_audit())
        if self._read_files is not None:
            self._files.refresh(self._read_files())
        dropped = self._read_dropped()
        self._dropped.inc(dropped - self._dropped_before)
        self._dropped_before = dropped
        for queue, depth in self._depths().items():
            self._depth.labels(queue).set(depth)
        self._providers.refresh(
            breakers=self._read_breakers(),
            known={model for _, model in self._model_of},
            resting=self._read_resting(),
        )

    async def text(self) -> bytes:
        """The exposition of this process, or of all workers of the host."""
        self.refresh()
        # Tens of thousands of lines where hundreds of models are used: not on the loop.
        return await asyncio.to_thread(self._render)

    def close(self) -> None:
        """Hand on what is left; this process's gauges count no more."""
        for tally in self._tallies:
            tally.flush()
        if self._multiprocess:
            mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

    def _render(self) -> bytes:
        if not self._multiprocess:
            return generate_latest(self._registry)
        summed = CollectorRegistry()
        collector = MultiProcessCollector(summed)  # type: ignore[no-untyped-call]
        _forget_the_dead(Path(collector._path))
        return generate_latest(summed)

    def _name_of(self, model: str) -> str:
        return model if any(model == known for _, known in self._model_of) else OTHER

    # --- series, each made at its first use

    def _new_request(self, method: str, route: str, status: int) -> tuple[Count, Distribution]:
        # Not kept under the method as it came: the callers choose that, and they have no end of words.
        tallies = self._requests_of.get((method, route, status))
        if tallies is None:
            duration = self._durations_of.get((method, route))
            if duration is None:
                duration = self._distribution(self._seconds.labels(method, route), _HTTP_SECONDS)
                self._durations_of[method, route] = duration
            tallies = self._count(self._requests.labels(method, route, str(status))), duration
            self._requests_of[method, route, status] = tallies
        return tallies

    def _new_call(self, event: CallFinished) -> tuple[Distribution, _ModelTallies]:
        provider, model = event.provider, event.model
        if not self._has_place(provider, model, event.status):
            provider, model = OTHER, OTHER
        tallies = self._calls_of.get((provider, model, event.status))
        if tallies is None:
            duration = self._operations.labels(_CHAT, provider, model, event.status.value)
            tallies = self._distribution(duration, _SECONDS), self._tallies_of(provider, model)
            self._calls_of[provider, model, event.status] = tallies
        return tallies

    def _has_place(self, provider: str, model: str, status: CallStatus) -> bool:
        """Whether a model is counted by its name. Some providers take any name, and whoever sends a thousand wrong ones
        shall not use the places up: only a call that went well wins one."""
        if not model or (provider, model) in self._model_of:
            return bool(model)
        return status is CallStatus.OK and len(self._model_of) < MAX_MODELS

    def _tallies_of(self, provider: str, model: str) -> _ModelTallies:
        found = self._model_of.get((provider, model))
        if found is None:
            labels = (_CHAT, provider, model)
            found = self._model_of[provider, model] = _ModelTallies(
                cost=self._count(self._cost.labels(*labels), scale=NANO_USD_PER_CREDIT),
                unpriced=self._count(self._unpriced.labels(*labels)),
                first=self._distribution(self._first.labels(*labels), _SECONDS),
                input_tokens=self._distribution(self._tokens.labels(*labels, "input"), _TOKENS),
                output_tokens=self._distribution(self._tokens.labels(*labels, "output"), _TOKENS),
            )
        return found

    def _count(self, child: Any, *, scale: float = 1.0) -> Count:
        tally = Count(child, scale=scale)
        self._tallies.append(tally)
        return tally

    def _distribution(self, child: Any, bounds: tuple[float, ...]) -> Distribution:
        tally = Distribution(child, bounds)
        self._distributions.append(tally)
        self._tallies.append(tally)
        return tally


def _forget_the_dead(folder: Path) -> None:
    """Take out the gauges of workers that were killed: nobody else says that they are gone."""
    for pid in {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]
        except (ValueError, PermissionError):
            continue
