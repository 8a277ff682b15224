"""The order of targets: pure, so held against all kinds of worlds."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.billing.model import price
from samovar.domains.catalog.model import Ability, Rates, Strategy, Target, flat
from samovar.domains.gateway.model import plan
from samovar.domains.gateway.model.ranking import cost_of, rank
from samovar.domains.gateway.model.routing import (
    EXPLORE_SHARE,
    OPEN_ATTEMPTS,
    Demand,
    How,
    Kept,
    Ranked,
    Ranking,
    Routing,
    Standing,
    Vitals,
)
from samovar.ports.dialect import Dialect, Unsupported, Vendor
from samovar.ports.llm import Usage
from samovar.providers.openai import OpenAIChat
from tests.domains.gateway.worlds import AT, key, routing, target

MEASURED = (Strategy.COST, Strategy.LATENCY, Strategy.QUALITY, Strategy.BALANCED, Strategy.WEIGHTED)
DIALECTS: Mapping[str, Dialect] = {"openai-chat": OpenAIChat()}
VENDORS = {
    "openai": Vendor(
        name="openai", title="", base_url="http://a", paths={"openai-chat": "/c"}, key_env=None, base_url_env=None
    )
}

VITALS = st.builds(
    Vitals,
    first_s=st.none() | st.floats(0.01, 20),
    tokens_per_s=st.none() | st.floats(1, 500),
    whole_s=st.none() | st.floats(0.01, 60),
    failure=st.floats(0, 1),
    age_s=st.none() | st.floats(0, 600),
    headroom=st.none() | st.floats(0, 1),
    cooling_s=st.sampled_from([0.0, 0.0, 5.0]),
    resting_s=st.sampled_from([0.0, 0.0, 5.0]),
)
ABILITIES = st.none() | st.frozensets(st.sampled_from([Ability.VISION, Ability.TOOLS]))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Target], Routing]:
    count = draw(st.integers(1, 8))
    targets = [
        target(
            f"t{place}",
            usd=draw(st.none() | st.tuples(st.integers(0, 50), st.integers(0, 50))),
            quality=draw(st.none() | st.integers(0, 100)),
            abilities=draw(ABILITIES),
            context_window=draw(st.none() | st.integers(500, 100_000)),
            max_output_tokens=draw(st.none() | st.integers(50, 9000)),
        )
        for place in range(count)
    ]
    demand = Demand(
        input_tokens=draw(st.integers(0, 50_000)),
        max_output_tokens=draw(st.none() | st.integers(0, 5000)),
        needs=draw(st.frozensets(st.sampled_from([Ability.VISION, Ability.TOOLS]))),
        stream=draw(st.booleans()),
    )
    names = [f"t{place}" for place in range(count)]
    return targets, routing(
        draw(st.sampled_from(MEASURED)),
        demand=demand,
        vitals={key(name): draw(VITALS) for name in names if draw(st.booleans())},
        weights={f"{name}/m": draw(st.integers(0, 10)) for name in names if draw(st.booleans())},
        chance=draw(st.none() | st.floats(0, 1, exclude_max=True)),
        is_open=draw(st.booleans()),
        kept=draw(st.none() | st.builds(Kept, st.sampled_from([key(name) for name in names]), st.integers(0, 60_000))),
    )


def names(ranking: Ranking) -> list[str]:
    return [one.target.provider.name for one in ranking.ranked]


@given(worlds())
def test_each_target_is_either_ranked_or_ruled_out_with_a_reason(world: tuple[list[Target], Routing]) -> None:
    targets, given_ = world
    found = rank(targets, given_)
    ranked = [one.target.id for one in found.ranked]
    excluded = [one.target.id for one in found.excluded]
    assert sorted(ranked + excluded) == sorted(one.id for one in targets)
    assert all(one.reasons for one in found.excluded)
    assert found.why.isascii()
    assert rank(targets, given_) == found


@given(worlds())
def test_what_lacks_something_is_never_planned(world: tuple[list[Target], Routing]) -> None:
    targets, given_ = world
    try:
        planned = plan(targets, surface=DIALECTS["openai-chat"], vendors=VENDORS, dialects=DIALECTS, routing=given_)
    except Unsupported as error:
        assert all(one.id in error.detail for one in targets[:3])  # noqa: PT017  # nothing else may be said
        return
    if given_.is_open:
        assert len(planned.attempts) <= OPEN_ATTEMPTS
    for attempt in planned.attempts:
        model, demand = attempt.target.model, given_.demand
        asked = demand.max_output_tokens or 0
        assert model.abilities is None or demand.needs <= model.abilities
        assert model.context_window is None or demand.input_tokens + asked <= model.context_window
        assert model.max_output_tokens is None or asked <= model.max_output_tokens


@given(worlds())
def test_the_first_is_the_best_of_its_standing_by_the_strategys_own_measure(
    world: tuple[list[Target], Routing],
) -> None:
    targets, given_ = world
    found = rank(targets, given_)
    if not found.ranked or found.how in (How.EXPLORED, How.DRAWN):
        return
    best = found.ranked[0]
    higher_is_better = given_.strategy in (Strategy.QUALITY, Strategy.BALANCED)
    for other in found.ranked[1:]:
        assert best.standing <= other.standing
        if best.standing is other.standing and other.score is not None:
            assert best.score is not None
            assert best.score >= other.score if higher_is_better else best.score <= other.score


@given(worlds())
def test_the_order_does_not_depend_on_who_else_stands_there_but_for_balance(
    world: tuple[list[Target], Routing],
) -> None:
    """Total and stable: of two the same one comes first whether others are there or not."""
    targets, given_ = world
    if given_.strategy is Strategy.BALANCED or given_.chance is not None:
        return
    found = names(rank(targets, given_))
    for place, first in enumerate(found[:-1]):
        second = found[place + 1]
        pair = [one for one in targets if one.provider.name in (first, second)]
        assert names(rank(pair, given_)) == [first, second]


@given(
    tokens=st.tuples(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 10**6)),
    rates=st.builds(
        Rates,
        input=st.none() | st.integers(0, 10**11),
        output=st.none() | st.integers(0, 10**11),
        cached_input=st.none() | st.integers(0, 10**11),
        request=st.none() | st.integers(0, 10**9),
    ),
)
def test_an_estimate_is_what_billing_would_charge_for_that_usage(tokens: tuple[int, int, int], rates: Rates) -> None:
    given_in, out, cached = tokens
    cached = min(cached, given_in)
    if rates.input is None:
        cached = 0
    card = flat(rates, source="test")
    demand = Demand(input_tokens=given_in, max_output_tokens=out)
    found = cost_of(card, demand, output_tokens=out, routing=routing(Strategy.COST, demand=demand), cached=cached)
    usage = Usage(input_tokens=given_in, output_tokens=out, cached_input_tokens=cached)
    assert found == price(usage, card, at=AT).nano_usd


def first(targets: list[Target], strategy: Strategy, **more: Any) -> Ranked:
    return rank(targets, routing(strategy, **more)).ranked[0]


def test_a_target_that_cools_down_goes_last_in_every_strategy_and_in_a_plain_group() -> None:
    targets = [target("a", usd=(1, 1), quality=99), target("b", usd=(9, 9), quality=1)]
    vitals = {key("a"): Vitals(first_s=0.1, cooling_s=9.0), key("b"): Vitals(first_s=9.0)}
    for strategy in Strategy:
        assert first(targets, strategy, vitals=vitals).target.provider.name == "b"
    assert rank(targets, routing(Strategy.ORDER, vitals=vitals)).why == "in the group's order, 1 cooling down last"


def test_a_plain_group_rules_nobody_out() -> None:
    found = rank(
        [target("a", abilities=frozenset()), target("b")],
        routing(Strategy.ORDER, demand=Demand(input_tokens=10**6, needs=frozenset({Ability.VISION}))),
    )
    assert names(found) == ["a", "b"]
    assert found.ranked[0].notes[0] == "lacks vision"


def test_what_nobody_knows_of_ranks_behind_what_is_known_to_be_able() -> None:
    targets = [target("cheap", usd=(0, 0), abilities=None), target("able", usd=(9, 9))]
    needs = Demand(input_tokens=10, needs=frozenset({Ability.TOOLS}))
    found = rank(targets, routing(Strategy.COST, demand=needs))
    assert [(one.target.provider.name, one.standing) for one in found.ranked] == [
        ("able", Standing.READY),
        ("cheap", Standing.PERHAPS),
    ]


def test_a_conversation_stays_while_its_cached_prompt_makes_it_the_cheapest() -> None:
    targets = [target("here", usd=(10, 10), cached=10**9), target("there", usd=(5, 10), cached=10**8)]
    demand = Demand(input_tokens=10_000, max_output_tokens=100)
    assert first(targets, Strategy.COST, demand=demand).target.provider.name == "there"
    found = rank(targets, routing(Strategy.COST, demand=demand, kept=Kept(key("here"), 10_000)))
    assert names(found)[0] == "here"
    assert found.how is How.KEPT
    assert found.held is not None
    # Ten thousand tokens at ten dollars a million instead of one.
    assert found.held.leaving_nano_usd == 90_000_000
    # Of a prompt that has grown past its cached part, the rest is paid in full everywhere.
    longer = Demand(input_tokens=60_000, max_output_tokens=100)
    moved = rank(targets, routing(Strategy.COST, demand=longer, kept=Kept(key("here"), 10_000)))
    assert names(moved)[0] == "there"


@pytest.mark.parametrize("strategy", [Strategy.LATENCY, Strategy.BALANCED])
def test_chance_tries_a_target_that_was_not_seen_lately(strategy: Strategy) -> None:
    targets = [target("usual"), target("new")]
    vitals = {key("usual"): Vitals(first_s=0.1, age_s=1.0)}
    assert first(targets, strategy, vitals=vitals, chance=EXPLORE_SHARE).target.provider.name == "usual"
    found = rank(targets, routing(strategy, vitals=vitals, chance=EXPLORE_SHARE / 2))
    assert (names(found), found.how) == (["new", "usual"], How.EXPLORED)
    ill = {**vitals, key("new"): Vitals(age_s=100.0, resting_s=5.0)}
    assert first(targets, strategy, vitals=ill, chance=EXPLORE_SHARE / 2).target.provider.name == "usual"


def test_a_budget_that_asks_for_cheaper_puts_the_cheapest_first_whatever_the_strategy() -> None:
    targets = [target("best", usd=(9, 9), quality=99), target("cheap", usd=(1, 1), quality=10)]
    for strategy in (Strategy.QUALITY, Strategy.ORDER, Strategy.BALANCED):
        planned = plan(
            targets,
            surface=DIALECTS["openai-chat"],
            vendors=VENDORS,
            dialects=DIALECTS,
            routing=routing(strategy),
            prefer_cheaper=True,
        )
        assert [one.target.provider.name for one in planned.attempts] == ["cheap", "best"]
        assert planned.why.endswith("the budget asks for cheaper")


def test_where_no_target_can_take_the_call_each_says_why() -> None:
    blind = [target("a", abilities=frozenset()), target("b", context_window=10)]
    demand = Demand(input_tokens=1000, needs=frozenset({Ability.VISION}))
    with pytest.raises(Unsupported, match=r"a/m lacks vision; b/m its context of 10 tokens is too small"):
        plan(
            blind,
            surface=DIALECTS["openai-chat"],
            vendors=VENDORS,
            dialects=DIALECTS,
            routing=routing(Strategy.COST, demand=demand),
        )
