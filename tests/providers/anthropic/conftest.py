"""The dialect and its vendor."""

import pytest

from samovar.ports.dialect import Vendor
from samovar.providers.anthropic import AnthropicMessages


@pytest.fixture
def dialect() -> AnthropicMessages:
    return AnthropicMessages()


@pytest.fixture
def vendor() -> Vendor:
    return VENDOR


VENDOR = Vendor(
    name="anthropic",
    title="Anthropic",
    base_url="https://api.anthropic.com",
    paths={"anthropic-messages": "/v1/messages"},
    key_env="ANTHROPIC_API_KEY",
    base_url_env="ANTHROPIC_BASE_URL",
    key_header="x-api-key",
    key_prefix="",
)
