"""From settings to the ASGI app of one process."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import structlog
from fastapi import FastAPI

from samovar import __version__
from samovar.app import files
from samovar.app.background import calm_the_collector
from samovar.app.control import ControlPlane, control_app
from samovar.app.folders import FolderProcess
from samovar.app.http import SECURITY_HEADERS, Edge
from samovar.app.openapi import describe, served_routes
from samovar.app.rights import permitted
from samovar.app.roles import Part
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.app.storage import StorageProcess
from samovar.app.telemetry import logs
from samovar.app.telemetry.metrics import CONTENT_TYPE
from samovar.app.tokens import admitted
from samovar.domains.audit import http as audit_http
from samovar.domains.billing.http import money as money_http
from samovar.domains.billing.http import quotas as quotas_http
from samovar.domains.catalog import http as catalog_http
from samovar.domains.gateway import http as gateway_http
from samovar.domains.identity import http as identity_http
from samovar.domains.operations.http import health as health_http
from samovar.domains.operations.http import jobs as jobs_http
from samovar.domains.prompts.http import PREFIX
from samovar.domains.usage import http as usage_http
from samovar.domains.vision import http as vision_http
from samovar.ports.asgi import Route
from samovar.ports.dialect import Surface
from samovar.ports.routes import Routes, join
from samovar.providers.gemini import GeminiContent, StreamForm

log = structlog.get_logger()


def create_app(settings: Settings, *, folders_at: str | None = None) -> Edge:
    """The app that a worker serves. Logging is set up first, since each worker is a process of its own. ``folders_at`` is where
    the folders of storage elements are served to the workers of this host, empty for nowhere; ``None``: the process opens them
    itself."""
    logs.configure(json=settings.json_logs, level=settings.log_level)
    if settings.is_storage_alone:
        return StorageProcess(settings).edge()
    return edge_of(Services(settings, folders_at=folders_at))


def create_folder_app(settings: Settings) -> Edge:
    """The app of the process that serves this host's folders to its workers."""
    logs.configure(json=settings.json_logs, level=settings.log_level)
    return FolderProcess(settings).edge()


def edge_of(services: Services) -> Edge:
    """The app over a graph of services."""
    settings = services.settings
    routes = [services.audit.witness.around(route) for route in data_plane(services)]
    control = ControlPlane(
        control_of(services, routes),
        ids=services.ids,
        headers=SECURITY_HEADERS,
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
        witness=services.audit.witness,
    )

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with services.running():
            # Here and not there: a test that runs services shares its process with others, whose garbage would stay, too.
            calm_the_collector()
            try:
                yield
            finally:
                await control.close()

    return Edge(
        routes=routes,
        control=control,
        nowhere=nowhere(services),
        both_planes=(PREFIX, *files.PATHS),
        doorman=services.quotas.addresses,
        strangers=services.audit.strangers,
        lifespan=lifespan,
        meter=services.metrics,
        clock=services.clock,
        allowed_origins=settings.allowed_origins,
        trusted_proxies=tuple(ip_network(network, strict=False) for network in settings.trusted_proxies),
    )


def data_plane(services: Services) -> Iterator[Route]:
    """The raw endpoints of this process's roles."""
    yield from services.files.routes()
    if Part.GATEWAY not in services.parts:
        return
    settings = gateway_http.EntranceSettings(
        max_body_bytes=services.settings.max_body_bytes,
        body_timeout_s=services.settings.body_timeout_s,
        base_headers=SECURITY_HEADERS,
    )

    def entrance(dialect: Surface, **differences: Any) -> gateway_http.ChatEntrance:
        return gateway_http.ChatEntrance(
            dialect=dialect,
            service=services.gateway,
            identity=services.identity,
            quotas=services.quotas,
            idempotency=services.idempotency,
            answers=services.answers,
            clock=services.clock,
            ids=services.ids,
            settings=settings,
            report=_report,
            **differences,
        )

    dialects, since = services.dialects, services.clock.now()

    def models(usual: gateway_http.Told, to_anthropics: gateway_http.Told | None = None) -> gateway_http.ModelsEntrance:
        return gateway_http.ModelsEntrance(
            usual=usual,
            to_anthropics=to_anthropics,
            service=services.gateway,
            identity=services.identity,
            quotas=services.quotas,
            ids=services.ids,
            settings=settings,
        )

    yield from gateway_http.surfaces(
        chat=entrance(dialects["openai-chat"]),
        responses=entrance(dialects["openai-responses"]),
        embeddings=entrance(dialects["openai-chat"], figures=_embed(services, "openai-embeddings")),
        messages=entrance(dialects["anthropic-messages"]),
        count_tokens=entrance(dialects["anthropic-messages"], figures=_count(services, "anthropic-count-tokens")),
        gemini=_google(services, entrance),
        models=models(
            gateway_http.Told(gateway_http.OpenAIListing(since=since), dialects["openai-chat"]),
            gateway_http.Told(gateway_http.AnthropicListing(since=since), dialects["anthropic-messages"]),
        ),
        gemini_models=models(gateway_http.Told(gateway_http.GeminiListing(), dialects["gemini"])),
    )
    yield from services.vision.routes(entrance)
    yield from services.prompts.routes()


