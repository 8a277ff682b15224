"""The table of vendors."""

import pytest

from samovar.ports.dialect import Dialect, Vendor
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.gemini import GeminiContent
from samovar.providers.gemini.embedding_surfaces import GeminiEmbedContent
from samovar.providers.openai import OpenAIChat
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.vendors import VENDORS

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for dialect in (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), GeminiContent())
}


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS.keys())
def test_every_vendor_speaks_a_dialect_that_we_know(vendor: Vendor) -> None:
    assert vendor.paths.keys() <= DIALECTS.keys()
    # An action of its own for one of the surfaces stands beside them.
    assert vendor.embedding_paths.keys() <= {*DIALECTS, GeminiEmbedContent.name}
    assert vendor.count_paths.keys() <= vendor.paths.keys()
    paths = [*vendor.paths.values(), *vendor.embedding_paths.values(), *vendor.count_paths.values()]
    assert all(path.startswith("/") for path in paths)
    assert not vendor.base_url.endswith("/")


def test_every_vendor_takes_its_key_and_address_from_its_own_variables() -> None:
    keys = [vendor.key_env for vendor in VENDORS.values() if vendor.key_env]
    addresses = [vendor.base_url_env for vendor in VENDORS.values() if vendor.base_url_env]
    assert len(set(keys)) == len(keys)
    assert len(set(addresses)) == len(addresses)
    assert all(vendor.key_env for vendor in VENDORS.values() if vendor.needs_key)
