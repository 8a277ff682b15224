"""Strategies over time, in a world made up: targets that are fast, slow, ill and well again; a clock and a chance that are
given. What routing knows of them it learns from the calls alone, through the registry."""

import random
from collections import Counter
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.catalog.model import Strategy, Target
from samovar.domains.gateway.model import Breaker
from samovar.domains.gateway.model.ranking import rank
from samovar.domains.gateway.model.routing import EXPLORE_SHARE, How, TargetKey, cached_next_time
from samovar.domains.gateway.service.conversations import MAX_CONVERSATIONS, TTL_S, Conversations
from samovar.domains.gateway.service.registry import MAX_TARGETS, TargetRegistry, headroom_in
from samovar.ports.llm import Usage
from tests.domains.gateway.worlds import key, routing, target


class World:
    """``first_s`` says how long a target takes to its first content now; ``None``: it fails, and the next is tried."""

    def __init__(self, targets: list[Target], strategy: Strategy, **more: object) -> None:
        self.targets = targets
        self.strategy = strategy
        self.more = more
        self.first_s: dict[str, float | None] = {}
        self.now = 1000.0
        self.registry = TargetRegistry()
        self.breakers: dict[TargetKey, Breaker] = {}
        self.chance = random.Random(7)
        self.explored = 0

    def call(self) -> str:
        """One call; the name of who answered."""
        keys = [(one.provider.id, one.model.id) for one in self.targets]
        given_ = routing(
            self.strategy,
            vitals=self.registry.vitals(keys, now=self.now, breakers=self.breakers),
            chance=self.chance.random(),
            **self.more,
        )
        found = rank(self.targets, given_)
        self.explored += found.how is How.EXPLORED
        for one in found.ranked:
            name = one.target.provider.name
            breaker = self.breakers.setdefault(key(name), Breaker(failures=5, rest_s=60.0))
            if not breaker.admits(self.now):
                continue
            first_s = self.first_s[name]
            if first_s is None:
                breaker.failed(self.now)
                self.registry.failed(key(name), now=self.now)
                continue
            breaker.succeeded()
            self.now += first_s
            self.registry.answered(key(name), now=self.now, first_s=first_s, whole_s=first_s + 1, output_tokens=100)
            return name
        raise AssertionError("nobody answered")

    def calls(self, count: int, *, every_s: float = 1.0) -> Counter[str]:
        """Who answered how often."""
        answered: Counter[str] = Counter()
        for _ in range(count):
            answered[self.call()] += 1
            self.now += every_s
        return answered


def two(strategy: Strategy, **more: object) -> World:
    """One cheap and slow, one dear, fast and better."""
    world = World([target("cheap", usd=(1, 2), quality=50), target("fast", usd=(4, 8), quality=80)], strategy, **more)
    world.first_s = {"cheap": 2.0, "fast": 0.2}
    return world


def test_cost_goes_to_the_cheapest_and_to_the_next_while_that_fails() -> None:
    world = two(Strategy.COST)
    assert world.calls(50) == {"cheap": 50}
    world.first_s["cheap"] = None
    assert world.calls(50) == {"fast": 50}
    world.first_s["cheap"] = 2.0
    # Its breaker lets one through after its rest, and that one brings it back for good.
    world.calls(70)
    assert world.calls(50) == {"cheap": 50}


def test_quality_goes_to_the_best() -> None:
    assert two(Strategy.QUALITY).calls(50) == {"fast": 50}


def test_latency_finds_the_fast_one_and_moves_when_it_turns_slow_and_back_when_it_is_well() -> None:
    world = two(Strategy.LATENCY)
    world.calls(300)
    assert world.calls(100)["fast"] >= 90
    world.first_s["fast"] = 8.0
    world.calls(60)
    assert world.calls(100)["cheap"] >= 85
    world.first_s["fast"] = 0.2
    world.calls(600)
    assert world.calls(100)["fast"] >= 90


def test_latency_leaves_a_target_that_fails_and_comes_back_to_it() -> None:
    world = two(Strategy.LATENCY)
    world.calls(300)
    world.first_s["fast"] = None
    assert world.calls(100)["cheap"] == 100
    world.first_s["fast"] = 0.2
    world.calls(600)
    assert world.calls(100)["fast"] >= 90


@pytest.mark.parametrize("strategy", [Strategy.LATENCY, Strategy.BALANCED])
def test_what_is_tried_by_chance_stays_within_its_share(strategy: Strategy) -> None:
    world = World([target(f"t{place}", quality=50) for place in range(6)], strategy)
    world.first_s = {f"t{place}": 0.1 + place for place in range(6)}
    count = 4000
    world.calls(count, every_s=5.0)
    # Seeded, so this holds or does not; four deviations would hold for nearly every seed.
    most = EXPLORE_SHARE * count + 4 * (count * EXPLORE_SHARE * (1 - EXPLORE_SHARE)) ** 0.5
    assert count * EXPLORE_SHARE * 0.5 < world.explored < most


