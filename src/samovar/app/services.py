"""The object graph: typed, lazy, one of each. Reading a property makes the thing and what it needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from samovar import __version__
from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.http1 import Http1Transport
from samovar.adapters.system import SystemClock, SystemIds
from samovar.app import adapters, languages
from samovar.app.about import about
from samovar.app.audit import AuditDesk
from samovar.app.background import forever, until_done
from samovar.app.backups import BackupDesk
from samovar.app.calls import gateway_service
from samovar.app.configured import EmbeddedSandbox, configured_providers, wants_sandbox
from samovar.app.files import FileDesk
from samovar.app.identity import identity_service
from samovar.app.jobs import JobDesk, cron_jobs, job_kinds
from samovar.app.master_key import master_key
from samovar.app.money import MoneyDesk
from samovar.app.prompts import PromptDesk
from samovar.app.quotas import quota_service
from samovar.app.reports import Reports
from samovar.app.roles import Part, parts_of
from samovar.app.settings import Settings
from samovar.app.telemetry.metrics import Metrics
from samovar.app.vision import VisionDesk
from samovar.domains.billing.service.quotas import QuotaService
from samovar.domains.catalog.model import Provider
from samovar.domains.catalog.service import CATALOG_CHANGED, CatalogService, bundled_families, bundled_prices
from samovar.domains.gateway.model.idempotency import IdempotencySettings
from samovar.domains.gateway.service import Figures, GatewayService
from samovar.domains.gateway.service.answer_cache import AnswerCache
from samovar.domains.gateway.service.idempotency import IdempotencyService
from samovar.domains.identity.service import FirstStart, IdentityService
from samovar.domains.operations.model import About
from samovar.domains.operations.service import OperationsService
from samovar.domains.usage.errors import EventsRefused
from samovar.domains.usage.service import UsageService
from samovar.kernel.errors import Unavailable
from samovar.kernel.tasks import background
from samovar.ports.database import Database
from samovar.ports.dialect import Dialect, Vendor
from samovar.ports.jobs import CronJob, JobKind
from samovar.ports.transport import Transport
from samovar.providers.vendors import VENDORS

if TYPE_CHECKING:
    from samovar.app.telemetry.traces import Traces

log = structlog.get_logger()


class Services:
    """Everything that runs in one process. Making a property may make what it needs on disk (the data directory, the master key)
    or bind the sandbox's socket; nothing is served before :meth:`running` is entered."""

    def __init__(
        self,
        settings: Settings,
        *,
        kinds: Sequence[JobKind] = (),
        cron: Sequence[CronJob] = (),
        folders_at: str | None = None,
    ) -> None:
        """``kinds`` and ``cron`` are jobs beside those of :mod:`samovar.app.jobs`; ``folders_at``: see ``create_app``."""
        self.settings, self.folders_at = settings, folders_at
        self._more_jobs = kinds, cron
        self.parts = parts_of(settings.roles)
        self._transports: dict[tuple[str, str], Transport] = {}

    # --- from outside

    @cached_property
    def clock(self) -> SystemClock:
        return SystemClock()

    @cached_property
    def ids(self) -> SystemIds:
        return SystemIds(clock=self.clock)

    @cached_property
    def database(self) -> Database:
        return adapters.database(self.settings)

    @cached_property
    def shared(self) -> adapters.Shared:
        return adapters.shared(self.settings, clock=self.clock, observe=self._observe_redis)

    @cached_property
    def box(self) -> AesGcmBox:
        """Raises ``BadMasterKey``."""
        return AesGcmBox(master_key=master_key(self.settings))

    @cached_property
    def ca_pem(self) -> bytes | None:
        path = self.settings.ca_file
        return None if path is None else path.read_bytes()

    @cached_property
    def outbound(self) -> Transport:
        """For calls that are no provider's own (discovery of models)."""
        return self._make_transport()

    def transport(self, provider: Provider) -> Transport:
        """The provider's own pool, made at its first call and kept: closing one would cut the streams in it."""
        key = (provider.id, provider.base_url)
        transport = self._transports.get(key)
        if transport is None:
            transport = self._transports[key] = self._make_transport()
        return transport

    # --- domains

    @cached_property
    def vendors(self) -> Mapping[str, Vendor]:
        return VENDORS

    @cached_property
    def dialects(self) -> Mapping[str, Dialect]:
        return languages.dialects()

    @cached_property
    def figures(self) -> Figures:
        return languages.figures()

    @cached_property
    def identity(self) -> IdentityService:
        return identity_service(self)

    @cached_property
    def desk(self) -> MoneyDesk:
        """Wallets, budgets, the ledger, and holds for calls."""
        return MoneyDesk(
            self.settings,
            database=self.database,
            clock=self.clock,
            ids=self.ids,
            bus=self.shared.bus,
            prices=self.catalog.prices_version,
        )

    @cached_property
    def quotas(self) -> QuotaService:
        return quota_service(self.settings, database=self.database, clock=self.clock, ids=self.ids, shared=self.shared)

    @cached_property
    def catalog(self) -> CatalogService:
        return CatalogService(
            database=self.database,
            box=self.box,
            bus=self.shared.bus,
            ids=self.ids,
            clock=self.clock,
            transport=self.outbound,
            vendors=self.vendors,
            configured=configured_providers(self.settings, self.vendors, self.sandbox),
            book=bundled_prices(),
            families=bundled_families(),
        )

    @cached_property
    def sandbox(self) -> EmbeddedSandbox | None:
        """The built-in one, where it is wanted."""
        return EmbeddedSandbox() if wants_sandbox(self.settings) else None

    @cached_property
    def usage(self) -> UsageService:
        return UsageService(database=self.database, report=_report)

    @cached_property
    def reports(self) -> Reports:
        return Reports(self, report=_report)

    @cached_property
    def gateway(self) -> GatewayService:
        return gateway_service(self)

    @cached_property
    def answers(self) -> AnswerCache:
        return AnswerCache(service=self.gateway, cache=self.shared.cache)

    @cached_property
    def idempotency(self) -> IdempotencyService:
        return IdempotencyService(
            database=self.database,
            box=self.box,
            clock=self.clock,
            ids=self.ids,
            settings=IdempotencySettings(lease_s=self.settings.idempotency_lease_s),
            report=_report,
        )

    @cached_property
    def jobs(self) -> JobDesk:
        """Work for later, and what comes by the clock."""
        more_kinds, more_cron = self._more_jobs
        return JobDesk(
            self.settings,
            database=self.database,
            clock=self.clock,
            ids=self.ids,
            bus=self.shared.bus,
            kinds=(*job_kinds(self), *more_kinds),
            cron=(*cron_jobs(self.settings), *more_cron),
            runs=Part.WORKER in self.parts,
            report=_report,
        )

    @cached_property
    def prompts(self) -> PromptDesk:
        return PromptDesk(self)

    @cached_property
    def files(self) -> FileDesk:
        return FileDesk(self)

    @cached_property
    def vision(self) -> VisionDesk:
        return VisionDesk(self)

    @cached_property
    def operations(self) -> OperationsService:
        probes: dict[str, Callable[[], Awaitable[None]]] = {"database": self.database.ping}
        if self.shared.ping is not None:
            probes["redis"] = self.shared.ping
        return OperationsService(probes={**probes, **self.files.probes()})

    @cached_property
    def audit(self) -> AuditDesk:
        """The record of every critical action."""
        return AuditDesk(self)

    @cached_property
    def backups(self) -> BackupDesk:
        return BackupDesk(self)

    # --- being seen

    @cached_property
    def traces(self) -> "Traces | None":
        """Imported only where they are wanted (see the module)."""
        if not self.settings.otlp_endpoint:
            return None
        from samovar.app.telemetry.traces import Traces

        return Traces(endpoint=self.settings.otlp_endpoint, version=__version__)

    @cached_property
    def metrics(self) -> Metrics:
        return Metrics(
            connections=lambda: self.database.connections_active,
            depths=lambda: {"usage_events": self.usage.waiting},
            dropped=lambda: self.usage.dropped,
            breakers=lambda: self.gateway.breaker_states() if Part.GATEWAY in self.parts else {},
            resting=lambda: self.gateway.attempts.keys.resting() if Part.GATEWAY in self.parts else {},
            targets=lambda: self.gateway.routes.figures() if Part.GATEWAY in self.parts else ({}, {}),
            quotas=lambda: self.quotas.figures(),
            money=lambda: (self.desk.money.tally, self.desk.money.waiting_bytes),
            jobs=lambda: self.jobs.figures(),
            audit=lambda: self.audit.service.figures(),
            files=lambda: self.files.figures(),
            multiprocess=self.settings.workers > 1,
        )

    def about(self, routes: Callable[[], tuple[str, ...]]) -> Callable[[], Awaitable[About]]:
        """What ``/about`` says; ``routes`` is read at each request."""
        return about(
            self.settings,
            clock=self.clock,
            prices=lambda: self.catalog.prices_version,
            routes=routes,
            cleanup=self.vision.cleanup_pattern,
        )

    # --- running

    async def prepare(self) -> FirstStart | None:
        """What must be so before the first request: tables, the first team and key, the master key's check. Several
        processes may do it at once. Raises ``WrongMasterKey``, ``Unavailable``."""
        token = self.settings.admin_token
        return await self.identity.ensure_installed(token.get_secret_value() if token else None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve inside this block; leaving it writes what still waits and lets go of everything."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            if self.sandbox is not None:
                await stack.enter_async_context(self.sandbox.running())
            await self.prepare()
            await self.catalog.load()
            await self.quotas.load()
            await self.desk.money.load()
            self.shared.bus.subscribe(CATALOG_CHANGED, self.catalog.on_changed)
            self.prompts.subscribe()
            self.files.subscribe()
            self.shared.bus.on_gap(self.catalog.on_gap)
            self.vision.subscribe()
            self.jobs.subscribe()
            await self._start_bus(stack)
            await stack.enter_async_context(self.audit.running())
            await stack.enter_async_context(self.identity.running())
            await stack.enter_async_context(self.quotas.running())
            stack.push_async_callback(self._flush_usage)
            stack.push_async_callback(self.desk.money.close)
            await stack.enter_async_context(
                background(
                    forever("usage", self.usage.run),
                    forever("usage upkeep", self.reports.upkeep.run),
                    forever("idempotency", self.idempotency.run),
                    forever("catalog", self.catalog.watch),
                    forever("prompts", self.prompts.service.watch),
                    forever("quotas", self.quotas.watch),
                    forever("money", self.desk.money.run),
                    forever("adoption", self.desk.money.adopt_for_ever),
                    forever("metrics", self._refresh_metrics),
                )
            )
            await stack.enter_async_context(self.files.running())
            await stack.enter_async_context(self.jobs.running())
            log.info("ready", url=self.settings.url, roles=",".join(self.settings.roles), version=__version__)
            yield
            self.operations.stop()

    async def _start_bus(self, stack: AsyncExitStack) -> None:
        """With Redis away we serve all the same, with the staleness bounds of a bus that is silent, and keep trying."""
        try:
            await self.shared.bus.start()
        except Unavailable as error:
            log.warning("events from other processes do not arrive", reason=error.detail)
            await stack.enter_async_context(background(until_done(self.shared.bus.start)))

    async def _flush_usage(self) -> None:
        # Calls that ended in this turn of the event loop are told of at its end.
        await asyncio.sleep(0)
        try:
            await self.usage.flush()
        except (Unavailable, EventsRefused) as error:
            _report(error, f"{self.usage.waiting} usage events are lost: the database does not answer")

    async def _close(self) -> None:
        await self.shared.bus.close()
        await self.operations.close()
        for transport in self._transports.values():
            await transport.close()
        await self.outbound.close()
        await self.vision.close()
        if self.shared.close is not None:
            await self.shared.close()
        await self.database.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)
        self.metrics.close()

    async def _refresh_metrics(self) -> None:
        while True:
            self.metrics.refresh()
            await asyncio.sleep(5)

    def _observe_redis(self, operation: str, outcome: str) -> None:
        self.metrics.redis(operation, outcome)

    def _make_transport(self) -> Transport:
        if self.settings.outbound_proxy:
            # What lies behind a proxy is spoken to through Rust's reqwest, which knows tunnels (ADR 0002).
            from samovar.adapters.reqwest import ReqwestTransport

            return ReqwestTransport(
                connect_s=self.settings.connect_timeout_s,
                ca_pem=self.ca_pem,
                proxy_url=self.settings.outbound_proxy,
            )
        return Http1Transport(ca_pem=self.ca_pem)


def _report(error: BaseException, what: str) -> None:
    # What is away comes back; anything else is lost, or wrong.
    tell = log.warning if isinstance(error, Unavailable) else log.error
    tell(what, error=str(error), kind=type(error).__name__)
