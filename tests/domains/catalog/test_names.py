"""How a name becomes targets. Pure."""

import string
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.catalog.errors import AmbiguousModel, ModelNotAllowed, ModelNotFound
from samovar.domains.catalog.model import (
    OVERRIDE_SOURCE,
    Ability,
    Alias,
    FamilyTable,
    Group,
    Override,
    PriceBook,
    Provider,
    Rates,
    Shelf,
    TeamCatalog,
    flat,
)

DATA = files("samovar.domains.catalog")
BOOK = PriceBook(read=(DATA / "snapshot.json").read_bytes)
FAMILIES = FamilyTable.parse((DATA / "abilities.toml").read_text("utf-8"))


def shelf(
    name: str, vendor: str | None = None, *, models: tuple[str, ...] | None = None, enabled: bool = True
) -> Shelf:
    vendor = vendor or name
    provider = Provider(
        id=f"prov_{name}", team_id="t", name=name, vendor=vendor, base_url="http://x", models=models, enabled=enabled
    )
    return Shelf(provider=provider, listing=BOOK.listing(vendor))


def catalog(
    *shelves: Shelf,
    aliases: dict[str, str] | None = None,
    groups: dict[str, tuple[str, ...]] | None = None,
    overrides: tuple[Override, ...] = (),
) -> TeamCatalog:
    return TeamCatalog(
        shelves=shelves or (shelf("openai"), shelf("anthropic")),
        families=FAMILIES,
        aliases=[Alias(team_id="t", name=name, model_id=model_id) for name, model_id in (aliases or {}).items()],
        groups=[Group(team_id="t", name=name, model_ids=model_ids) for name, model_ids in (groups or {}).items()],
        overrides=overrides,
    )


def ids(found: TeamCatalog, name: str, allowed: tuple[str, ...] | None = None) -> list[str]:
    return [target.id for target in found.resolve(name, allowed)]


def test_a_full_id_is_that_providers_model() -> None:
    (target,) = catalog().resolve("openai/gpt-5")
    assert (target.provider.name, target.model.name) == ("openai", "gpt-5")
    assert target.model.context_window == 400_000
    assert target.model.price is not None


def test_a_model_that_nobody_has_heard_of_is_taken_at_its_providers_word() -> None:
    (target,) = catalog().resolve("openai/omega-99")
    assert target.model.name == "omega-99"
    assert target.model.price is None
    assert target.model.abilities is None


def test_a_dated_name_is_sent_as_it_was_written_and_priced_as_its_model() -> None:
    found = catalog()
    (dated,) = found.resolve("openai/gpt-5-mini-2025-08-07")
    (plain,) = found.resolve("openai/gpt-5-mini")
    assert dated.model.name == "gpt-5-mini-2025-08-07"
    assert dated.model.price == plain.model.price


def test_a_provider_that_lists_its_models_has_no_others() -> None:
    found = catalog(shelf("openai", models=("gpt-5", "mine")))
    assert sorted(model.id for model in found.visible()) == ["openai/gpt-5", "openai/mine"]
    assert ids(found, "openai/mine") == ["openai/mine"]
    with pytest.raises(ModelNotFound):
        found.resolve("openai/gpt-4o")


def test_a_bare_name_is_the_only_provider_that_has_it() -> None:
    assert ids(catalog(), "gpt-5") == ["openai/gpt-5"]
    assert ids(catalog(), "claude-sonnet-4-5-20250929") == ["anthropic/claude-sonnet-4-5-20250929"]


def test_a_bare_name_of_two_providers_is_refused_with_both() -> None:
    found = catalog(shelf("openai"), shelf("work", "openai"))
    with pytest.raises(AmbiguousModel) as refusal:
        found.resolve("gpt-5")
    assert refusal.value.status == 400
    assert refusal.value.candidates == ("openai/gpt-5", "work/gpt-5")


def test_a_key_that_may_use_one_of_them_is_not_asked_which() -> None:
    found = catalog(shelf("openai"), shelf("work", "openai"))
    assert ids(found, "gpt-5", ("work/*",)) == ["work/gpt-5"]


