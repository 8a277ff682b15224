"""The price of a call: a pure function of its usage and a price card.

Tokens times nano-dollars for a million tokens are *femto-dollars* (1e-15 USD), a whole number; lines are kept in them and
add up exactly. The total is rounded to nano-dollars once, half up: it is what people expect of money, it keeps the
order of any two charges, and at half a nano-dollar (a 20,000,000th of a credit) a call there is nothing to gain from
a cleverer rule. Nothing is a float.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from samovar.domains.catalog.model import OVERRIDE_SOURCE, PriceCard, Rates
from samovar.ports.llm import Usage

FEMTO_PER_NANO: Final = 1_000_000
_HALF_A_NANO: Final = FEMTO_PER_NANO // 2
MOST_NANO_USD_A_CALL: Final = 10**13
"""A million credits: no call is charged more. Whoever reports more has slipped, and sums of charges must stay countable."""

Kind: TypeAlias = Literal[
    "input",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "image_input",
    "output",
    "reasoning",
    "audio_output",
    "image_output",
    "request",
    "web_search",
]


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``quantity`` tokens (requests, searches) of one kind, none of them in another line. ``femto_usd`` is ``None`` where
    the card has no price for them."""

    kind: Kind
    quantity: int
    femto_usd: int | None


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What a call costs. ``nano_usd`` is ``None`` when it cannot be known: no card, or a kind that was used and has no
    price. It is never 0 for want of a price. ``source`` says whose figure it is. ``rates`` is the column of the card that
    applied. Where the vendor's own figure is charged, ``computed_nano_usd`` is what the card says of the same usage.
    ``capped``: the figure was above ``MOST_NANO_USD_A_CALL``, which is charged instead."""

    nano_usd: int | None
    source: str
    lines: tuple[Line, ...] = ()
    estimated: bool = False
    rates: Rates | None = None
    computed_nano_usd: int | None = None
    capped: bool = False

    @property
    def unpriced(self) -> tuple[Kind, ...]:
        """The kinds that were used and have no price."""
        return tuple(line.kind for line in self.lines if line.femto_usd is None)


REPORTED: Final = "reported by the provider"
UNKNOWN: Final = "unknown"


def price(usage: Usage, card: PriceCard | None, *, at: datetime) -> Charge:
    """Charge ``usage`` as of ``at`` (aware; when the call began).

    An admin's override comes first, then the vendor's own word on the cost (it is what the bill will say), then the
    snapshot. Usage that contradicts itself (more cached tokens than input) is read in the caller's favour: details
    never add to the whole they are part of.
    """
    reported = usage.reported_cost_nano_usd
    if card is None:
        charge = Charge(nano_usd=None, source=UNKNOWN, estimated=usage.estimated)
    else:
        rates = card.rates(input_tokens=usage.input_tokens, at=at, service_tier=usage.service_tier)
        lines = charge_lines(usage, rates)
        charge = Charge(
            nano_usd=nano_usd_of(lines), source=card.source, lines=lines, estimated=usage.estimated, rates=rates
        )
    if reported is not None and reported >= 0 and (card is None or card.source != OVERRIDE_SOURCE):
        charge = msgspec.structs.replace(
            charge, nano_usd=reported, source=REPORTED, lines=(), computed_nano_usd=charge.nano_usd
        )
    nano_usd = charge.nano_usd
    if nano_usd is None or nano_usd <= MOST_NANO_USD_A_CALL:
        return charge
    return msgspec.structs.replace(charge, nano_usd=MOST_NANO_USD_A_CALL, capped=True)


def nano_usd_of(lines: Sequence[Line]) -> int | None:
    """What lines cost together, rounded once, half up; ``None`` where one of them has no price."""
    femto_usd = 0
    for line in lines:
        if line.femto_usd is None:
            return None
        femto_usd += line.femto_usd
    return rounded(femto_usd)


def rounded(femto_usd: int) -> int:
    """Nano-dollars, half up."""
    return (femto_usd + _HALF_A_NANO) // FEMTO_PER_NANO


def charge_lines(usage: Usage, rates: Rates) -> tuple[Line, ...]:
    """Usage cut into kinds that share no token, each with its price: exact, before rounding."""
    lines: list[Line] = []
    said, answered = usage.input_tokens, usage.output_tokens
    # Most calls have none of these parts, and each call comes by here.
    if usage.cached_input_tokens or usage.cache_write_tokens or usage.audio_input_tokens or usage.image_input_tokens:
        said = _parts_of_input(usage, rates, lines)
    if said > 0:
        each = rates.input
        lines.append(Line("input", said, None if each is None else said * each))
    if usage.reasoning_tokens or usage.audio_output_tokens or usage.image_output_tokens:
        answered = _parts_of_output(usage, rates, lines)
    if answered > 0:
        each = rates.output
        lines.append(Line("output", answered, None if each is None else answered * each))
    if rates.request is not None:
        lines.append(Line("request", 1, rates.request * FEMTO_PER_NANO))
    if usage.web_searches > 0:
        each = rates.web_search
        lines.append(
            Line("web_search", usage.web_searches, None if each is None else usage.web_searches * each * FEMTO_PER_NANO)
        )
    return tuple(lines)


def _parts_of_input(usage: Usage, rates: Rates, lines: list[Line]) -> int:
    """Add lines for the parts that have prices of their own, and give back how many tokens are left."""
    left = usage.input_tokens
    base = rates.input
    if left <= 0:
        return 0
    if usage.cached_input_tokens > 0:
        left = _take(lines, "cached_input", usage.cached_input_tokens, left, _first(rates.cached_input, base))
    if usage.cache_write_tokens > 0:
        written = min(usage.cache_write_tokens, left)
        for_an_hour = min(usage.cache_write_1h_tokens, written)
        each = _first(rates.cache_write, base)
        left = _take(lines, "cache_write_1h", for_an_hour, left, _first(rates.cache_write_1h, each))
        left = _take(lines, "cache_write", written - for_an_hour, left, each)
    # What is both cached and audio is charged as cached: vendors say how much audio there was, not which part of it.
    if usage.audio_input_tokens > 0:
        left = _take(lines, "audio_input", usage.audio_input_tokens, left, _first(rates.audio_input, base))
    if usage.image_input_tokens > 0:
        left = _take(lines, "image_input", usage.image_input_tokens, left, _first(rates.image_input, base))
    return left


def _parts_of_output(usage: Usage, rates: Rates, lines: list[Line]) -> int:
    """As :func:`_parts_of_input`, of an answer."""
    left = usage.output_tokens
    base = rates.output
    if left <= 0:
        return 0
    if usage.reasoning_tokens > 0 and rates.reasoning is not None:
        left = _take(lines, "reasoning", usage.reasoning_tokens, left, rates.reasoning)
    if usage.audio_output_tokens > 0:
        left = _take(lines, "audio_output", usage.audio_output_tokens, left, _first(rates.audio_output, base))
    if usage.image_output_tokens > 0:
        left = _take(lines, "image_output", usage.image_output_tokens, left, _first(rates.image_output, base))
    return left


def _take(lines: list[Line], kind: Kind, count: int, left: int, each: int | None) -> int:
    """Add a line for at most ``left`` tokens and give back how many are left."""
    taken = min(count, left)
    if taken > 0:
        lines.append(Line(kind, taken, None if each is None else taken * each))
        left -= taken
    return left


def _first(own: int | None, whole: int | None) -> int | None:
    """A kind's own price, or that of the kind it is part of."""
    return whole if own is None else own
