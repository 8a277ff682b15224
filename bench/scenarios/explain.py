"""How long it takes to rank two hundred targets and say why: in this process, on Samovar's own code, without HTTP."""

from datetime import UTC, datetime
from random import Random
from time import perf_counter

import msgspec

from bench.figures import Figure, quantiles
from bench.scenarios.bench import Bench
from samovar.domains.catalog.model import Ability, Model, Provider, Rates, Strategy, Target, flat
from samovar.domains.gateway.model import ranked
from samovar.domains.gateway.model.explanation import explained
from samovar.domains.gateway.model.routing import Demand, Routing
from samovar.domains.gateway.service.registry import TargetRegistry
from samovar.providers.openai import OpenAIChat
from samovar.providers.vendors import VENDORS

TARGETS = 200
TARGET_MS = 1.0
ROUNDS = 400
_AT = datetime(2026, 11, 21, tzinfo=UTC)
_NOW = 1000.0


def explain(bench: Bench) -> list[Figure]:
    """All targets can take the call and all were seen: the most there is to say of each. Its JSON is counted too."""
    chance = Random(bench.measure.seed)
    targets = [_target(place, chance) for place in range(TARGETS)]
    keys = [(target.provider.id, target.model.id) for target in targets]
    registry = TargetRegistry()
    for key in keys:
        registry.answered(key, now=_NOW - chance.random() * 90, first_s=chance.random(), whole_s=3.0, output_tokens=200)
    figures = []
    for strategy in (Strategy.COST, Strategy.BALANCED):
        samples = [_explained(strategy, targets, keys, registry) for _ in range(ROUNDS)]
        seen = quantiles(samples)
        assert seen is not None
        figures.append(
            Figure(
                f"explain {TARGETS} targets by {strategy.value}, p50",
                seen.p50,
                "ms",
                TARGET_MS,
                at_least=False,
                note=f"p99 {seen.p99:.2f} ms",
            )
        )
    return figures


def _target(place: int, chance: Random) -> Target:
    name = f"provider{place % 10}"
    rates = Rates(input=chance.randrange(10**10), output=chance.randrange(10**10))
    return Target(
        Provider(id=name, team_id="t", name=name, vendor="openai", base_url="http://127.0.0.1"),
        Model(
            id=f"{name}/model{place}",
            provider=name,
            name=f"model{place}",
            context_window=200_000,
            max_output_tokens=16_000,
            abilities=frozenset({Ability.VISION, Ability.TOOLS}),
            price=flat(rates, source="bench"),
            quality=chance.randrange(100),
        ),
    )


def _explained(
    strategy: Strategy, targets: list[Target], keys: list[tuple[str, str]], registry: TargetRegistry
) -> float:
    """Milliseconds."""
    began = perf_counter()
    routing = Routing(
        strategy=strategy,
        demand=Demand(input_tokens=2000, max_output_tokens=500, needs=frozenset({Ability.TOOLS}), stream=True),
        at=_AT,
        vitals=registry.vitals(keys, now=_NOW, breakers={}),
        is_open=True,
    )
    ranking = ranked(targets, vendors=VENDORS, dialects={"openai-chat": OpenAIChat()}, routing=routing)
    msgspec.json.encode(explained(ranking, routing, model=f"auto:{strategy.value}", attempts=4))
    return (perf_counter() - began) * 1000
