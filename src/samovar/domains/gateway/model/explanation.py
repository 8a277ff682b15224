"""A ranking in words and figures, as ``POST /api/routes/explain`` answers it. Money is in credits, as decimal strings.

There are hundreds of some of these in one answer, and none can be part of a cycle: the collector need not see them.
"""

import msgspec

from samovar.domains.catalog.model import Strategy
from samovar.domains.gateway.model.ranking import EXPLORING
from samovar.domains.gateway.model.routing import (
    ASSUMED_OUTPUT_TOKENS,
    EXPLORE_SHARE,
    Demand,
    Ranked,
    Ranking,
    Routing,
    Vitals,
)
from samovar.kernel.money import credits_text


class Asked(msgspec.Struct, frozen=True):
    """What the call asks of a target, as we read and estimate it. ``priced_output_tokens`` is what an answer is priced at,
    or the model's own maximum where that is less."""

    input_tokens: int
    max_output_tokens: int | None
    priced_output_tokens: int
    needs: tuple[str, ...]
    stream: bool


class Parts(msgspec.Struct, frozen=True, gc=False):
    """What ``balanced`` weighs, each 0 to 1."""

    cost: float
    latency: float
    quality: float


class Choice(msgspec.Struct, frozen=True, gc=False):
    """A target in the ranking. ``attempt`` is its place among those that are tried, ``None`` beyond. ``score`` is the
    strategy's own measure: credits, seconds, 0 to 100, 0 to 1, or weight."""

    model: str
    provider: str
    attempt: int | None
    standing: str
    score: float | None
    parts: Parts | None
    cost_credits: str | None
    latency_s: float | None
    quality: int | None
    weight: int
    abilities: tuple[str, ...] | None
    seen: Vitals
    notes: tuple[str, ...]


class RuledOut(msgspec.Struct, frozen=True, gc=False):
    """A target that cannot take the call."""

    model: str
    provider: str
    reasons: tuple[str, ...]


class Place(msgspec.Struct, frozen=True):
    """Where the conversation was last answered, and what its cached prompt would cost more at another's full price."""

    model: str
    cached_tokens: int
    leaving_costs_credits: str


class Explanation(msgspec.Struct, frozen=True):
    """The plan for a request that is not sent. ``explores`` is the share of such calls that try a target not seen lately."""

    model: str
    strategy: Strategy
    why: str
    asked: Asked
    attempts: tuple[str, ...]
    targets: tuple[Choice, ...]
    excluded: tuple[RuledOut, ...]
    conversation: Place | None
    explores: float


def explained(ranking: Ranking, routing: Routing, *, model: str, attempts: int) -> Explanation:
    """``attempts`` is how many of the ranking are tried; ``model`` the name that was asked for."""
    is_money = ranking.strategy is Strategy.COST
    held = ranking.held
    return Explanation(
        model=model,
        strategy=ranking.strategy,
        why=ranking.why,
        asked=_asked(routing.demand),
        attempts=tuple([one.target.model.id for one in ranking.ranked[:attempts]]),
        targets=tuple(
            [
                _choice(one, routing, place + 1 if place < attempts else None, is_money=is_money)
                for place, one in enumerate(ranking.ranked)
            ]
        ),
        excluded=tuple(
            [RuledOut(one.target.model.id, one.target.provider.name, one.reasons) for one in ranking.excluded]
        ),
        conversation=None
        if held is None
        else Place(held.model, held.cached_tokens, credits_text(held.leaving_nano_usd)),
        explores=EXPLORE_SHARE if ranking.strategy in EXPLORING else 0.0,
    )


def _asked(demand: Demand) -> Asked:
    bound = demand.max_output_tokens
    return Asked(
        input_tokens=demand.input_tokens,
        max_output_tokens=bound,
        priced_output_tokens=ASSUMED_OUTPUT_TOKENS if bound is None else bound,
        needs=tuple(sorted(demand.needs)),
        stream=demand.stream,
    )


def _choice(one: Ranked, routing: Routing, attempt: int | None, *, is_money: bool) -> Choice:
    model = one.target.model
    cost = None if one.cost_nano_usd is None else credits_text(one.cost_nano_usd)
    return Choice(
        model.id,
        one.target.provider.name,
        attempt,
        one.standing.word,
        float(cost) if is_money and cost is not None else one.score,
        None if one.parts is None else Parts(*one.parts),
        cost,
        one.latency_s,
        model.quality,
        routing.weights.get(model.id, 1),
        None if model.abilities is None else tuple(model.abilities),
        one.vitals,
        one.notes,
    )
