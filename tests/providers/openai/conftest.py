"""The dialect and a vendor that speaks it without quirks of note."""

import pytest

from samovar.ports.dialect import Vendor
from samovar.providers.openai import OpenAIChat
from samovar.providers.vendors import VENDORS


@pytest.fixture
def dialect() -> OpenAIChat:
    return OpenAIChat()


@pytest.fixture
def openai() -> Vendor:
    return VENDORS["openai"]
