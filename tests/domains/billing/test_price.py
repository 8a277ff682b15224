"""The price of a call, against an oracle in decimals and against genai-prices' own calculator."""

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import msgspec
import pytest
from genai_prices import Usage as TheirUsage
from genai_prices.data import providers as their_providers
from hypothesis import given
from hypothesis import strategies as st

import samovar.domains.catalog
from samovar.domains.billing.model import FEMTO_PER_NANO, REPORTED, UNKNOWN, charge_lines, price, rounded
from samovar.domains.billing.model.prices import MOST_NANO_USD_A_CALL
from samovar.domains.catalog.model import OVERRIDE_SOURCE, PriceBook, PriceCard, Rates, Sheet, Tier, flat
from samovar.ports.llm import Usage

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TOKENS = st.integers(0, 10_000_000)
AMOUNT = st.one_of(st.none(), st.integers(0, 10**12))
RATES = st.builds(Rates, **dict.fromkeys(Rates.__struct_fields__, AMOUNT))
FULL_RATES = st.builds(Rates, **dict.fromkeys(Rates.__struct_fields__, st.integers(0, 10**12)))
# Usage that contradicts itself too: vendors send it.
ANY_USAGE = st.builds(
    Usage,
    **{field: TOKENS for field in Usage.__struct_fields__ if field.endswith("_tokens")},
    web_searches=st.integers(0, 100),
)


@st.composite
def sound_usage(draw: st.DrawFn) -> Usage:
    """Usage whose details are no more than their whole."""
    part = st.integers(0, 200_000)
    cached, written, audio, image, plain = (draw(part) for _ in range(5))
    reasoning, audio_out, image_out, said = (draw(part) for _ in range(4))
    return Usage(
        input_tokens=cached + written + audio + image + plain,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        audio_input_tokens=audio,
        image_input_tokens=image,
        output_tokens=reasoning + audio_out + image_out + said,
        reasoning_tokens=reasoning,
        audio_output_tokens=audio_out,
        image_output_tokens=image_out,
        web_searches=draw(st.integers(0, 20)),
    )


def card(**rates: int) -> PriceCard:
    return flat(Rates(**rates), source="a test")


def femto(usage: Usage, rates: Rates) -> int:
    return sum(line.femto_usd or 0 for line in charge_lines(usage, rates))


def test_cached_tokens_are_charged_once_and_at_their_own_price() -> None:
    usage = Usage(input_tokens=1_000_000, cached_input_tokens=900_000)
    charge = price(usage, card(input=10_000_000_000, cached_input=1_000_000_000), at=NOW)
    assert charge.nano_usd == 1_000_000_000 + 900_000_000


def test_reasoning_without_a_price_of_its_own_is_output() -> None:
    usage = Usage(output_tokens=1_000_000, reasoning_tokens=400_000)
    assert price(usage, card(output=5_000_000_000), at=NOW).nano_usd == 5_000_000_000
    apart = price(usage, card(output=5_000_000_000, reasoning=10_000_000_000), at=NOW)
    assert apart.nano_usd == 3_000_000_000 + 4_000_000_000


def test_a_prompt_kept_for_an_hour_has_its_own_price() -> None:
    usage = Usage(input_tokens=3_000_000, cache_write_tokens=2_000_000, cache_write_1h_tokens=500_000)
    charge = price(usage, card(input=1_000_000, cache_write=10_000_000, cache_write_1h=100_000_000), at=NOW)
    assert charge.nano_usd == 1_000_000 + 15_000_000 + 50_000_000


def test_what_is_cached_and_audio_at_once_is_charged_once() -> None:
    usage = Usage(input_tokens=100, cached_input_tokens=80, audio_input_tokens=60)
    lines = charge_lines(usage, Rates(input=1, cached_input=2, audio_input=3))
    assert [(line.kind, line.quantity) for line in lines] == [("cached_input", 80), ("audio_input", 20)]


def test_an_unknown_price_is_not_zero() -> None:
    used = Usage(input_tokens=10, output_tokens=10)
    assert price(used, None, at=NOW).nano_usd is None
    assert price(used, None, at=NOW).source == UNKNOWN
    half = price(used, card(input=1_000_000), at=NOW)
    assert half.nano_usd is None
    assert half.unpriced == ("output",)