def test_balanced_weighs_all_three() -> None:
    targets = [
        target("cheap", usd=(1, 1), quality=30),
        target("good", usd=(2, 2), quality=90),
        target("dear", usd=(80, 80), quality=92),
    ]
    world = World(targets, Strategy.BALANCED)
    world.first_s = {"cheap": 0.5, "good": 0.5, "dear": 0.5}
    assert world.calls(300)["good"] > 250
    world.first_s["good"] = 60.0
    world.calls(100)
    assert world.calls(100)["good"] < 20


def test_weighted_shares_the_calls_out_and_gives_a_reserve_none_until_it_is_needed() -> None:
    targets = [target("a"), target("b"), target("reserve")]
    world = World(targets, Strategy.WEIGHTED, weights={"a/m": 70, "b/m": 30, "reserve/m": 0})
    world.first_s = {"a": 0.1, "b": 0.1, "reserve": 0.1}
    shares = world.calls(4000)
    assert shares["reserve"] == 0
    assert 0.66 < shares["a"] / 4000 < 0.74
    world.first_s.update(a=None, b=None)
    assert world.calls(50) == {"reserve": 50}


def test_an_old_failure_is_forgiven() -> None:
    registry = TargetRegistry()
    registry.failed(key("a"), now=1000.0)
    shares = [
        registry.vitals([key("a")], now=1000.0 + later, breakers={})[key("a")].failure for later in (0.0, 30.0, 300.0)
    ]
    assert shares[0] == 0.5
    assert shares[0] > shares[1] > shares[2]
    assert shares[2] < 0.001


def test_of_too_many_targets_the_one_not_heard_of_for_longest_is_forgotten() -> None:
    registry = TargetRegistry()
    for place in range(MAX_TARGETS):
        registry.failed(("p", str(place)), now=1.0)
    registry.failed(("p", "0"), now=2.0)
    registry.failed(("p", "new"), now=3.0)
    known = registry.all_vitals(4.0)
    assert len(known) == MAX_TARGETS
    assert ("p", "0") in known
    assert ("p", "1") not in known


@pytest.mark.parametrize(
    ("family", "headers", "left"),
    [
        ("openai", {"x-ratelimit-remaining-requests": "5", "x-ratelimit-limit-requests": "100"}, 0.05),
        (
            "openai",
            {
                "x-ratelimit-remaining-requests": "90",
                "x-ratelimit-limit-requests": "100",
                "x-ratelimit-remaining-tokens": "100",
                "x-ratelimit-limit-tokens": "1000",
            },
            0.1,
        ),
        ("anthropic", {"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-limit": "8"}, 0.0),
        ("anthropic", {"x-ratelimit-remaining-requests": "5", "x-ratelimit-limit-requests": "100"}, None),
        ("openai", {"x-ratelimit-remaining-requests": "nan", "x-ratelimit-limit-requests": "100"}, None),
        ("openai", {"x-ratelimit-remaining-requests": "5", "x-ratelimit-limit-requests": "0"}, None),
        ("openai", {}, None),
    ],
)
def test_what_is_left_of_a_rate_limit_is_the_scarcest_the_vendor_says(
    family: str, headers: Mapping[str, str], left: float | None
) -> None:
    assert headroom_in(family, headers.get) == left


@given(st.text())
def test_a_header_of_any_text_is_harmless(text: str) -> None:
    say: Callable[[str], str | None] = lambda _: text  # noqa: E731
    left = headroom_in("openai", say)
    assert left is None or 0 <= left <= 1


def test_a_provider_that_asks_to_be_left_alone_is_until_then() -> None:
    registry = TargetRegistry()
    assert not registry.any_cooling(1000.0)
    registry.sent_away(key("a"), now=1000.0, for_s=30.0)
    assert registry.any_cooling(1029.0)
    assert registry.vitals([key("a")], now=1010.0, breakers={})[key("a")].cooling_s == 20.0
    assert not registry.any_cooling(1030.0)
    assert registry.vitals([key("a")], now=1030.0, breakers={})[key("a")].cooling_s == 0.0


def test_a_conversation_is_remembered_as_long_as_the_vendors_cache_it() -> None:
    places = Conversations()
    places.answered(b"c", key("a"), cached_tokens=5, now=0.0)
    assert places.place(b"c", now=TTL_S - 1) is not None
    assert places.place(b"c", now=TTL_S) is None
    for number in range(MAX_CONVERSATIONS):
        places.answered(b"%d" % number, key("a"), cached_tokens=5, now=0.0)
    assert places.place(b"c", now=1.0) is None
    assert places.place(b"0", now=1.0) is not None


def test_what_a_vendor_caches_by_itself_counts_and_what_it_caches_by_marks_only_when_it_said_so() -> None:
    assert cached_next_time(Usage(input_tokens=5000), marks_needed=False) == 5000
    assert cached_next_time(Usage(input_tokens=900), marks_needed=False) == 0
    assert cached_next_time(Usage(input_tokens=5000), marks_needed=True) == 0
    assert cached_next_time(Usage(input_tokens=5000, cache_write_tokens=4000), marks_needed=True) == 4000