def _google(services: Services, entrance: Callable[..., gateway_http.ChatEntrance]) -> gateway_http.ModelInPath:
    gemini = services.dialects["gemini"]
    stream_type = f"{StreamForm.ARRAY.value}; charset=utf-8"
    return gateway_http.ModelInPath(
        events=entrance(gemini),
        array=entrance(GeminiContent(form=StreamForm.ARRAY), stream_type=stream_type),
        figures={
            "embedContent": entrance(gemini, figures=_embed(services, "gemini-embed-content")),
            "batchEmbedContents": entrance(gemini, figures=_embed(services, "gemini-batch-embed-contents")),
            "countTokens": entrance(gemini, figures=_count(services, "gemini-count-tokens")),
        },
    )


def _embed(services: Services, name: str) -> gateway_http.FigureUse:
    surface = services.figures.embeddings[name]
    return gateway_http.FigureUse(surface=surface, answer=services.gateway.embed, is_remembered=True)


def _count(services: Services, name: str) -> gateway_http.FigureUse:
    return gateway_http.FigureUse(surface=services.figures.counts[name], answer=services.gateway.count_tokens)


def nowhere(services: Services) -> gateway_http.Nowhere | None:
    """Who speaks for vendors' paths that lead nowhere, where this process serves vendors' paths at all."""
    if Part.GATEWAY not in services.parts:
        return None
    dialects = services.dialects
    return gateway_http.Nowhere(
        openai=dialects["openai-chat"],
        anthropic=dialects["anthropic-messages"],
        gemini=dialects["gemini"],
        ids=services.ids,
        headers=SECURITY_HEADERS,
    )


def control_of(services: Services, routes: list[Route]) -> FastAPI:
    """The FastAPI app of this process's roles, with the whole surface described in its OpenAPI."""
    app = control_app(_routers(services), title="Samovar", version=__version__, description=_DESCRIPTION)
    about = services.about(lambda: served_routes(app))
    join(
        app.router,
        health_http.router(
            service=services.operations,
            about=about,
            metrics=services.metrics.text,
            metrics_type=CONTENT_TYPE,
            now=services.clock.now,
        ),
    )
    if Part.ADMIN in services.parts:
        identity = services.identity
        join(
            app.router,
            identity_http.tokens_router(
                granting=identity.granting, keys=identity.signing_keys, admit=admitted(services.quotas)
            ),
        )
    describe(app, routes)
    return app


def _routers(services: Services) -> Iterator[Routes]:
    signed_in = permitted(quotas_http.limited(identity_http.authenticated(services.identity), services.quotas))
    authenticate = gateway_http.once(signed_in, services.idempotency)
    if Part.GATEWAY in services.parts:
        explainer = gateway_http.Explainer(
            service=services.gateway,
            dialects=services.dialects,
            figures=services.figures,
            clock=services.clock,
            ids=services.ids,
        )
        yield gateway_http.explain_router(explainer=explainer, authenticate=authenticate)
        yield gateway_http.health_router(healths=services.gateway.healths, authenticate=authenticate)
        yield from services.prompts.routers(authenticate)
    yield from services.files.routers(authenticate)
    if Part.ADMIN not in services.parts:
        return
    yield identity_http.router(service=services.identity, authenticate=authenticate)
    yield identity_http.accounts_router(service=services.identity.accounts, authenticate=authenticate)
    yield catalog_http.router(service=services.catalog, authenticate=authenticate)
    yield vision_http.config_router(cleanups=services.vision.cleanups, authenticate=authenticate)
    yield quotas_http.router(service=services.quotas, authenticate=authenticate)
    yield usage_http.router(
        service=services.reports.queries, budgets=services.reports.budgets, authenticate=authenticate
    )
    yield audit_http.router(service=services.audit.service, authenticate=authenticate)
    yield jobs_http.router(service=services.jobs.service, authenticate=authenticate)
    # Not once for each Idempotency-Key: a download is nothing to be kept for whoever asks again.
    yield services.backups.router(signed_in)
    desk = services.desk
    yield money_http.router(wallets=desk.wallets, budgets=desk.budgets, books=desk.books, authenticate=authenticate)


def _report(error: BaseException, request_id: str) -> None:
    log.error("unexpected error", request_id=request_id, exc_info=error)


_DESCRIPTION = "One self-hosted service between a team and every AI model it uses."
