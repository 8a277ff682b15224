"""From targets to a plan."""

from typing import Any

import pytest

from samovar.domains.catalog.model import Model, Provider, ProviderSource, Target
from samovar.domains.gateway.model import plan
from samovar.ports.dialect import Dialect, Unsupported, Vendor
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.openai import OpenAIChat

DIALECTS: dict[str, Dialect] = {"openai-chat": OpenAIChat(), "anthropic-messages": AnthropicMessages()}


def vendor(name: str, *paths: str) -> Vendor:
    given = {path: f"/{path}" for path in paths}
    return Vendor(name=name, title=name, base_url="http://a", paths=given, key_env=None, base_url_env=None)


VENDORS = {
    "both": vendor("both", "embeddings", "openai-chat", "anthropic-messages"),
    "claude": vendor("claude", "unknown-dialect", "anthropic-messages"),
    "images": vendor("images", "embeddings"),
    "nothing": vendor("nothing"),
}


def target(name: str) -> Target:
    provider: dict[str, Any] = {"id": name, "team_id": "t", "name": name, "vendor": name, "base_url": "http://a"}
    return Target(
        Provider(**provider, api_key=None, source=ProviderSource.ENVIRONMENT),
        Model(id=f"{name}/m", provider=name, name="m"),
    )


def planned(*names: str) -> list[tuple[str, str, bool]]:
    found = plan([target(name) for name in names], surface=DIALECTS["openai-chat"], vendors=VENDORS, dialects=DIALECTS)
    return [(attempt.vendor.name, attempt.dialect.name, attempt.native) for attempt in found.attempts]


def test_a_vendor_of_the_callers_dialect_is_spoken_to_in_it() -> None:
    assert planned("both") == [("both", "openai-chat", True)]


def test_another_is_spoken_to_in_the_best_dialect_that_we_know() -> None:
    assert planned("claude") == [("claude", "anthropic-messages", False)]


def test_a_member_of_a_group_that_offers_no_chat_is_passed_over() -> None:
    assert [name for name, _, _ in planned("images", "both", "nothing", "claude")] == ["both", "claude"]


@pytest.mark.parametrize("name", ["images", "nothing"])
def test_a_vendor_that_offers_no_chat_is_a_refusal_with_its_name(name: str) -> None:
    with pytest.raises(Unsupported, match=name):
        planned(name)
