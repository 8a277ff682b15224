"""Runs a plan: breakers, keys, retries, until an attempt succeeds or the policy gives up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from samovar.domains.catalog.model import Model
from samovar.domains.gateway.errors import BreakerOpen
from samovar.domains.gateway.model import (
    Again,
    Attempt,
    Breaker,
    BreakerState,
    Call,
    GatewaySettings,
    GiveUp,
    Next,
    Plan,
    next_step,
)
from samovar.domains.gateway.model.retry import is_targets_fault
from samovar.domains.gateway.model.routing import ASSUMED_OUTPUT_TOKENS
from samovar.domains.gateway.service.estimate import asked_tokens
from samovar.domains.gateway.service.key_pools import KeyPools
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.errors import SamovarError
from samovar.ports.clock import Clock
from samovar.ports.dialect import UpstreamError

T = TypeVar("T")

_MAX_BREAKERS: Final = 4096
# A member reached through its class costs a call of a function, and each gateway call takes this path.
_CLOSED: Final = BreakerState.CLOSED
_HALF_OPEN: Final = BreakerState.HALF_OPEN


class Attempts:
    """Part of :class:`~samovar.domains.gateway.service.GatewayService`. ``failed`` hears of each attempt that failed."""

    def __init__(
        self,
        *,
        clock: Clock,
        jitter: Callable[[], float],
        settings: GatewaySettings,
        failed: Callable[[Attempt, SamovarError], None],
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._settings = settings
        self._failed = failed
        self.breakers: dict[tuple[str, str], Breaker] = {}
        self.keys = KeyPools(clock)

    def breaker_states(self) -> dict[str, BreakerState]:
        """Model id to the state of its breaker, for those that were ever called; of several providers that share a name
        (each team has its own) the worst."""
        states: dict[str, BreakerState] = {}
        for (_, model), breaker in self.breakers.items():
            if states.get(model) is not BreakerState.OPEN:
                states[model] = breaker.state if breaker.state is not _CLOSED else states.get(model, breaker.state)
        return states

    async def run(self, planned: Plan, trail: Trail, once: Callable[[Attempt, Trail], Awaitable[T]]) -> T:
        """Run the plan until an attempt succeeds or the policy gives up. Raises the last error."""
        taking = _take_tokens(trail.call, planned.attempts[0].target.model)
        if taking is not None:
            await taking
        position, tries = 0, 0
        while True:
            attempt = planned.attempts[position]
            breaker = self._breaker(attempt)
            tries += 1
            trail.begin(attempt, self.keys.take(attempt.target.provider))
            is_probe = False
            try:
                is_probe = self._admit(breaker)
                asking = _ask_target(trail.call, attempt)
                if asking is not None:
                    await asking
                result = await once(attempt, trail)
            except SamovarError as error:
                self._tell(breaker, error, is_probe=is_probe)
                step = self._step(error, attempt, trail, tries=tries, left=len(planned.attempts) - position - 1)
                if _is_over(trail, step):
                    raise
                position += await _targets_on(step)
            except asyncio.CancelledError:
                if is_probe:
                    breaker.abandoned()
                raise
            else:
                if not _is_late(breaker, is_probe=is_probe):
                    breaker.succeeded()
                self.keys.answered(attempt.target.provider, trail.key)
                trail.succeeded()
                return result

    def _step(self, error: SamovarError, attempt: Attempt, trail: Trail, *, tries: int, left: int) -> Next:
        """Learn from a failure, and say what to do now."""
        has_other_key = self.keys.failed(attempt.target.provider, trail.key, error)
        if not has_other_key:
            # Where it was the key's fault alone, the target is as good as before.
            self._failed(attempt, error)
        trail.failed(error)
        return next_step(
            error,
            tries=tries,
            targets_left=left,
            has_other_key=has_other_key,
            settings=self._settings,
            jitter=self._jitter(),
        )

    def _breaker(self, attempt: Attempt) -> Breaker:
        # By the provider's own id: names belong to a team, and one team's sick server is not another's.
        key = (attempt.target.provider.id, attempt.target.model.id)
        breaker = self.breakers.get(key)
        if breaker is None:
            if len(self.breakers) >= _MAX_BREAKERS:
                # Callers choose names, so what is kept of them is bounded: what is well is forgotten first.
                ill = {name: found for name, found in self.breakers.items() if found.state is not _CLOSED}
                self.breakers = ill if len(ill) < _MAX_BREAKERS else {}
            breaker = Breaker(failures=self._settings.breaker_failures, rest_s=self._settings.breaker_rest_s)
            self.breakers[key] = breaker
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
        return breaker.state is _HALF_OPEN

    def _tell(self, breaker: Breaker, error: SamovarError, *, is_probe: bool) -> None:
        if _is_late(breaker, is_probe=is_probe):
            return
        if is_targets_fault(error):
            breaker.failed(self._clock.monotonic())
        elif isinstance(error, UpstreamError):
            breaker.succeeded()
        elif is_probe:
            breaker.abandoned()


def _take_tokens(call: Call, model: Model) -> Awaitable[None] | None:
    """What a call says by estimate, and its answers at most: by the caller's bound, else the model's. Without one, calls
    that race would all pass a limit that has room for the first of them. Await what comes back, if anything does: it raises
    ``RateLimited``, ``QuotaUnavailable``."""
    grant = call.grant
    if grant is None or not grant.counts_tokens:
        return None
    said, named = asked_tokens(call)
    if call.as_prompt is not None:
        # Vectors and counts are not made of tokens.
        return grant.take_tokens(said, 0)
    most = model.max_output_tokens or named or ASSUMED_OUTPUT_TOKENS
    answered = named if 0 < named < most else most
    return grant.take_tokens(said, answered * call.head.choices, is_named=named > 0)


def _ask_target(call: Call, attempt: Attempt) -> Awaitable[None] | None:
    """Ask the limits of the target. Await what comes back, if anything does: it raises ``TargetLimited``,
    ``QuotaUnavailable``."""
    return None if call.grant is None else call.grant.to_target(attempt.target.provider.name, attempt.target.model.id)


async def _targets_on(step: Next) -> int:
    """How many targets further the next attempt goes; waits where it is the same one again."""
    if isinstance(step, Again):
        await asyncio.sleep(step.after_s)
        return 0
    return 1


def _is_over(trail: Trail, step: Next) -> bool:
    """Whether there is no next attempt, or the call's total leaves no time for it."""
    if isinstance(step, GiveUp):
        return True
    rest_s = trail.rest_s()
    return rest_s is not None and rest_s <= (step.after_s if isinstance(step, Again) else 0.0)


def _is_late(breaker: Breaker, *, is_probe: bool) -> bool:
    """Whether a call went out before the breaker opened: only its probe speaks now."""
    return breaker.state is not _CLOSED and not is_probe