def test_a_name_with_a_slash_may_be_another_providers_bare_name() -> None:
    found = catalog(shelf("openrouter"))
    assert ids(found, "openai/gpt-5") == ["openrouter/openai/gpt-5"]
    both = catalog(shelf("openrouter"), shelf("openai"))
    assert ids(both, "openai/gpt-5") == ["openai/gpt-5"]


def test_an_alias_comes_before_a_bare_name() -> None:
    found = catalog(aliases={"gpt-5": "anthropic/claude-sonnet-4-5", "fast": "openai/gpt-5-nano"})
    assert ids(found, "gpt-5") == ["anthropic/claude-sonnet-4-5"]
    assert ids(found, "openai/gpt-5") == ["openai/gpt-5"]
    assert ids(found, "fast") == ["openai/gpt-5-nano"]


def test_a_group_is_its_models_in_order_without_those_nobody_serves_any_more() -> None:
    found = catalog(groups={"best": ("gone/model", "anthropic/claude-opus-4-5", "openai/gpt-5")})
    assert ids(found, "best") == ["anthropic/claude-opus-4-5", "openai/gpt-5"]


def test_a_name_whose_models_are_all_gone_says_so() -> None:
    found = catalog(aliases={"old": "gone/model"})
    with pytest.raises(ModelNotFound, match="gone/model, which no configured provider serves"):
        found.resolve("old")


def test_an_alias_of_an_alias_is_no_alias() -> None:
    found = catalog(aliases={"a": "b", "b": "a"})
    for name in ("a", "b"):
        with pytest.raises(ModelNotFound):
            found.resolve(name)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ModelNotFound) as refusal:
        catalog().resolve("claude-sonet-4-5")
    assert refusal.value.status == 404
    assert refusal.value.closest[0] == "anthropic/claude-sonnet-4-5"


def test_a_restricted_key_is_not_told_the_names_it_may_not_use() -> None:
    with pytest.raises(ModelNotFound) as refusal:
        catalog().resolve("claude-sonet-4-5", ("openai/*",))
    assert refusal.value.closest == ()


@pytest.mark.parametrize("name", ["", " ", "openai/", "/gpt-5", "gpt 5", "gpt-5\n", "я" * 10, "x" * 257, "\x00"])
def test_what_is_no_name_is_not_found(name: str) -> None:
    with pytest.raises(ModelNotFound):
        catalog().resolve(name)


def test_a_disabled_provider_is_not_there() -> None:
    found = catalog(shelf("openai", enabled=False), shelf("anthropic"))
    assert {model.provider for model in found.visible()} == {"anthropic"}
    with pytest.raises(ModelNotFound):
        found.resolve("openai/gpt-5")


@pytest.mark.parametrize("name", ["anthropic/claude-opus-4-5", "claude-opus-4-5", "smart", "anthropic/made-up"])
def test_what_a_key_does_not_allow_is_forbidden(name: str) -> None:
    found = catalog(aliases={"smart": "anthropic/claude-opus-4-5"})
    with pytest.raises(ModelNotAllowed) as refusal:
        found.resolve(name, ("openai/*", "*.unused"))
    assert refusal.value.status == 403


def test_a_key_may_be_given_an_alias_and_nothing_behind_it() -> None:
    found = catalog(aliases={"smart": "anthropic/claude-opus-4-5"})
    assert ids(found, "smart", ("smart",)) == ["anthropic/claude-opus-4-5"]
    with pytest.raises(ModelNotAllowed):
        found.resolve("anthropic/claude-opus-4-5", ("smart",))


def test_of_a_group_a_key_gets_the_models_it_may_use() -> None:
    found = catalog(groups={"best": ("anthropic/claude-opus-4-5", "openai/gpt-5")})
    assert ids(found, "best", ("openai/*",)) == ["openai/gpt-5"]


def test_a_pattern_without_a_slash_allows_that_name_at_any_provider() -> None:
    found = catalog()
    assert ids(found, "gpt-5", ("gpt-5",)) == ["openai/gpt-5"]
    assert [model.id for model in found.visible(("gpt-5",))] == ["openai/gpt-5"]


def test_a_list_leaves_out_what_a_key_may_not_use() -> None:
    visible = catalog().visible(("anthropic/*",))
    assert visible
    assert {model.provider for model in visible} == {"anthropic"}
    assert [model.id for model in visible] == sorted(model.id for model in visible)