def test_a_free_model_costs_nothing_and_says_so() -> None:
    assert price(Usage(input_tokens=10, output_tokens=10), card(input=0, output=0), at=NOW).nano_usd == 0


def test_a_kind_without_a_price_does_no_harm_while_it_is_not_used() -> None:
    assert price(Usage(input_tokens=1_000_000), card(input=7), at=NOW).nano_usd == 7


def test_requests_and_searches_are_charged_by_the_piece() -> None:
    charge = price(Usage(web_searches=3), card(request=5, web_search=10_000_000), at=NOW)
    assert charge.nano_usd == 30_000_005


def test_the_vendors_own_word_on_the_cost_beats_the_snapshot_but_not_an_override() -> None:
    usage = Usage(input_tokens=1_000_000, reported_cost_nano_usd=42)
    reported = price(usage, card(input=1_000), at=NOW)
    assert (reported.nano_usd, reported.source) == (42, REPORTED)
    assert price(usage, None, at=NOW).nano_usd == 42
    overridden = price(usage, flat(Rates(input=1_000), source=OVERRIDE_SOURCE), at=NOW)
    assert (overridden.nano_usd, overridden.source) == (1_000, OVERRIDE_SOURCE)


def test_a_tier_is_a_cliff_for_the_whole_call() -> None:
    tiered = PriceCard(
        sheets=(Sheet(rates=Rates(input=1_000_000), tiers=(Tier(over=200_000, rates=Rates(input=2_000_000)),)),)
    )
    assert price(Usage(input_tokens=200_000), tiered, at=NOW).nano_usd == 200_000
    assert price(Usage(input_tokens=200_001), tiered, at=NOW).nano_usd == 400_002


def test_a_new_price_holds_from_its_day_on() -> None:
    changing = PriceCard(
        sheets=(Sheet(rates=Rates(input=1_000_000)), Sheet(rates=Rates(input=3_000_000), starts=date(2026, 11, 21)))
    )
    usage = Usage(input_tokens=1_000_000)
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    assert price(usage, changing, at=midnight - timedelta(microseconds=1)).nano_usd == 1_000_000
    assert price(usage, changing, at=midnight).nano_usd == 3_000_000


@pytest.mark.parametrize(("hour", "expected"), [(15, 1), (16, 2), (23, 2), (0, 2), (1, 1)])
def test_an_hourly_price_may_go_over_midnight(hour: int, expected: int) -> None:
    hourly = PriceCard(sheets=(Sheet(rates=Rates(input=1)), Sheet(rates=Rates(input=2), daily=(16 * 60, 60))))
    at = NOW.replace(hour=hour)
    assert price(Usage(input_tokens=1_000_000), hourly, at=at).nano_usd == expected


def test_a_service_tier_has_its_own_prices_and_an_unknown_one_the_standard_ones() -> None:
    cheap = PriceCard(sheets=(Sheet(rates=Rates(input=10)),), service_tiers={"flex": (Sheet(rates=Rates(input=5)),)})
    usage = Usage(input_tokens=1_000_000)
    assert price(msgspec.structs.replace(usage, service_tier="flex"), cheap, at=NOW).nano_usd == 5
    assert price(msgspec.structs.replace(usage, service_tier="scale"), cheap, at=NOW).nano_usd == 10


