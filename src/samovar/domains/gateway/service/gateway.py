"""The use cases of the gateway: answer a call whole, or open a stream."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from samovar.domains.billing.service.money import MoneyService
from samovar.domains.catalog.model import Model, Provider
from samovar.domains.catalog.service import CatalogService
from samovar.domains.gateway.model import (
    Attempt,
    BreakerState,
    Call,
    CallFinished,
    CallStatus,
    GatewaySettings,
    Plan,
    counts_tokens,
    plan,
    plan_count,
    plan_embeddings,
    plan_for_makers,
)
from samovar.domains.gateway.model.other_models import other_models
from samovar.domains.gateway.service.attempts import Attempts
from samovar.domains.gateway.service.endings import Endings
from samovar.domains.gateway.service.estimate import answer_chars, is_credible, settled
from samovar.domains.gateway.service.figures import Figures, count_once, embed_once, estimated_count
from samovar.domains.gateway.service.guarding import Guards, is_guarded, read_through, ruled_answer
from samovar.domains.gateway.service.health import Healths
from samovar.domains.gateway.service.live import LiveStream, open_live
from samovar.domains.gateway.service.outbound import LARGE_BYTES, noted, prepared, read_error, upstream_request
from samovar.domains.gateway.service.payments import Payments
from samovar.domains.gateway.service.routes import Routes
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.errors import Flaw, SamovarError
from samovar.kernel.principal import Principal
from samovar.ports.asgi import CLIENT_GONE
from samovar.ports.clock import Clock
from samovar.ports.dialect import Dialect, Unsupported, Vendor
from samovar.ports.pins import maker_of, pinned_json
from samovar.ports.transport import HttpRequest, Timeouts, Transport

_SHORTEST_S: Final = 0.001
# A member reached through its class costs a call of a function, and each gateway call takes this path.
_OK: Final = CallStatus.OK


class Answer(msgspec.Struct, frozen=True):
    """A whole answer in the caller's dialect, and what is told of it in headers."""

    body: bytes
    trail: Trail
    plan: Plan


