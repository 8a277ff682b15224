"""The use cases of the gateway: answer a call whole, or open a stream."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import msgspec

from samovar.domains.catalog.model import Model, Provider
from samovar.domains.catalog.service import CatalogService
from samovar.domains.gateway.errors import BreakerOpen
from samovar.domains.gateway.model import (
    Again,
    Attempt,
    Breaker,
    BreakerState,
    Call,
    CallFinished,
    CallStatus,
    GatewaySettings,
    GiveUp,
    NextTarget,
    Plan,
    counts_tokens,
    next_step,
    plan,
    plan_count,
    plan_embeddings,
    plan_for_makers,
)
from samovar.domains.gateway.model.retry import is_targets_fault
from samovar.domains.gateway.model.screening import screened_response
from samovar.domains.gateway.service.estimate import answer_chars, asked_tokens, settled
from samovar.domains.gateway.service.figures import Figures, count_once, embed_once, estimated_count
from samovar.domains.gateway.service.guarding import Guards, read_through
from samovar.domains.gateway.service.live import LiveStream, open_live
from samovar.domains.gateway.service.outbound import prepared
from samovar.domains.gateway.service.routes import Routes
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.errors import SamovarError
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.dialect import Dialect, UpstreamError, Vendor
from samovar.ports.pins import maker_of, pinned_json
from samovar.ports.transport import HttpAnswer, HttpRequest, Timeouts, Transport

T = TypeVar("T")

CANCELLED_STATUS: Final = 499
"""What a call counts as when its caller went away (nginx's number; nobody is there to read it)."""

_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_BREAKERS: Final = 4096
_SHORTEST_S: Final = 0.001


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
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._catalog = catalog
        self._dialects = dialects
        self._vendors = vendors
        self._transports = transports
        self._clock = clock
        self._jitter = jitter
        self._on_finished = on_finished
        self.settings = settings
        self._figures = figures
        self._guards = Guards()
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self.routes = Routes(
            catalog=catalog,
            vendors=vendors,
            dialects=dialects,
            clock=clock,
            chance=chance or jitter,
            breakers=lambda: self._breakers,
        )

    def models(self, principal: Principal) -> list[Model]:
        """What this caller may use, for ``GET /v1/models``: models, and the aliases and groups an admin defined."""
        return [*self._catalog.visible(principal), *self._catalog.named(principal)]

    def breaker_states(self) -> dict[str, BreakerState]:
        """Model id to the state of its breaker, for those that were ever called; of several providers that share a name
        (each team has its own) the worst."""
        states: dict[str, BreakerState] = {}
        for (_, model), breaker in self._breakers.items():
            if states.get(model) is not BreakerState.OPEN:
                states[model] = (
                    breaker.state if breaker.state is not BreakerState.CLOSED else states.get(model, breaker.state)
                )
        return states

    async def answer(self, call: Call) -> Answer:
        """The whole answer. Raises a ``SamovarError``; the call is accounted for either way."""
        return await self._whole(call, self._plan_chat, self._answer_once)

    async def embed(self, call: Call) -> Answer:
        """Vectors for texts. As :meth:`answer`."""
        return await self._whole(call, self._plan_embeddings, self._embed_once)

    async def count_tokens(self, call: Call) -> Answer:
        """The tokens of a prompt: the vendor's count, or our estimate (the trail says which). As :meth:`answer`."""

        trail = Trail(call, self._clock).bounded(self.settings.json_timeouts.total_s)
        try:
            if _is_guarded(call.principal):
                self._guards.admit_count(trail, self._figures.counts)
            planned = plan_count(self._plan(trail))
            if counts_tokens(planned.attempts[0]):
                body = await self._attempts(planned, trail, self._count_once)
            else:
                # No provider is asked: breakers learn nothing from it.
                trail.begin(planned.attempts[0])
                body = estimated_count(self._figures, trail)
                trail.succeeded()
        except BaseException as error:
            self._finish_failed(trail, error)
            raise
        self._finish(trail, CallStatus.OK, 200, None)
        return Answer(body, trail, planned)

    async def _whole(
        self, call: Call, plan_of: Callable[[Trail], Plan], once: Callable[[Attempt, Trail], Awaitable[bytes]]
    ) -> Answer:
        trail = Trail(call, self._clock).bounded(self.settings.json_timeouts.total_s)
        try:
            planned = plan_of(trail)
            body = await self._attempts(planned, trail, once)
        except BaseException as error:
            self._finish_failed(trail, error)
            raise
        self._finish(trail, CallStatus.OK, 200, None)
        return Answer(body, trail, planned)

    async def stream(self, call: Call) -> LiveStream:
        """A stream whose first content is here. Raises a ``SamovarError`` while another status can still be given; close
        what you get, in every case."""
        trail = Trail(call, self._clock)
        try:
            planned = self._plan_chat(trail)

            async def open_once(attempt: Attempt, trail: Trail) -> LiveStream:
                return await open_live(
                    attempt,
                    trail,
                    planned=planned,
                    transport=self._transports(attempt.target.provider),
                    clock=self._clock,
                    settings=self.settings,
                    read_error=read_error,
                    finish=self._finish,
                    heard=self.routes.heard,
                )

            return await self._attempts(planned, trail, open_once)
        except BaseException as error:
            self._finish_failed(trail, error)
            raise

    def _plan_chat(self, trail: Trail) -> Plan:
        if _is_guarded(trail.call.principal):
            self._guards.admit(trail)
        return self._plan(trail)

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
        return read_through(planned, self._dialects) if trail.is_read else planned

    def _plan_embeddings(self, trail: Trail) -> Plan:
        if _is_guarded(trail.call.principal):
            self._guards.admit_inputs(trail, self._figures.embeddings)
        call = trail.call
        resolved = self._catalog.route(call.head.model, call.principal)
        if not self.routes.is_plain(resolved, call):
            return self.routes.plan(trail, resolved, is_chat=False)
        return plan_embeddings(resolved.targets, surface=call.surface, vendors=self._vendors, dialects=self._dialects)

    async def _attempts(self, planned: Plan, trail: Trail, run: Callable[[Attempt, Trail], Awaitable[T]]) -> T:
        """Run the plan until an attempt succeeds or the policy gives up. Raises the last error."""
        grant = trail.call.grant
        if grant is not None and grant.counts_tokens:
            await grant.take_tokens(*asked_tokens(trail.call))
        position, tries = 0, 0
        while True:
            attempt = planned.attempts[position]
            breaker = self._breaker(attempt)
            tries += 1
            trail.begin(attempt)
            is_probe = False
            try:
                is_probe = self._admit(breaker)
                await _granted(trail.call, attempt)
                result = await run(attempt, trail)
            except SamovarError as error:
                self._tell(breaker, error, is_probe=is_probe)
                self.routes.failed(attempt, error)
                trail.failed(error)
                step = next_step(
                    error,
                    tries=tries,
                    targets_left=len(planned.attempts) - position - 1,
                    settings=self.settings,
                    jitter=self._jitter(),
                )
                if isinstance(step, GiveUp) or _is_over(trail, step):
                    raise
                if isinstance(step, Again):
                    await asyncio.sleep(step.after_s)
                else:
                    position += 1
            except asyncio.CancelledError:
                if is_probe:
                    breaker.abandoned()
                raise
            else:
                if not _is_late(breaker, is_probe=is_probe):
                    breaker.succeeded()
                trail.succeeded()
                return result

    async def _answer_once(self, attempt: Attempt, trail: Trail) -> bytes:
        call = trail.call
        request = await prepared(attempt, trail)
        body = await self._post(attempt, trail, request)
        if attempt.native:
            tapped = attempt.dialect.tap(body, vendor=attempt.vendor)
            usage = tapped.usage
            if usage is None or usage.estimated:
                usage = settled(usage, call=call, output_chars=_native_chars(attempt, body), ended=True)
            trail.used(usage, tapped.stop)
            if tapped.pins:
                return pinned_json(body, tapped.pins, maker_of(attempt.target.provider.id))
            return body
        response = attempt.dialect.read_response(body, vendor=attempt.vendor)
        if response.usage.estimated:
            guess = settled(response.usage, call=call, output_chars=answer_chars(response), ended=True)
            response = msgspec.structs.replace(response, usage=guess)
        trail.used(response.usage, response.stop)
        if trail.screen is not None:
            response = screened_response(response, trail.screen)
        return call.surface.write_response(response)

    async def _embed_once(self, attempt: Attempt, trail: Trail) -> bytes:
        return await embed_once(self._figures, attempt, trail, self._post)

    async def _count_once(self, attempt: Attempt, trail: Trail) -> bytes:
        return await count_once(self._figures, attempt, trail, self._post)

    async def _post(self, attempt: Attempt, trail: Trail, request: HttpRequest) -> bytes:
        transport = self._transports(attempt.target.provider)
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

    def _breaker(self, attempt: Attempt) -> Breaker:
        # By the provider's own id: names belong to a team, and one team's sick server is not another's.
        key = (attempt.target.provider.id, attempt.target.model.id)
        breaker = self._breakers.get(key)
        if breaker is None:
            if len(self._breakers) >= _MAX_BREAKERS:
                # Callers choose names, so what is kept of them is bounded: what is well is forgotten first.
                ill = {name: found for name, found in self._breakers.items() if found.state is not BreakerState.CLOSED}
                self._breakers = ill if len(ill) < _MAX_BREAKERS else {}
            breaker = Breaker(failures=self.settings.breaker_failures, rest_s=self.settings.breaker_rest_s)
            self._breakers[key] = breaker
        return breaker

    def _admit(self, breaker: Breaker) -> bool:
        """Let a call out, and say whether it is a half-open breaker's probe. Raises ``BreakerOpen``."""
        now = self._clock.monotonic()
        if not breaker.admits(now):
            rest_s = max(1, round(breaker.rests_for_s(now)))
            raise BreakerOpen(
                f"this model failed several times in a row; it is tried again in {rest_s} s",
                headers={"Retry-After": str(rest_s)},
            )
        return breaker.state is BreakerState.HALF_OPEN

    def _tell(self, breaker: Breaker, error: SamovarError, *, is_probe: bool) -> None:
        if _is_late(breaker, is_probe=is_probe):
            return
        if is_targets_fault(error):
            breaker.failed(self._clock.monotonic())
        elif isinstance(error, UpstreamError):
            breaker.succeeded()
        elif is_probe:
            breaker.abandoned()

    def _finish_failed(self, trail: Trail, error: BaseException) -> None:
        """Account for a call that ends without content: refused, left by its caller, or met by a defect of ours."""
        if isinstance(error, SamovarError):
            self._finish(trail, CallStatus.ERROR, error.http_status, error.code)
        elif isinstance(error, asyncio.CancelledError):
            if trail.in_flight:
                trail.used(settled(None, call=trail.call, output_chars=0, ended=False), None)
            self._finish(trail, CallStatus.CANCELLED, CANCELLED_STATUS, "client_gone")
        else:
            self._finish(trail, CallStatus.ERROR, SamovarError.status, SamovarError.code)

    def _finish(self, trail: Trail, status: CallStatus, http_status: int, error_code: str | None) -> None:
        grant, usage = trail.call.grant, trail.usage
        if grant is not None:
            grant.settle(0 if usage is None else usage.input_tokens + usage.output_tokens)
        if status is CallStatus.OK:
            self.routes.answered(trail)
        self._on_finished(trail.finished(status, http_status=http_status, error_code=error_code))


def _is_guarded(principal: Principal) -> bool:
    return principal.guard is not None or principal.drop_params


async def _granted(call: Call, attempt: Attempt) -> None:
    """Ask the limits of the target. Raises ``TargetLimited``, ``QuotaUnavailable``."""
    if call.grant is not None:
        asked = call.grant.to_target(attempt.target.provider.name, attempt.target.model.id)
        if asked is not None:
            await asked


def _is_over(trail: Trail, step: NextTarget | Again) -> bool:
    """Whether the call's total leaves no time for the next attempt."""
    rest_s = trail.rest_s()
    return rest_s is not None and rest_s <= (step.after_s if isinstance(step, Again) else 0.0)


def _is_late(breaker: Breaker, *, is_probe: bool) -> bool:
    """Whether a call went out before the breaker opened: only its probe speaks now."""
    return breaker.state is not BreakerState.CLOSED and not is_probe


def _native_chars(attempt: Attempt, body: bytes) -> int:
    """Characters of an answer that passes through; all of it where it cannot be read."""
    try:
        return answer_chars(attempt.dialect.read_response(body, vendor=attempt.vendor))
    except SamovarError:
        return len(body)


async def read_error(attempt: Attempt, answer: HttpAnswer) -> UpstreamError:
    """The vendor's error answer, as an error of ours. Raises a transport failure if it does not come whole."""
    body = await answer.read(max_bytes=_MAX_ERROR_BYTES)
    return attempt.dialect.read_error(answer.status, body, header=answer.header)
