"""Routing at work: gathers what the pure ranking looks at, learns from what became of a call, and explains without sending."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from samovar.domains.catalog.model import Resolved, Strategy
from samovar.domains.catalog.service import CatalogService
from samovar.domains.gateway.model import Attempt, Breaker, Call, Plan, attempted, plan, plan_embeddings, ranked
from samovar.domains.gateway.model.explanation import Explanation, explained
from samovar.domains.gateway.model.ranking import KEEPING
from samovar.domains.gateway.model.retry import is_targets_fault
from samovar.domains.gateway.model.routing import Demand, Routing, TargetKey, Vitals, cached_next_time
from samovar.domains.gateway.service.conversations import Conversations, conversation_of
from samovar.domains.gateway.service.estimate import CHARS_A_TOKEN, prompt_tokens
from samovar.domains.gateway.service.registry import TargetRegistry
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.errors import SamovarError
from samovar.ports.clock import Clock
from samovar.ports.dialect import Dialect, Unsupported, UpstreamError, Vendor
from samovar.ports.transport import HttpAnswer

# A provider that is full says so with one of these: "too many", "unavailable", Anthropic's "overloaded".
_SENT_AWAY: Final = frozenset({429, 503, 529})


class Routes:
    """Part of :class:`~samovar.domains.gateway.service.GatewayService`. ``chance`` gives numbers from 0 to 1."""

    def __init__(
        self,
        *,
        catalog: CatalogService,
        vendors: Mapping[str, Vendor],
        dialects: Mapping[str, Dialect],
        clock: Clock,
        chance: Callable[[], float],
        breakers: Callable[[], Mapping[TargetKey, Breaker]],
    ) -> None:
        self._catalog = catalog
        self._vendors = vendors
        self._dialects = dialects
        self._clock = clock
        self._chance = chance
        self._breakers = breakers
        self._choices: dict[tuple[str, str], int] = {}
        self._registry = TargetRegistry()
        self._conversations = Conversations()

    # -- before a call

    def is_plain(self, resolved: Resolved, call: Call) -> bool:
        """Whether the targets are taken as they stand, so that nothing needs to be known of them."""
        if len(resolved.targets) == 1:
            return True
        if resolved.strategy is not Strategy.ORDER or call.prefer_cheaper:
            return False
        return not self._registry.any_cooling(self._clock.monotonic())

    def plan(self, trail: Trail, resolved: Resolved, *, is_chat: bool = True) -> Plan:
        """The plan of a call that weighs its targets. Raises ``Unsupported`` where none can take it."""
        planned = (plan if is_chat else plan_embeddings)(
            resolved.targets,
            surface=trail.call.surface,
            vendors=self._vendors,
            dialects=self._dialects,
            routing=self._routing(trail, resolved, is_chat=is_chat),
            prefer_cheaper=trail.call.prefer_cheaper,
        )
        if planned.ranking is not None:
            words = planned.ranking.strategy.value, planned.ranking.how.value
            trail.strategy = words[0]
            self._choices[words] = self._choices.get(words, 0) + 1
        return planned

    def _routing(self, trail: Trail, resolved: Resolved, *, is_chat: bool) -> Routing:
        """What the ranking looks at. Vectors (not ``is_chat``) have no output and no conversation."""
        call = trail.call
        demand, conversation = self._demand(trail, is_chat=is_chat)
        if resolved.strategy not in KEEPING and not call.prefer_cheaper:
            conversation = None
        trail.conversation = conversation
        now = self._clock.monotonic()
        keys = [(target.provider.id, target.model.id) for target in resolved.targets]
        return Routing(
            strategy=resolved.strategy,
            demand=demand,
            at=call.started_at,
            vitals=self._registry.vitals(keys, now=now, breakers=self._breakers()),
            weights=resolved.weights,
            kept=None if conversation is None else self._conversations.place(conversation, now=now),
            chance=self._chance(),
            # Where only one provider can go on from an answer, all that is at it must be looked at.
            is_open=resolved.is_open and not call.head.makers,
        )

    def _demand(self, trail: Trail, *, is_chat: bool) -> tuple[Demand, bytes | None]:
        call = trail.call
        try:
            request = trail.request() if call.as_prompt is None else call.as_prompt(call.body)
        except SamovarError:
            # A vendor of the caller's own dialect takes what we cannot read: its length is all there is to go by.
            guess = -(-len(call.body) // CHARS_A_TOKEN)
            most = call.head.max_output_tokens if is_chat else 0
            return Demand(input_tokens=guess, max_output_tokens=most, stream=call.head.stream), None
        if not is_chat:
            return Demand(input_tokens=prompt_tokens(request), max_output_tokens=0), None
        demand = Demand.of(request, input_tokens=prompt_tokens(request), stream=call.head.stream)
        return demand, conversation_of(call.principal.team_id, call.head.model, request)

    # -- after it

    def heard(self, attempt: Attempt, answer: HttpAnswer) -> None:
        """The headers of a provider's answer are here."""
        self._registry.heard(
            key_of(attempt), now=self._clock.monotonic(), dialect=attempt.dialect.name, header=answer.header
        )

    def failed(self, attempt: Attempt, error: SamovarError) -> None:
        """An attempt failed."""
        now = self._clock.monotonic()
        if is_targets_fault(error):
            self._registry.failed(key_of(attempt), now=now)
        if isinstance(error, UpstreamError) and error.retry_after_s and error.upstream_status in _SENT_AWAY:
            self._registry.sent_away(key_of(attempt), now=now, for_s=error.retry_after_s)

    def answered(self, trail: Trail) -> None:
        """A call ended well."""
        attempt, usage = trail.attempt, trail.usage
        if attempt is None or usage is None:
            # A count of tokens: it says nothing of how fast the model answers.
            return
        now = trail.ended_at
        first_s, whole_s = trail.pace()
        key = key_of(attempt)
        self._registry.answered(
            key,
            now=now,
            first_s=first_s if trail.call.head.stream else None,
            whole_s=whole_s,
            output_tokens=usage.output_tokens,
        )
        if trail.conversation is not None:
            card = attempt.target.model.price
            marks_needed = card is not None and card.sheet(at=trail.call.started_at).rates.cache_write is not None
            cached = cached_next_time(usage, marks_needed=marks_needed)
            self._conversations.answered(trail.conversation, key, cached_tokens=cached, now=now)

    def figures(self) -> tuple[Mapping[tuple[str, str], int], Mapping[TargetKey, Vitals]]:
        """For metrics: how often which strategy chose how, and what is known of all targets ever called."""
        return self._choices, self._registry.all_vitals(self._clock.monotonic())

    def vitals_of(self, provider_id: str) -> dict[str, Vitals]:
        """Model id to what is known of it, for a provider's models that were ever called."""
        found = self._registry.all_vitals(self._clock.monotonic())
        return {model: vitals for (provider, model), vitals in found.items() if provider == provider_id}

    # -- instead of it

    def explain(self, call: Call, *, is_chat: bool = True) -> Explanation:
        """The plan that ``call`` would get now, but for chance: nothing is explored or drawn. Nothing is sent, learned or
        accounted for. Raises ``ModelNotFound``, ``AmbiguousModel``, ``ModelNotAllowed``."""
        resolved = self._catalog.route(call.head.model, call.principal)
        routing = msgspec.structs.replace(
            self._routing(Trail(call, self._clock), resolved, is_chat=is_chat), chance=None
        )
        ranking = ranked(
            resolved.targets,
            vendors=self._vendors,
            dialects=self._dialects,
            routing=routing,
            prefer_cheaper=call.prefer_cheaper and len(resolved.targets) > 1,
            vectors=not is_chat,
        )
        try:
            count = len(attempted(ranking, routing))
        except Unsupported:
            count = 0
        return explained(ranking, routing, model=call.head.model, attempts=count)


def key_of(attempt: Attempt) -> TargetKey:
    """See :data:`~samovar.domains.gateway.model.routing.TargetKey`."""
    return (attempt.target.provider.id, attempt.target.model.id)
