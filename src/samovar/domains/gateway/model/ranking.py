"""From what is known of each target to an order of them. Pure: neither clock nor chance but what is given.

First the targets that lack what the call needs are ruled out. Then they are ordered by standing (see
:class:`~samovar.domains.gateway.model.routing.Standing`), by the strategy's measure, and at last as they were given, so
the order is total and the same for the same input. An unknown measure comes after all known ones.
"""

from collections.abc import Callable, Sequence, Set
from math import inf, log2, log10
from typing import Final

import msgspec

from samovar.domains.catalog.model import Model, PriceCard, Strategy, Target
from samovar.domains.gateway.model.routing import (
    ASSUMED_OUTPUT_TOKENS,
    EXPLORE_SHARE,
    SEEN_LATELY_S,
    UNSEEN,
    Demand,
    Excluded,
    Held,
    How,
    Ranked,
    Ranking,
    Routing,
    Standing,
    Vitals,
)
from samovar.kernel.money import credits_text

ONLY_TARGET: Final = "only target"
LOW_HEADROOM: Final = 0.1
# Latencies are compared for an answer of this length; where none was ever streamed, whole answers stand for it.
_EXPECTED_OUTPUT_TOKENS: Final = 256
# Every chat model of today reads this much: below it, an unknown context window is no reason to doubt.
_SURE_CONTEXT_TOKENS: Final = 4096
_EXPLORED_AT_ONCE: Final = 8
_FEMTO_PER_NANO: Final = 1_000_000
# What ``balanced`` weighs, and what stands for a part that is not known.
_COST_SHARE: Final = 0.3
_LATENCY_SHARE: Final = 0.3
_QUALITY_SHARE: Final = 0.4
_UNKNOWN_COST: Final = 0.0
_UNKNOWN_LATENCY: Final = 0.5
_UNKNOWN_QUALITY: Final = 0.25
_FREE_NANO_USD: Final = 1_000
"""Added to both sides of a ratio of costs: a free model is not infinitely better than one for a millionth of a dollar."""

EXPLORING: Final = frozenset({Strategy.LATENCY, Strategy.BALANCED})
KEEPING: Final = frozenset({Strategy.COST, Strategy.BALANCED})


class _Candidate(msgspec.Struct, frozen=True, gc=False):
    """What the measures look at. ``place`` is where it stood among the targets given."""

    place: int
    target: Target
    standing: Standing
    vitals: Vitals
    cost: int | None
    latency: float | None
    notes: tuple[str, ...]


def rank(targets: Sequence[Target], routing: Routing, *, mute: Set[str] = frozenset()) -> Ranking:
    """The order of ``targets``; providers of the vendors in ``mute`` cannot be asked such a thing at all."""
    chosen = _in_order if routing.strategy is Strategy.ORDER else _by_measure
    return chosen(targets, routing, mute)


