"""Pages of models: whoever turns them sees every model once, in order."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.catalog.model import Ability, Model
from samovar.domains.gateway.http import AnthropicListing, GeminiListing, OpenAIListing
from samovar.domains.gateway.http.listings import read_query
from samovar.kernel.errors import Malformed

NAMES = st.lists(st.text("abc", min_size=1, max_size=3), max_size=20, unique=True)
SIZES = st.integers(1, 7)
SINCE = datetime(2026, 11, 21, 8, tzinfo=UTC)
ANTHROPIC, OPENAI = AnthropicListing(since=SINCE), OpenAIListing(since=SINCE)


def _models(names: list[str]) -> list[Model]:
    return [Model(id=f"p/{name}", provider="p", name=name) for name in names]


def _ids(page: dict[str, Any]) -> list[str]:
    return [model["id"] for model in page["data"]]


@given(NAMES, SIZES)
def test_pages_as_anthropics_lead_forward_over_all_models(names: list[str], limit: int) -> None:
    models, listing, seen, query = _models(names), ANTHROPIC, [], {"limit": str(limit)}
    while True:
        page = listing.page(models, query)
        assert len(page["data"]) <= limit
        assert [page["first_id"], page["last_id"]] == (
            [_ids(page)[0], _ids(page)[-1]] if page["data"] else [None, None]
        )
        seen += _ids(page)
        if not page["has_more"]:
            break
        query["after_id"] = page["last_id"]
    assert seen == [model.id for model in models]


@given(NAMES.filter(bool), SIZES)
def test_pages_as_anthropics_lead_back_too(names: list[str], limit: int) -> None:
    models, listing = _models(names), ANTHROPIC
    seen, query = [models[-1].id], {"limit": str(limit), "before_id": models[-1].id}
    while True:
        page = listing.page(models, query)
        seen = _ids(page) + seen
        if not page["has_more"]:
            break
        query["before_id"] = page["first_id"]
    assert seen == [model.id for model in models]


@given(NAMES, SIZES)
def test_pages_as_googles_lead_over_all_models(names: list[str], size: int) -> None:
    models, listing, seen, query = _models(names), GeminiListing(), [], {"pageSize": str(size)}
    while True:
        page = listing.page(models, query)
        assert len(page["models"]) <= size
        seen += [model["baseModelId"] for model in page["models"]]
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert seen == sorted(model.id for model in models)


@pytest.mark.parametrize(
    ("listing", "query"),
    [
        (ANTHROPIC, "limit=0"),
        (ANTHROPIC, "limit=1001"),
        (ANTHROPIC, "limit=ten"),
        (ANTHROPIC, "after_id=p/gone"),
        (ANTHROPIC, "before_id=p/gone"),
        (ANTHROPIC, "before_id=p/a&after_id=p/a"),
        (GeminiListing(), "pageSize=-1"),
        (GeminiListing(), "pageSize=9999999999999999999"),
        (GeminiListing(), "pageToken=%C3%A9"),
        (GeminiListing(), "pageToken=_w"),
    ],
)
def test_a_page_that_cannot_be_is_refused_by_name(listing: Any, query: str) -> None:
    with pytest.raises(Malformed) as refused:
        listing.page(_models(["a"]), read_query(query.encode()))
    assert refused.value.flaws[0].where in query


def test_google_s_size_of_zero_is_the_default_and_a_great_one_the_most() -> None:
    models = _models([str(number) for number in range(1200)])
    assert len(GeminiListing().page(models, {"pageSize": "0"})["models"]) == 50
    assert len(GeminiListing().page(models, {"pageSize": "5000"})["models"]) == 1000


def test_openai_has_one_page_whatever_is_asked() -> None:
    assert _ids(OPENAI.page(_models(["b", "a"]), {"limit": "1"})) == ["p/b", "p/a"]


def test_a_model_of_vectors_offers_google_s_clients_no_talk() -> None:
    vectors = Model(id="p/v", provider="p", name="v", abilities=frozenset({Ability.EMBEDDINGS}))
    told = GeminiListing().one(vectors)["supportedGenerationMethods"]
    assert sorted(told) == ["batchEmbedContents", "countTokens", "embedContent"]
    assert "generateContent" in GeminiListing().one(_models(["a"])[0])["supportedGenerationMethods"]


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("claude-sonnet-4-5-20250929", "2025-09-29T00:00:00.000Z"),
        ("gpt-4o-2024-08-06", "2024-08-06T00:00:00.000Z"),
        ("gpt-4o", "2026-11-21T08:00:00.000Z"),
        ("llama-20259999", "2026-11-21T08:00:00.000Z"),
        ("m-2024-0806", "2026-11-21T08:00:00.000Z"),
    ],
)
def test_a_model_is_dated_by_its_name_or_by_when_we_began(name: str, date: str) -> None:
    (model,) = _models([name])
    told = datetime.fromisoformat(ANTHROPIC.one(model)["created_at"])
    assert told == datetime.fromisoformat(date)
    assert OPENAI.one(model)["created"] == int(told.timestamp())
