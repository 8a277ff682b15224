"""The checked-in price snapshot: it is what the locked genai-prices gives, and it is read as genai-prices reads its own."""

import functools
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from genai_prices.data import providers as their_providers
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.catalog.model import PriceBook

ROOT = Path(__file__).resolve().parents[3]
SNAPSHOT = ROOT / "src/samovar/domains/catalog/snapshot.json"
THEIRS = {provider.id: provider for provider in their_providers}
SOME_NAMES = sorted({model.id for provider in their_providers for model in provider.models})


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook(read=SNAPSHOT.read_bytes)


def test_the_snapshot_is_what_the_locked_package_gives() -> None:
    tool = [sys.executable, str(ROOT / "tools/refresh_prices.py"), "--check"]
    checked = subprocess.run(tool, capture_output=True, text=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_card_says_whose_figures_it_holds(book: PriceBook) -> None:
    assert book.source == f"genai-prices {version('genai-prices')}"
    cards = [entry.price for entry in book.listing("openai").entries if entry.price is not None]
    assert len(cards) > 50
    assert {card.source for card in cards} == {book.source}


def test_the_file_is_read_once_and_not_before_it_is_needed() -> None:
    reads = []

    def read() -> bytes:
        reads.append(1)
        return SNAPSHOT.read_bytes()

    lazy = PriceBook(read=read)
    assert lazy.listing(None).entries == ()
    assert reads == []
    lazy.listing("openai")
    lazy.listing("anthropic")
    assert reads == [1]


def test_a_vendor_without_published_prices_has_an_empty_list(book: PriceBook) -> None:
    assert book.listing("nobody").entries == ()
    assert book.listing("nobody").find("gpt-5") is None


@pytest.mark.parametrize(
    ("vendor", "name", "expected"),
    [
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "GPT-5-mini-2025-08-07", "gpt-5-mini"),
        ("openai", "gpt-5.2-20251211", "gpt-5.2"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("azure", "gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("zai", "glm-4.5v", "GLM-4.5V"),
    ],
)
def test_a_dated_or_differently_spelt_name_finds_its_model(
    book: PriceBook, vendor: str, name: str, expected: str
) -> None:
    entry = book.listing(vendor).find(name)
    assert entry is not None
    assert entry.id == expected


@given(vendor=st.sampled_from(["openai", "anthropic", "google", "mistral", "azure", "x-ai"]), data=st.data())
def test_names_are_recognised_as_genai_prices_recognises_them(vendor: str, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(["", "-2025-08-07", "-20250807", "-latest", "-preview", ":free", "x"]))
    name = data.draw(st.sampled_from(SOME_NAMES)) + suffix
    book = _book()
    if any(entry.id == name for entry in book.listing(vendor).entries):
        return  # an exact id is its own model here; theirs may stop at an earlier, wider clause
    their = THEIRS[vendor].find_model(name, all_providers=list(their_providers))
    our = book.listing(vendor).find(name)
    assert (our and our.id) == (their and their.id)


@functools.cache
def _book() -> PriceBook:
    return PriceBook(read=SNAPSHOT.read_bytes)


def test_running_samovar_does_not_import_the_price_package() -> None:
    code = (
        "import sys, samovar.domains.catalog.model, samovar.domains.billing.model; print('genai_prices' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "False"