def cost_of(
    card: PriceCard | None, demand: Demand, *, output_tokens: int, routing: Routing, cached: int = 0
) -> int | None:
    """Nano-dollars of a call as estimated, ``None`` where a price is missing: what
    :func:`samovar.domains.billing.model.price` says of that usage, without its table of lines."""
    if card is None:
        return None
    input_tokens = demand.input_tokens
    rates = card.rates(input_tokens=input_tokens, at=routing.at)
    if (input_tokens and rates.input is None) or (output_tokens and rates.output is None):
        return None
    each = rates.input or 0
    femto = input_tokens * each + output_tokens * (rates.output or 0)
    if rates.request is not None:
        femto += rates.request * _FEMTO_PER_NANO
    if cached:
        femto -= min(cached, input_tokens) * (each - (each if rates.cached_input is None else rates.cached_input))
    return (femto + _FEMTO_PER_NANO // 2) // _FEMTO_PER_NANO


# --- plain order --------------------------------------------------------------------------------------------------------


def _in_order(targets: Sequence[Target], routing: Routing, mute: Set[str]) -> Ranking:
    """As the admin wrote them, whatever they lack (it is said in the notes); only who asked us to stay away goes last."""
    ranked: list[Ranked] = []
    excluded: list[Excluded] = []
    for target in targets:
        if target.provider.vendor in mute:
            excluded.append(_muted(target))
            continue
        found = _candidate(target, len(ranked), routing, _lacks(target.model, routing.demand))
        standing = Standing.COOLING if found.vitals.cooling_s > 0 else Standing.READY
        ranked.append(Ranked(target, standing, None, found.cost, found.latency, found.vitals, found.notes))
    ranked.sort(key=lambda one: one.standing)
    later = sum(one.standing is Standing.COOLING for one in ranked)
    why = ONLY_TARGET if len(ranked) == 1 else "in the group's order"
    if 0 < later < len(ranked):
        why += f", {later} cooling down last"
    return Ranking(Strategy.ORDER, tuple(ranked), tuple(excluded), why)


# --- by a measure -------------------------------------------------------------------------------------------------------


def _by_measure(targets: Sequence[Target], routing: Routing, mute: Set[str]) -> Ranking:
    candidates: list[_Candidate] = []
    excluded: list[Excluded] = []
    for place, target in enumerate(targets):
        if target.provider.vendor in mute:
            excluded.append(_muted(target))
        elif lacks := _lacks(target.model, routing.demand):
            excluded.append(Excluded(target, lacks))
        else:
            candidates.append(_candidate(target, place, routing))
    held = _held(candidates, routing)
    order = _balanced if routing.strategy is Strategy.BALANCED else _measured
    ranked = order(candidates, routing)
    if not ranked:
        return Ranking(routing.strategy, (), tuple(excluded), "no target can take this call")
    ranked, how = _with_chance(ranked, routing, held)
    why = _why(ranked, routing, how, is_alone=len(targets) == 1)
    return Ranking(routing.strategy, tuple(ranked), tuple(excluded), why, how, held)


def _muted(target: Target) -> Excluded:
    return Excluded(target, ("its provider does not offer this",))


def _lacks(model: Model, demand: Demand) -> tuple[str, ...]:
    """Why a model cannot take the call, as far as anybody knows; empty for most."""
    able, context, most = model.abilities, model.context_window, model.max_output_tokens
    asked = demand.max_output_tokens or 0
    # Most lack nothing, and there may be hundreds: they are let through with as little ado as can be.
    if (
        (able is None or demand.needs <= able)
        and (context is None or demand.input_tokens + asked <= context)
        and (most is None or asked <= most)
    ):
        return ()
    lacks: list[str] = []
    if demand.needs and able is not None and not demand.needs <= able:
        lacks.extend(f"lacks {ability.value}" for ability in sorted(demand.needs - able))
    if context is not None and demand.input_tokens + asked > context:
        lacks.append(f"its context of {context} tokens is too small for about {demand.input_tokens} and {asked} out")
    if most is not None and asked > most:
        lacks.append(f"answers at most {most} tokens")
    return tuple(lacks)


def _candidate(target: Target, place: int, routing: Routing, notes: tuple[str, ...] = ()) -> _Candidate:
    model, demand = target.model, routing.demand
    key = (target.provider.id, model.id)
    vitals = routing.vitals.get(key, UNSEEN)
    standing, notes = _standing(model, demand, vitals, notes, is_open=routing.is_open)
    output = ASSUMED_OUTPUT_TOKENS if demand.max_output_tokens is None else demand.max_output_tokens
    most = model.max_output_tokens
    if most is not None and output > most:
        output = most
    kept = routing.kept
    cached = kept.cached_tokens if kept is not None and kept.key == key else 0
    cost = cost_of(model.price, demand, output_tokens=output, routing=routing, cached=cached)
    return _Candidate(place, target, standing, vitals, cost, _latency(vitals, demand), notes)


def _standing(
    model: Model, demand: Demand, vitals: Vitals, notes: tuple[str, ...], *, is_open: bool
) -> tuple[Standing, tuple[str, ...]]:
    standing = Standing.READY
    if vitals.headroom is not None and vitals.headroom < LOW_HEADROOM:
        standing = Standing.NEARLY_SPENT
        notes += ("little is left of its rate limit",)
    if (model.abilities is None and (is_open or demand.needs)) or (
        model.context_window is None and demand.input_tokens > _SURE_CONTEXT_TOKENS
    ):
        standing = Standing.PERHAPS
        notes += ("not known whether it can",)
    if vitals.cooling_s > 0:
        standing = Standing.COOLING
        notes += ("its provider asked to be left alone for a while",)
    if vitals.resting_s > 0:
        standing = Standing.RESTING
        notes += ("it failed again and again",)
    return standing, notes


def _latency(vitals: Vitals, demand: Demand) -> float | None:
    """Seconds until the caller has an answer of the usual length, the time lost to failures included."""
    streamed = vitals.first_s
    if streamed is not None and vitals.tokens_per_s:
        streamed += _EXPECTED_OUTPUT_TOKENS / vitals.tokens_per_s
    first, second = (streamed, vitals.whole_s) if demand.stream else (vitals.whole_s, streamed)
    found = second if first is None else first
    return None if found is None else found / max(0.1, 1.0 - vitals.failure)


def _measured(candidates: Sequence[_Candidate], routing: Routing) -> list[Ranked]:
    """One figure decides. Of equals in quality the cheaper comes first, and so of those not seen where nobody gave an order."""
    measure: Callable[[_Candidate], float | None] = {
        Strategy.COST: lambda one: one.cost,
        Strategy.LATENCY: lambda one: one.latency,
        Strategy.QUALITY: lambda one: one.target.model.quality,
        Strategy.WEIGHTED: lambda one: routing.weights.get(one.target.model.id, 1),
    }[routing.strategy]
    sign = -1 if routing.strategy in (Strategy.QUALITY, Strategy.WEIGHTED) else 1
    cheaper_first = routing.strategy is Strategy.QUALITY or routing.is_open
    ordered = []
    for one in candidates:
        score = measure(one)
        tie = inf if one.cost is None or not cheaper_first else one.cost
        ordered.append((one.standing, inf if score is None else sign * score, tie, one.place, score, one))
    ordered.sort(key=lambda row: row[:4])
    return [
        Ranked(one.target, standing, score, one.cost, one.latency, one.vitals, one.notes)
        for standing, _, _, _, score, one in ordered
    ]


def _balanced(candidates: Sequence[_Candidate], routing: Routing) -> list[Ranked]:
    """Each part is 1 for the best of the candidates: a tenth for ten times the price would drown all else, so costs and
    latencies count by their logarithms."""
    least = min((one.cost for one in candidates if one.cost is not None), default=0) + _FREE_NANO_USD
    fastest = min((one.latency for one in candidates if one.latency is not None), default=0.0)
    best = max((one.target.model.quality or 0 for one in candidates), default=0) or 1
    ordered = []
    for one in candidates:
        cost, latency, quality = _UNKNOWN_COST, _UNKNOWN_LATENCY, _UNKNOWN_QUALITY
        if one.cost is not None:
            cost = 1 / (1 + log10((one.cost + _FREE_NANO_USD) / least))
        if one.latency is not None:
            latency = 1 / (1 + log2(max(1.0, one.latency / fastest))) if fastest > 0 else 1.0
        if one.target.model.quality is not None:
            quality = (one.target.model.quality / best) ** 2
        score = _COST_SHARE * cost + _LATENCY_SHARE * latency + _QUALITY_SHARE * quality
        ordered.append((one.standing, -score, one.place, (cost, latency, quality), one))
    ordered.sort(key=lambda row: row[:3])
    return [
        Ranked(one.target, standing, -negative, one.cost, one.latency, one.vitals, one.notes, parts)
        for standing, negative, _, parts, one in ordered
    ]


# --- conversations and chance -------------------------------------------------------------------------------------------


def _held(candidates: Sequence[_Candidate], routing: Routing) -> Held | None:
    kept = routing.kept
    if kept is None or routing.strategy not in KEEPING:
        return None
    for one in candidates:
        model = one.target.model
        if (one.target.provider.id, model.id) == kept.key and one.cost is not None and model.price is not None:
            demand = routing.demand
            cached = min(kept.cached_tokens, demand.input_tokens)
            full = cost_of(model.price, demand, output_tokens=0, routing=routing)
            less = cost_of(model.price, demand, output_tokens=0, routing=routing, cached=cached)
            return Held(kept.key, model.id, cached, (full or 0) - (less or 0))
    return None


def _with_chance(ranked: list[Ranked], routing: Routing, held: Held | None) -> tuple[list[Ranked], How]:
    first, how = 0, How.BEST
    chance = routing.chance
    if routing.strategy is Strategy.WEIGHTED:
        how = How.DRAWN
        first = 0 if chance is None else _drawn(ranked, chance)
    elif held is not None and held.leaving_nano_usd > 0:
        # A conversation that has its place is not sent away to try something.
        how = How.KEPT if ranked[0].key == held.key else How.BEST
    elif routing.strategy in EXPLORING and chance is not None and chance < EXPLORE_SHARE:
        due = [place for place, one in enumerate(ranked) if place and _is_due(one)][:_EXPLORED_AT_ONCE]
        if due:
            first, how = due[int(chance / EXPLORE_SHARE * len(due))], How.EXPLORED
    return ([ranked[first], *ranked[:first], *ranked[first + 1 :]] if first else ranked), how


def _is_due(one: Ranked) -> bool:
    age_s = one.vitals.age_s
    return one.standing <= Standing.NEARLY_SPENT and (age_s is None or age_s >= SEEN_LATELY_S)


def _drawn(ranked: Sequence[Ranked], chance: float) -> int:
    """Of those in the best standing one, by weight; the heaviest where none of them weighs anything."""
    peers = [one for one in ranked if one.standing is ranked[0].standing]
    left = chance * sum(one.score or 0 for one in peers)
    for place, one in enumerate(peers):
        left -= one.score or 0
        if left < 0:
            return place
    return 0


def _why(ranked: Sequence[Ranked], routing: Routing, how: How, *, is_alone: bool) -> str:
    best, count = ranked[0], len(ranked)
    of = f"of {count}"
    if count == 1:
        if is_alone:
            return ONLY_TARGET
        return f"{routing.strategy.value}: the only target that can"
    if how is How.EXPLORED:
        return f"{routing.strategy.value}: tried {of} because it was not seen lately"
    if routing.strategy is Strategy.WEIGHTED:
        return f"weighted: drawn {of} with weight {best.score:g}"
    if best.score is None:
        return f"{routing.strategy.value}: nothing is known {of}, taken as given"
    words = {
        Strategy.COST: f"cheapest {of}, about {credits_text(best.cost_nano_usd or 0)} credits",
        Strategy.LATENCY: f"fastest {of}, about {best.score:.2f} s",
        Strategy.QUALITY: f"best {of}, {best.score:g} of 100",
        Strategy.BALANCED: f"best {of}, {best.score:.2f} of 1",
    }[routing.strategy]
    kept = ", keeps its prompt cache" if how is How.KEPT else ""
    return f"{routing.strategy.value}: {words}{kept}"
