"""Targets made for a test, and what is known of them."""

from datetime import UTC, datetime
from typing import Any

from samovar.domains.catalog.model import Ability, Model, Provider, ProviderSource, Rates, Strategy, Target, flat
from samovar.domains.gateway.model.routing import Demand, Routing

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVERYTHING = frozenset({Ability.VISION, Ability.TOOLS, Ability.JSON_SCHEMA, Ability.REASONING})


def target(name: str, *, usd: tuple[int, int] | None = (1, 2), cached: int | None = None, **more: Any) -> Target:
    """A model at a provider of its own; ``usd`` are dollars for a million tokens in and out, ``cached`` of those cached."""
    rates = None if usd is None else Rates(input=usd[0] * 10**9, output=usd[1] * 10**9, cached_input=cached)
    facts: dict[str, Any] = {"abilities": EVERYTHING, "context_window": 100_000, "max_output_tokens": 8000, **more}
    return Target(
        Provider(
            id=f"prov_{name}",
            team_id="t",
            name=name,
            vendor="openai",
            base_url="http://a",
            source=ProviderSource.ENVIRONMENT,
        ),
        Model(
            id=f"{name}/m",
            provider=name,
            name="m",
            price=None if rates is None else flat(rates, source="test"),
            **facts,
        ),
    )


def key(name: str) -> tuple[str, str]:
    """The key of :func:`target`'s."""
    return f"prov_{name}", f"{name}/m"


def routing(strategy: Strategy, **more: Any) -> Routing:
    """All else as it is where nothing is known: a call of a thousand tokens in and a hundred out."""
    given: dict[str, Any] = {"demand": Demand(input_tokens=1000, max_output_tokens=100, stream=True), "at": AT, **more}
    return Routing(strategy=strategy, **given)