def test_half_a_nano_dollar_is_rounded_up() -> None:
    assert rounded(FEMTO_PER_NANO // 2) == 1
    assert rounded(FEMTO_PER_NANO // 2 - 1) == 0


@given(usage=ANY_USAGE, rates=RATES)
def test_no_usage_however_odd_gives_a_negative_charge_or_more_tokens_than_there_were(
    usage: Usage, rates: Rates
) -> None:
    lines = charge_lines(usage, rates)
    assert all(line.quantity > 0 and (line.femto_usd is None or line.femto_usd >= 0) for line in lines)
    into = {"input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "image_input"}
    out = {"output", "reasoning", "audio_output", "image_output"}
    assert sum(line.quantity for line in lines if line.kind in into) == usage.input_tokens
    assert sum(line.quantity for line in lines if line.kind in out) == usage.output_tokens


@given(usage=sound_usage(), rates=FULL_RATES)
def test_the_charge_is_that_of_an_oracle_in_decimals(usage: Usage, rates: Rates) -> None:
    counts = {
        "cached_input": usage.cached_input_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "cache_write": usage.cache_write_tokens - usage.cache_write_1h_tokens,
        "audio_input": usage.audio_input_tokens,
        "image_input": usage.image_input_tokens,
        "reasoning": usage.reasoning_tokens,
        "audio_output": usage.audio_output_tokens,
        "image_output": usage.image_output_tokens,
    }
    counts["input"] = usage.input_tokens - sum(counts[kind] for kind in list(counts)[:5])
    counts["output"] = usage.output_tokens - sum(counts[kind] for kind in list(counts)[5:8])
    exact = sum((Decimal(count) * getattr(rates, kind) / 1_000_000 for kind, count in counts.items()), Decimal(0))
    exact += Decimal(rates.request or 0) + usage.web_searches * Decimal(rates.web_search or 0)
    expected = min(int(exact.to_integral_value(rounding=ROUND_HALF_UP)), MOST_NANO_USD_A_CALL)
    assert price(usage, flat(rates, source="a test"), at=NOW).nano_usd == expected


@given(usage=sound_usage(), more=sound_usage(), rates=FULL_RATES)
def test_more_of_any_kind_never_costs_less_and_parts_add_up_before_rounding(
    usage: Usage, more: Usage, rates: Rates
) -> None:
    rates = msgspec.structs.replace(rates, request=None)
    both = Usage(
        **{
            field: getattr(usage, field) + getattr(more, field)
            for field in Usage.__struct_fields__
            if field.endswith("_tokens") or field == "web_searches"
        }
    )
    assert femto(both, rates) == femto(usage, rates) + femto(more, rates)
    one, two = flat(rates, source="a test"), price(both, flat(rates, source="a test"), at=NOW).nano_usd
    assert two is not None
    assert two >= (price(usage, one, at=NOW).nano_usd or 0)


MOMENTS = (
    NOW,
    datetime(2025, 2, 1, 3, 30, tzinfo=UTC),
    datetime(2026, 9, 10, 0, 0, tzinfo=UTC),
    datetime(2026, 9, 9, 23, 59, tzinfo=UTC),
)
USAGES = (
    Usage(input_tokens=1_234, output_tokens=567),
    Usage(input_tokens=300_001, cached_input_tokens=100_000, output_tokens=20_000),
    Usage(
        input_tokens=9_000,
        cached_input_tokens=3_000,
        cache_write_tokens=4_000,
        cache_write_1h_tokens=1_000,
        output_tokens=7,
    ),
)
# Their calculator refuses what it cannot place exactly; ours reads on. None of these is a price.
COMPARED = (
    "openai",
    "anthropic",
    "google",
    "x-ai",
    "openrouter",
    "deepseek",
    "mistral",
    "groq",
    "zai",
    "zhipuai",
    "azure",
)


def theirs_of(usage: Usage) -> TheirUsage:
    return TheirUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        web_searches=usage.web_searches,
    )


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook(read=(Path(samovar.domains.catalog.__file__).parent / "snapshot.json").read_bytes)


@pytest.mark.parametrize("provider_id", COMPARED)
@pytest.mark.parametrize("tier", [None, "flex", "priority"])
def test_the_charge_is_genai_prices_own(provider_id: str, tier: str | None, book: PriceBook) -> None:
    """For every model, at several moments. They differ in two ways, both wanted: where a used kind has no price at all
    theirs is 0 and ours unknown, and their total keeps fractions of a nano-dollar (and the noise of floats in a few
    prices, which ours rounds away), so equality is within a nano-dollar and a billionth."""
    provider = next(one for one in their_providers if one.id == provider_id)
    compared = 0
    for model, entry in zip(provider.models, book.listing(provider_id).entries, strict=True):
        assert model.id == entry.id
        if entry.price is None:
            continue
        for at in MOMENTS:
            for usage in USAGES:
                context = None if tier is None else {"service_tier": tier}
                their = model.calc_price(
                    theirs_of(usage), provider, genai_request_timestamp=at, price_context=context
                ).total_price
                our = price(msgspec.structs.replace(usage, service_tier=tier), entry.price, at=at).nano_usd
                if our is None:
                    continue
                compared += 1
                assert abs(our - their * 10**9) <= 1 + their, (model.id, at, usage)
    assert compared > 20
