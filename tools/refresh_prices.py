"""Turn genai-prices' bundled snapshot into ``src/samovar/domains/catalog/snapshot.json`` (ADR 0001).

``python tools/refresh_prices.py`` writes the file, ``--check`` fails if it is not what the locked package gives. The
bytes depend on nothing but the package's version: one model a line, so that a price change reads as one in review.
Nothing is fetched.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Final

import genai_prices.types as theirs
import msgspec
from genai_prices.data import providers as their_providers

from samovar.domains.catalog.model.prices import PriceCard, Rates, Sheet, Tier
from samovar.domains.catalog.model.snapshot import Clause, Entry

SNAPSHOT: Final = Path(__file__).resolve().parent.parent / "src/samovar/domains/catalog/snapshot.json"

# Their price keys and ours. What is missing here (hours of audio, pixels, pages, ...) has no place in a chat call's usage.
KINDS: Final = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "input_image_mtok": "image_input",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
    "requests_kcount": "request",
    "web_searches_kcount": "web_search",
}
# How a request may ask for other prices, as far as an answer's usage tells us. Their "route" and "search_type" do not.
TIER_KEYS: Final = ("service_tier", "speed", "processing")
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def snapshot_bytes() -> bytes:
    """The whole file."""
    encode = msgspec.json.Encoder(order="deterministic").encode
    lines = [b'{"source":' + encode(f"genai-prices {version('genai-prices')}") + b',"providers":{']
    ordered = sorted(their_providers, key=lambda provider: provider.id)
    for place, provider in enumerate(ordered):
        lines.append(encode(provider.id) + b':{"models":[')
        entries = [encode(_entry(model)) for model in provider.models]
        lines.append(b",\n".join(entries))
        fallback = encode(tuple(provider.fallback_model_providers or ()))
        lines.append(b'],"fallback":' + fallback + (b"}" if place == len(ordered) - 1 else b"},"))
    lines.append(b"}}\n")
    return b"\n".join(lines)


def dropped_kinds() -> Counter[str]:
    """How many prices of each kind the snapshot leaves out, for the person who refreshes it."""
    return Counter(
        key
        for provider in their_providers
        for model in provider.models
        for prices in _all_prices(model)
        for key, value in prices.__dict__.items()
        if value is not None and key not in KINDS
    )


def _entry(model: theirs.ModelInfo) -> Entry:
    return Entry(
        id=model.id,
        match=_clause(model.match),
        title=model.name,
        context_window=model.context_window,
        deprecated=bool(model.deprecated),
        price=_card(model),
    )


def _clause(clause: object) -> Clause:
    match clause:
        case theirs.ClauseEquals(equals=text):
            return Clause(equals=text.lower())
        case theirs.ClauseStartsWith(starts_with=text):
            return Clause(starts_with=text.lower())
        case theirs.ClauseEndsWith(ends_with=text):
            return Clause(ends_with=text.lower())
        case theirs.ClauseContains(contains=text):
            return Clause(contains=text.lower())
        case theirs.ClauseRegex(regex=text):
            return Clause(regex=text)
        case theirs.ClauseOr(or_=parts):
            return Clause(any=tuple(_clause(part) for part in parts))
        case theirs.ClauseAnd(and_=parts):
            return Clause(all=tuple(_clause(part) for part in parts))
    raise TypeError(f"an unknown clause: {clause!r}")


def _card(model: theirs.ModelInfo) -> PriceCard | None:
    if isinstance(model.prices, theirs.ModelPrice):
        sheets: tuple[Sheet, ...] = (_sheet(model.prices),)
    else:
        sheets = tuple(_sheet(one.prices, one.constraint) for one in model.prices)
    if not any(sheet.rates.known for sheet in sheets):
        return None
    tiers = {name: prices for name, prices in _service_tiers(model) if prices != _by_date(model, {})}
    return PriceCard(sheets=sheets, service_tiers=tiers)


def _service_tiers(model: theirs.ModelInfo) -> Iterator[tuple[str, tuple[Sheet, ...]]]:
    contexts: dict[str, dict[str, str]] = {}
    for variant in model.price_variants or ():
        if len(variant.when) == 1 and next(iter(variant.when)) in TIER_KEYS:
            (name,) = variant.when.values()
            if contexts.setdefault(name, variant.when) != variant.when:
                raise ValueError(f"{model.id}: {name!r} means two things, {contexts[name]} and {variant.when}")
    for name, context in sorted(contexts.items()):
        yield name, _by_date(model, context)


def _by_date(model: theirs.ModelInfo, context: Mapping[str, str]) -> tuple[Sheet, ...]:
    """Prices in one context, resolved at each day on which any of them changes. Days without a change are left out."""
    constraints = [variant.constraint for variant in model.price_variants or ()]
    if not isinstance(model.prices, theirs.ModelPrice):
        constraints += [one.constraint for one in model.prices]
    if context and any(isinstance(one, theirs.TimeOfDateConstraint) for one in constraints):
        raise ValueError(f"{model.id} has both hours and service tiers: teach _by_date to cross them")
    days = sorted({one.start_date for one in constraints if isinstance(one, theirs.StartDateConstraint)})
    sheets = [_sheet(model.get_prices(_LONG_AGO, context))]
    for day in days:
        prices = model.get_prices(datetime.combine(day, time(), UTC), context)
        sheet = _sheet(prices, theirs.StartDateConstraint(day))
        if (sheet.rates, sheet.tiers) != (sheets[-1].rates, sheets[-1].tiers):
            sheets.append(sheet)
    return tuple(sheets)


def _sheet(prices: theirs.ModelPrice, constraint: object = None) -> Sheet:
    starts: date | None = None
    daily: tuple[int, int] | None = None
    match constraint:
        case theirs.StartDateConstraint(start_date=day):
            starts = day
        case theirs.TimeOfDateConstraint(start_time=start, end_time=end):
            daily = (_minute(start), _minute(end))
        case None:
            pass
        case _:
            raise TypeError(f"an unknown constraint: {constraint!r}")
    edges = sorted({tier.start for price in _priced(prices).values() for tier in _tiers(price)})
    tiers = tuple(Tier(over=edge, rates=_rates(prices, edge + 1)) for edge in edges)
    return Sheet(rates=_rates(prices, 0), tiers=tiers, starts=starts, daily=daily)


def _minute(at: time) -> int:
    if at.second or at.microsecond or at.utcoffset():
        raise ValueError(f"{at} is no whole minute of the UTC day")
    return at.hour * 60 + at.minute


def _rates(prices: theirs.ModelPrice, input_tokens: int) -> Rates:
    """The column for a prompt of that size."""
    return Rates(**{KINDS[key]: _nano_usd(key, price, input_tokens) for key, price in _priced(prices).items()})


def _nano_usd(key: str, price: Decimal | theirs.TieredPrices, input_tokens: int) -> int:
    amount = price if isinstance(price, Decimal) else price.base
    for tier in _tiers(price):
        if input_tokens > tier.start:
            amount = tier.price
    # Dollars for a million tokens, or for a thousand requests. Some prices carry the noise of somebody's floats
    # (0.18000000000000002); a nano-dollar for a million tokens is far below what any bill shows.
    per_dollar = 1_000_000 if key.endswith("_kcount") else 1_000_000_000
    return int((amount * per_dollar).to_integral_value(rounding=ROUND_HALF_EVEN))


def _priced(prices: theirs.ModelPrice) -> dict[str, Decimal | theirs.TieredPrices]:
    return {key: value for key, value in prices.__dict__.items() if key in KINDS and value is not None}


def _tiers(price: Decimal | theirs.TieredPrices) -> Sequence[theirs.Tier]:
    return price.tiers if isinstance(price, theirs.TieredPrices) else ()


def _all_prices(model: theirs.ModelInfo) -> Iterator[theirs.ModelPrice]:
    yield from [model.prices] if isinstance(model.prices, theirs.ModelPrice) else [one.prices for one in model.prices]
    yield from (variant.prices for variant in model.price_variants or ())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="do not write; fail if the file is stale")
    made = snapshot_bytes()
    if parser.parse_args(arguments).check:
        if SNAPSHOT.exists() and SNAPSHOT.read_bytes() == made:
            return 0
        print(f"{SNAPSHOT.name} is stale: run `python tools/refresh_prices.py` and review the difference")
        return 1
    SNAPSHOT.write_bytes(made)
    print(f"{SNAPSHOT.name}: {len(made):,} bytes; left out: {dict(dropped_kinds())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
