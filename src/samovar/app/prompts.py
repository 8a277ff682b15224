"""The registry's object graph, and its routes on both planes."""

from collections.abc import Awaitable, Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from fastapi import Request

from samovar.app.http import SECURITY_HEADERS
from samovar.app.problems import problem
from samovar.app.settings import NO_LIMIT, Settings
from samovar.domains.identity.model import OpenSurface
from samovar.domains.prompts import http as prompts_http
from samovar.domains.prompts.service import CacheBounds, GateRules, PromptService
from samovar.domains.prompts.service.exchange import PromptExchange
from samovar.kernel.principal import Principal
from samovar.ports.asgi import Route
from samovar.ports.limits import parse_limits
from samovar.ports.routes import Routes

if TYPE_CHECKING:
    from samovar.app.services import Services

Authenticate = Callable[[Request], Awaitable[Principal]]


class PromptDesk:
    """Call :meth:`subscribe` before the bus starts."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    @cached_property
    def service(self) -> PromptService:
        services, settings = self._services, self._services.settings
        return PromptService(
            database=services.database,
            clock=services.clock,
            bus=services.shared.bus,
            cache=services.shared.cache,
            limiter=services.shared.limiter,
            bounds=CacheBounds(prompt_s=settings.prompt_cache_s, list_s=settings.prompt_list_cache_s),
            rules=gate_rules(settings),
        )

    @property
    def exchange(self) -> PromptExchange:
        """Import and export."""
        return self.service.exchange

    def subscribe(self) -> None:
        """Hear of writes in other processes."""
        # It subscribes when it is made.
        assert self.service

    def routes(self) -> list[Route]:
        """The raw reads."""
        services = self._services
        door = prompts_http.Door(
            identity=services.identity,
            quotas=services.quotas,
            ids=services.ids,
            base_headers=SECURITY_HEADERS,
            problem=problem,
        )
        return prompts_http.surfaces(reads=self.service.reads, door=door)

    def routers(self, authenticate: Authenticate) -> Iterator[Routes]:
        """Everything else. ``authenticate`` knows whoever sends a credential."""
        service = self.service
        reader = self._or_visitor(authenticate)
        yield prompts_http.router(
            reads=service.reads,
            writes=service.writes,
            authenticate=reader,
            writer=prompts_http.writing(authenticate, service.gate),
        )
        yield prompts_http.exchange_router(
            exchange=service.exchange, reader=reader, writer=authenticate, gate=service.gate
        )
        yield prompts_http.nowhere_router()

    def _or_visitor(self, authenticate: Authenticate) -> Authenticate:
        """``authenticate``, but for who sends no credential while reading is open to all."""
        visitor = self._services.identity.visitor(OpenSurface.PROMPTS_READ)
        if visitor is None:
            return authenticate
        addresses = self._services.quotas.addresses

        async def reader(request: Request) -> Principal:
            if "authorization" in request.headers or "x-admin-token" in request.headers:
                return await authenticate(request)
            await addresses.admit_anonymous(None if request.client is None else request.client.host)
            return visitor

        return reader


def gate_rules(settings: Settings) -> GateRules:
    """What stands before a write."""
    writes = settings.prompt_writes
    return GateRules(
        writes=None if writes == NO_LIMIT else parse_limits(writes)[0], nonce_required=settings.nonce_required
    )