class GatewayService:
    """Stateless but for breakers; safe to share by all requests of one event loop.

    ``transports`` gives the connection pool of a provider; ``on_finished`` takes the event of each call, must not block
    and must not raise; ``jitter`` gives numbers between 0 and 1, and so does ``chance``, by which routing explores and
    draws.
    """

    def __init__(
        self,
        *,
        catalog: CatalogService,
        dialects: Mapping[str, Dialect],
        vendors: Mapping[str, Vendor],
        transports: Callable[[Provider], Transport],
        clock: Clock,
        jitter: Callable[[], float],
        on_finished: Callable[[CallFinished], None],
        settings: GatewaySettings,
        figures: Figures,
        money: MoneyService,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._catalog = catalog
        self._dialects = dialects
        self._vendors = vendors
        self._transports = transports
        self._clock = clock
        self.settings = settings
        self._figures = figures
        self._guards = Guards()
        self._payments = Payments(money)
        self.routes = Routes(
            catalog=catalog,
            vendors=vendors,
            dialects=dialects,
            clock=clock,
            chance=chance or jitter,
            breakers=lambda: self.attempts.breakers,
        )
        self._endings = Endings(answered=self.routes.answered, tell=on_finished)
        self.attempts = Attempts(clock=clock, jitter=jitter, settings=settings, failed=self.routes.failed)
        self.healths = Healths(catalog=catalog, attempts=self.attempts, routes=self.routes, clock=clock)

    def models(self, principal: Principal) -> list[Model]:
        """What this caller may use, for ``GET /v1/models``: models, and the aliases and groups an admin defined."""
        return [*self._catalog.visible(principal), *self._catalog.named(principal)]

    def breaker_states(self) -> dict[str, BreakerState]:
        """Model id to the state of its breaker, for those that were ever called."""
        return self.attempts.breaker_states()

    def answer(self, call: Call) -> Awaitable[Answer]:
        """The whole answer. Raises a ``SamovarError``; the call is accounted for either way."""
        return self._whole(call, self._guards.admit, self._plan, self._answer_once)

    def embed(self, call: Call) -> Awaitable[Answer]:
        """Vectors for texts. As :meth:`answer`."""
        return self._whole(call, self._admit_inputs, self._plan_embeddings, self._embed_once, has_output=False)

    async def count_tokens(self, call: Call) -> Answer:
        """The tokens of a prompt: the vendor's count, or our estimate (the trail says which). As :meth:`answer`."""

        trail = Trail(call, self._clock).bounded(self.settings.json_timeouts.total_s)
        try:
            if is_guarded(call.principal):
                await self._guards.run(self._admit_count, trail)
            planned = plan_count(self._plan(trail))
            if counts_tokens(planned.attempts[0]):
                body = await self.attempts.run(planned, trail, self._count_once)
            else:
                # No provider is asked: breakers learn nothing from it.
                trail.begin(planned.attempts[0])
                body = estimated_count(self._figures, trail)
                trail.succeeded()
        except BaseException as error:
            await self._finish_failed(trail, error)
            raise
        await self._finish(trail, _OK, 200, None)
        return Answer(body, trail, planned)

    async def _whole(
        self,
        call: Call,
        admit: Callable[[Trail], None],
        plan_of: Callable[[Trail], Plan],
        once: Callable[[Attempt, Trail], Awaitable[bytes]],
        *,
        has_output: bool = True,
    ) -> Answer:
        trail = Trail(call, self._clock).bounded(self.settings.json_timeouts.total_s)
        try:
            if is_guarded(call.principal):
                await self._guards.run(admit, trail)
            planned = plan_of(trail)
            payer = self._payments.payer(trail)
            if payer is not None:
                planned = await self._payments.held(trail, planned, payer, plan_of, has_output=has_output)
            body = await self.attempts.run(planned, trail, once)
        except BaseException as error:
            await self._finish_failed(trail, error)
            raise
        concluding = self._ended(trail, _OK, 200, None)
        if concluding is not None:
            await concluding
        return Answer(body, trail, planned)

    async def stream(self, call: Call) -> LiveStream:
        """A stream whose first content is here. Raises a ``SamovarError`` while another status can still be given; close
        what you get, in every case."""
        trail = Trail(call, self._clock)
        try:
            if is_guarded(call.principal):
                await self._guards.run(self._guards.admit, trail)
            planned = self._plan(trail)
            payer = self._payments.payer(trail)
            if payer is not None:
                planned = await self._payments.held(trail, planned, payer, self._plan)

            async def open_once(attempt: Attempt, trail: Trail) -> LiveStream:
                return await open_live(
                    attempt,
                    trail,
                    planned=planned,
                    transport=self._transports(attempt.target.provider),
                    clock=self._clock,
                    settings=self.settings,
                    finish=self._finish,
                    conclude=self._payments.conclude,
                    heard=self.routes.heard,
                )

            return await self.attempts.run(planned, trail, open_once)
        except BaseException as error:
            await self._finish_failed(trail, error)
            raise

    async def preview(self, call: Call) -> tuple[Trail, Plan]:
        """The call as its key's guard rails let it through, and the plan for it: nothing is sent, held or accounted for. Raises
        as answering it would."""
        trail = Trail(call, self._clock)
        is_chat = call.as_prompt is None
        if is_guarded(call.principal):
            await self._guards.run(self._guards.admit if is_chat else self._admit_inputs, trail)
        return trail, self._plan(trail) if is_chat else self._plan_embeddings(trail)

    def remembered(self, trail: Trail, status: CallStatus) -> None:
        """Account for a call that was answered from memory, or left while it was. Nobody learns from it."""
        is_ok = status is _OK
        http_status, code = (200, None) if is_ok else (CLIENT_GONE, "client_gone")
        self._endings.add(trail.ended(status, http_status, code, is_lesson=False))

    def _admit_inputs(self, trail: Trail) -> None:
        self._guards.admit_inputs(trail, self._figures.embeddings[trail.call.surface_name])

    def _admit_count(self, trail: Trail) -> None:
        self._guards.admit_count(trail, self._figures.counts[trail.call.surface_name])

    def _plan(self, trail: Trail) -> Plan:
        call = trail.call
        resolved = self._catalog.route(call.head.model, call.principal)
        targets = resolved.targets
        if len(targets) == 1 or self.routes.is_plain(resolved, call):
            planned = plan(targets, surface=call.surface, vendors=self._vendors, dialects=self._dialects)
        else:
            planned = self.routes.plan(trail, resolved)
        if call.head.makers:
            planned = plan_for_makers(planned, call.head.makers)
        if call.principal.allowed_models is not None:
            self._check_others(planned, call)
        return read_through(planned, self._dialects) if trail.is_read else planned

    def _plan_embeddings(self, trail: Trail) -> Plan:
        call = trail.call
        resolved = self._catalog.route(call.head.model, call.principal)
        if self.routes.is_plain(resolved, call):
            dialects, vendors = self._dialects, self._vendors
            planned = plan_embeddings(resolved.targets, surface=call.surface, vendors=vendors, dialects=dialects)
        else:
            planned = self.routes.plan(trail, resolved, is_chat=False)
        if call.principal.allowed_models is not None:
            self._check_others(planned, call)
        return planned

    def _check_others(self, planned: Plan, call: Call) -> None:
        """What else a provider may be asked to answer with. Raises ``ModelNotAllowed``, ``Unsupported``."""
        others = other_models(call.body)
        if others.open_fields:
            flaws = [Flaw(f"$.{field}", "leaves the model to the provider") for field in others.open_fields]
            raise Unsupported(
                "This key may use only some models, and the provider could answer with another: leave out "
                + ", ".join(others.open_fields)
                + ".",
                flaws=flaws,
            )
        for provider in {attempt.target.provider.name for attempt in planned.attempts}:
            for name in others.names:
                self._catalog.route(f"{provider}/{name}", call.principal)

    async def _answer_once(self, attempt: Attempt, trail: Trail) -> bytes:
        call = trail.call
        is_large = len(call.body) >= LARGE_BYTES
        request = await prepared(attempt, trail) if is_large else upstream_request(attempt, trail)
        body = await self._post(attempt, trail, request)
        if attempt.native:
            tapped = attempt.dialect.tap(body, vendor=attempt.vendor)
            usage = tapped.usage
            if usage is None or usage.estimated or not usage.output_tokens or not is_credible(usage):
                said = _native_chars(attempt, body) * call.head.choices
                usage = settled(usage, call=call, output_chars=said, ended=True)
            trail.used(usage, tapped.stop)
            trail.answered_by(tapped.model)
            if tapped.pins:
                return pinned_json(body, tapped.pins, maker_of(attempt.target.provider.id))
            return body
        response = attempt.dialect.read_response(body, vendor=attempt.vendor)
        usage = settled(response.usage, call=call, output_chars=answer_chars(response), ended=True)
        if usage is not response.usage:
            response = msgspec.structs.replace(response, usage=usage)
        if not response.created:
            response = msgspec.structs.replace(response, created=int(self._clock.now().timestamp()))
        trail.used(response.usage, response.stop)
        trail.answered_by(response.model)
        if trail.screen is not None:
            response = await ruled_answer(response, trail.screen, size_bytes=len(body))
        if call.is_slow:
            return await asyncio.to_thread(call.surface.write_response, response)
        return call.surface.write_response(response)

    async def _embed_once(self, attempt: Attempt, trail: Trail) -> bytes:
        return await embed_once(self._figures, attempt, trail, self._post)

    async def _count_once(self, attempt: Attempt, trail: Trail) -> bytes:
        return await count_once(self._figures, attempt, trail, self._post)

    async def _post(self, attempt: Attempt, trail: Trail, request: HttpRequest) -> bytes:
        transport = self._transports(attempt.target.provider)
        noting = noted(trail)
        if noting is not None:
            await noting
        sent = trail.sent()
        try:
            async with transport.send(request, timeouts=self._bounds(trail)) as answer:
                if answer.status >= 300:
                    raise await read_error(attempt, answer)
                self.routes.heard(attempt, answer)
                return await answer.read(max_bytes=self.settings.max_answer_bytes)
        finally:
            trail.waited_since(sent)

    def _bounds(self, trail: Trail) -> Timeouts:
        """The waits of an attempt: what the attempts before it left of the call's total."""
        bounds = self.settings.json_timeouts
        rest_s = trail.rest_s() if trail.notes else None
        return bounds if rest_s is None else msgspec.structs.replace(bounds, total_s=max(rest_s, _SHORTEST_S))

    async def _finish_failed(self, trail: Trail, error: BaseException) -> None:
        """Account for a call that ends without content: refused, left by its caller, or met by a defect of ours."""
        if isinstance(error, SamovarError):
            await self._finish(trail, CallStatus.ERROR, error.http_status, error.code)
        elif isinstance(error, asyncio.CancelledError):
            if trail.in_flight:
                trail.used(settled(None, call=trail.call, output_chars=0, ended=False), None)
            await self._finish(trail, CallStatus.CANCELLED, CLIENT_GONE, "client_gone")
        else:
            await self._finish(trail, CallStatus.ERROR, SamovarError.status, SamovarError.code)

    async def _finish(self, trail: Trail, status: CallStatus, http_status: int, error_code: str | None) -> None:
        concluding = self._ended(trail, status, http_status, error_code)
        if concluding is not None:
            await concluding

    def _ended(
        self, trail: Trail, status: CallStatus, http_status: int, error_code: str | None
    ) -> Awaitable[None] | None:
        """Account for a call. Await what comes back, if anything does, before its answer ends."""
        concluding = self._payments.conclude(trail)
        grant, usage = trail.call.grant, trail.usage
        if grant is not None:
            grant.settle(0 if usage is None else usage.input_tokens + usage.output_tokens)
        self._endings.add(trail.ended(status, http_status, error_code, is_lesson=status is _OK))
        return concluding


def _native_chars(attempt: Attempt, body: bytes) -> int:
    """Characters of an answer that passes through; all of it where it cannot be read."""
    try:
        return answer_chars(attempt.dialect.read_response(body, vendor=attempt.vendor))
    except SamovarError:
        return len(body)