def test_answers_for_one_key_are_not_given_to_another() -> None:
    found = catalog()
    assert ids(found, "gpt-5") == ["openai/gpt-5"]
    with pytest.raises(ModelNotAllowed):
        found.resolve("gpt-5", ("anthropic/*",))
    with pytest.raises(ModelNotAllowed):
        found.resolve("gpt-5", ())
    assert found.visible(()) == ()


def test_names_that_callers_make_up_do_not_fill_the_memory() -> None:
    found = catalog()
    for number in range(5000):
        found.resolve(f"openai/made-up-{number}")
    assert len(found._kept) < 5000


def test_an_override_replaces_what_it_says_and_nothing_else() -> None:
    mine = flat(Rates(input=1, output=2), source=OVERRIDE_SOURCE)
    found = catalog(overrides=(Override(team_id="t", model_id="openai/gpt-5", price=mine),))
    (target,) = found.resolve("openai/gpt-5")
    assert target.model.price == mine
    assert target.model.context_window == 400_000


def test_an_override_puts_an_unlisted_model_on_the_list() -> None:
    found = catalog(overrides=(Override(team_id="t", model_id="openai/new-one", context_window=5),))
    assert "openai/new-one" in [model.id for model in found.visible()]


@pytest.mark.parametrize(
    ("model_id", "can", "cannot"),
    [
        ("openai/gpt-4o", Ability.VISION, Ability.REASONING),
        ("openai/gpt-5", Ability.REASONING, Ability.EMBEDDINGS),
        ("openai/text-embedding-3-small", Ability.EMBEDDINGS, Ability.TOOLS),
        ("anthropic/claude-sonnet-4-5", Ability.VISION, Ability.AUDIO_IN),
        ("openrouter/openai/gpt-4o-mini", Ability.JSON_SCHEMA, Ability.REASONING),
        ("openrouter/anthropic/claude-sonnet-4.5", Ability.REASONING, Ability.AUDIO_OUT),
    ],
)
def test_what_a_family_can_do(model_id: str, can: Ability, cannot: Ability) -> None:
    found = catalog(shelf("openai"), shelf("anthropic"), shelf("openrouter"))
    model = found.model(model_id)
    assert model is not None
    assert model.abilities is not None
    assert can in model.abilities
    assert cannot not in model.abilities


def test_the_sandbox_has_invented_prices_that_say_so() -> None:
    (target,) = catalog(shelf("sandbox", models=("echo", "vision", "image", "embed"))).resolve("sandbox/echo")
    assert target.model.price is not None
    assert target.model.price.source == "invented for sandbox"


def test_every_family_of_the_table_fits_a_model_of_the_snapshot_or_the_sandbox() -> None:
    """A pattern with a slip of the pen in it fits nothing, and nobody would notice."""
    sandbox = [("sandbox", name) for name in ("echo", "vision", "reason", "tools", "image", "embed")]
    listed = [(vendor, entry.id) for vendor in BOOK.vendors() for entry in BOOK.listing(vendor).entries]
    hit = {id(FAMILIES.find(vendor, name)) for vendor, name in [*sandbox, *listed]}
    idle = [family.match for family in FAMILIES.families if id(family) not in hit]
    assert idle == []


@given(name=st.text(alphabet=string.printable, max_size=300), allowed=st.sampled_from([None, (), ("openai/*",)]))
def test_no_name_does_anything_but_resolve_or_be_refused(name: str, allowed: tuple[str, ...] | None) -> None:
    found = catalog(shelf("openai", models=("gpt-5",)))
    try:
        targets = found.resolve(name, allowed)
    except (ModelNotFound, AmbiguousModel, ModelNotAllowed):
        return
    assert targets
    assert allowed is None or all(target.id.startswith("openai/") for target in targets)


def test_what_answers_a_day_later_is_nobodys_automatic_choice() -> None:
    found = catalog(shelf("openrouter"))
    assert any(model.name.endswith(":batch") for model in found.visible(None))
    assert not [name for name in ids(found, "auto:quality") if name.endswith(":batch")]
    named = next(model.id for model in found.visible(None) if model.name.endswith(":batch"))
    assert ids(found, named) == [named]
