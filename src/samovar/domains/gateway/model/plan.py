"""From targets to a plan. Pure; :mod:`ranking` says which of several comes first."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Final, cast

import msgspec

from samovar.domains.catalog.model import Strategy, Target
from samovar.domains.gateway.errors import MadeElsewhere
from samovar.domains.gateway.model.call import Attempt, Plan
from samovar.domains.gateway.model.ranking import ONLY_TARGET, rank
from samovar.domains.gateway.model.routing import OPEN_ATTEMPTS, Ranked, Ranking, Routing
from samovar.ports.dialect import Dialect, Surface, Unsupported, Vendor
from samovar.ports.pins import maker_of

_MAX_REASONS: Final = 3
_WHY: Final = {True: ONLY_TARGET, False: "in the group's order"}


def plan(
    targets: Sequence[Target],
    *,
    surface: Surface,
    vendors: Mapping[str, Vendor],
    dialects: Mapping[str, Dialect],
    routing: Routing | None = None,
    prefer_cheaper: bool = False,
) -> Plan:
    """An attempt for each target, in the order given (an admin's order of a group is a wish); with ``routing``, as that
    ranks those that can take the call, and where nobody named the targets only the best few.

    A vendor that speaks the caller's dialect is spoken to in it, so that nothing is translated; else in its own best one.
    Raises ``Unsupported`` where no target speaks a language of chat that we know, or none can take the call.
    """
    if routing is not None:
        ranking = ranked(targets, vendors=vendors, dialects=dialects, routing=routing, prefer_cheaper=prefer_cheaper)
        chosen = [one.target for one in attempted(ranking, routing)]
        return _explained(plan(chosen, surface=surface, vendors=vendors, dialects=dialects), ranking)
    attempts = tuple(
        [
            attempt
            for target in targets
            if (attempt := _attempt(target, surface, vendors[target.provider.vendor], dialects)) is not None
        ]
    )
    if not attempts:
        names = ", ".join(sorted({target.provider.name for target in targets}))
        raise Unsupported(f"the provider {names} offers no chat; choose a model of another one")
    return Plan(attempts, _WHY[len(attempts) == 1])


def plan_embeddings(
    targets: Sequence[Target],
    *,
    surface: Surface,
    vendors: Mapping[str, Vendor],
    dialects: Mapping[str, Dialect],
    routing: Routing | None = None,
    prefer_cheaper: bool = False,
) -> Plan:
    """As :func:`plan`, for vectors. ``surface`` is the dialect whose family the caller's embeddings belong to."""
    if routing is not None:
        ranking = ranked(
            targets, vendors=vendors, dialects=dialects, routing=routing, prefer_cheaper=prefer_cheaper, vectors=True
        )
        chosen = [one.target for one in attempted(ranking, routing)]
        return _explained(plan_embeddings(chosen, surface=surface, vendors=vendors, dialects=dialects), ranking)
    found: list[Attempt] = []
    for target in targets:
        vendor = vendors[target.provider.vendor]
        spoken = [name for name in vendor.embedding_paths if name in dialects]
        if surface.name in spoken:
            found.append(Attempt(target, vendor, cast(Dialect, surface), native=True))
        elif spoken:
            found.append(Attempt(target, vendor, dialects[spoken[0]], native=False))
    if not found:
        names = ", ".join(sorted({target.provider.name for target in targets}))
        raise Unsupported(f"the provider {names} offers no embeddings; choose a model of another one")
    return Plan(tuple(found), _WHY[len(found) == 1])


def ranked(
    targets: Sequence[Target],
    *,
    vendors: Mapping[str, Vendor],
    dialects: Mapping[str, Dialect],
    routing: Routing,
    prefer_cheaper: bool = False,
    vectors: bool = False,
) -> Ranking:
    """What :func:`plan` goes by (``vectors``: :func:`plan_embeddings`), without anything being planned."""
    if prefer_cheaper:
        routing = msgspec.structs.replace(routing, strategy=Strategy.COST)
    mute = {
        name
        for name in {target.provider.vendor for target in targets}
        if not dialects.keys() & (vendors[name].embedding_paths if vectors else vendors[name].paths).keys()
    }
    ranking = rank(targets, routing, mute=mute)
    if not prefer_cheaper or len(targets) == 1:
        return ranking
    return msgspec.structs.replace(ranking, why=f"{ranking.why}; the budget asks for cheaper")


def attempted(ranking: Ranking, routing: Routing) -> Sequence[Ranked]:
    """Those that are tried. Raises ``Unsupported`` where there are none."""
    if not ranking.ranked:
        said = [f"{one.target.id} {', '.join(one.reasons)}" for one in ranking.excluded[:_MAX_REASONS]]
        more = len(ranking.excluded) - len(said)
        raise Unsupported(
            f"no model of this name can take the call: {'; '.join(said)}{f'; and {more} more' if more else ''}. "
            "Ask for less, or for another model; POST /api/routes/explain shows each."
        )
    return ranking.ranked[:OPEN_ATTEMPTS] if routing.is_open else ranking.ranked


def _explained(planned: Plan, ranking: Ranking) -> Plan:
    return msgspec.structs.replace(planned, why=ranking.why, ranking=ranking)


def plan_count(planned: Plan) -> Plan:
    """Who can count tokens: the group's first members whose vendor does, up to one that cannot. Where the first cannot, it
    stays alone, and what it would count is for us to estimate."""
    attempts = tuple(takewhile(counts_tokens, planned.attempts)) or planned.attempts[:1]
    return Plan(attempts, _WHY[len(attempts) == 1])


def plan_for_makers(planned: Plan, makers: frozenset[str]) -> Plan:
    """Only the attempts at the provider that made what the call goes on from. Raises :class:`MadeElsewhere`."""
    attempts = tuple([one for one in planned.attempts if one.native and {maker_of(one.target.provider.id)} == makers])
    if not attempts:
        names = ", ".join(sorted({attempt.target.provider.name for attempt in planned.attempts}))
        raise MadeElsewhere(
            "previous_response_id or encrypted reasoning in this call was made by "
            + ("several providers" if len(makers) > 1 else f"a provider that this model does not lead to ({names})")
            + ". Name the model that made it, or send the conversation itself, without that id and without reasoning items."
        )
    return Plan(attempts, "made what the call goes on from")


def counts_tokens(attempt: Attempt) -> bool:
    """Whether the vendor counts tokens in the caller's own language."""
    return attempt.native and attempt.dialect.name in attempt.vendor.count_paths


def _attempt(target: Target, surface: Surface, vendor: Vendor, dialects: Mapping[str, Dialect]) -> Attempt | None:
    if surface.name in vendor.paths:
        # The surface itself, and not the dialect of its name: the two may differ in form (Gemini's arrays).
        return Attempt(target, vendor, cast(Dialect, surface), native=True)
    spoken = [name for name in vendor.paths if name in dialects]
    if not spoken:
        return None
    preferred = next((name for start, name in vendor.preferred if target.model.name.startswith(start)), None)
    return Attempt(target, vendor, dialects[preferred if preferred in spoken else spoken[0]], native=False)
