"""The most that a call may cost, before it goes out. Pure."""

from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from samovar.domains.billing.errors import PriceUnknown
from samovar.domains.billing.model.prices import MOST_NANO_USD_A_CALL, rounded
from samovar.domains.catalog.model import PriceCard, Rates

UnknownPrice: TypeAlias = Literal["refuse", "ceiling"]
"""What becomes of a call whose price nobody knows: refused, or held and charged at the ceiling. It is never free."""


class Dearest(NamedTuple):
    """Of all kinds, in nano-dollars for a million tokens; of a request in nano-dollars."""

    input: int | None
    output: int | None
    request: int


_NOTHING: Final = Dearest(None, None, 0)


class Bounds:
    """:func:`bound` for the path of a call. Remembers, for a day, the dearest rates of cards that say the same all day and for
    all sizes, as most do. Bounded."""

    def __init__(self, unknown_price: UnknownPrice, *, most: int = 4096) -> None:
        self._unknown_price: UnknownPrice = unknown_price
        self._most = most
        # By identity: a card is a large value to compare. It is kept here, so that no other gets its identity.
        self._known: dict[int, tuple[PriceCard, int, Dearest | None]] = {}

    def of(
        self,
        card: PriceCard | None,
        *,
        input_tokens: int,
        max_output_tokens: int | None,
        at: datetime,
        ceiling_nano_usd: int,
    ) -> int:
        """What :func:`bound` says. Raises :class:`PriceUnknown`."""
        dearest = _NOTHING
        if card is not None:
            day = at.toordinal()
            found = self._known.get(id(card))
            if found is None or found[1] != day:
                found = self._remember(card, day, at)
            dearest = found[2] or dearest_of(card, input_tokens=input_tokens, at=at)
        return _most(dearest, input_tokens, max_output_tokens, ceiling_nano_usd, self._unknown_price)

    def _remember(self, card: PriceCard, day: int, at: datetime) -> tuple[PriceCard, int, Dearest | None]:
        if len(self._known) >= self._most:
            self._known.clear()
        # One without tiers says the same of every size.
        dearest = dearest_of(card, input_tokens=0, at=at) if _is_even(card) else None
        found = self._known[id(card)] = (card, day, dearest)
        return found


def bound(
    card: PriceCard | None,
    *,
    input_tokens: int,
    max_output_tokens: int | None,
    at: datetime,
    ceiling_nano_usd: int,
    unknown_price: UnknownPrice,
) -> int:
    """Nano-dollars. ``input_tokens`` is an upper estimate; ``max_output_tokens`` the caller's bound or the model's,
    whichever is smaller (0 for a call that has no output), ``None`` where neither is known: then the ceiling stands.

    Each token counts at the dearest price that one of its kind can have, the service tiers' included. Raises
    :class:`PriceUnknown`.
    """
    dearest = _NOTHING if card is None else dearest_of(card, input_tokens=input_tokens, at=at)
    return _most(dearest, input_tokens, max_output_tokens, ceiling_nano_usd, unknown_price)


def _most(
    dearest: Dearest,
    input_tokens: int,
    max_output_tokens: int | None,
    ceiling_nano_usd: int,
    unknown_price: UnknownPrice,
) -> int:
    dearest_input, dearest_output, request = dearest
    if (dearest_input is None and input_tokens > 0) or (dearest_output is None and max_output_tokens != 0):
        if unknown_price == "refuse":
            raise PriceUnknown(
                "The price of this model is not known, so the wallet's credit cannot be kept safe. Set a price"
                " (PUT /api/models/{id}/override), or SAMOVAR_UNKNOWN_PRICE=ceiling to charge such calls at the ceiling."
            )
        return min(ceiling_nano_usd, MOST_NANO_USD_A_CALL)
    if max_output_tokens is None and dearest_output != 0:
        return min(ceiling_nano_usd, MOST_NANO_USD_A_CALL)
    femto = 0
    if dearest_input is not None and input_tokens > 0:
        femto = input_tokens * dearest_input
    if dearest_output is not None and max_output_tokens is not None and max_output_tokens > 0:
        femto += max_output_tokens * dearest_output
    nano_usd = rounded(femto) + request
    return nano_usd if nano_usd < MOST_NANO_USD_A_CALL else MOST_NANO_USD_A_CALL


def _is_even(card: PriceCard) -> bool:
    sheets = [sheet for sheets in (card.sheets, *card.service_tiers.values()) for sheet in sheets]
    return not any(sheet.tiers or sheet.daily for sheet in sheets)


def dearest_of(card: PriceCard, *, input_tokens: int, at: datetime) -> Dearest:
    """Of all columns that a call at ``at`` with this input may be charged by, the service tiers' included."""
    rates = _all_rates(card, input_tokens=input_tokens, at=at)
    return Dearest(
        _dearest([rate for one in rates for rate in _input(one)]),
        _dearest([rate for one in rates for rate in _output(one)]),
        max((one.request or 0 for one in rates), default=0),
    )


def _all_rates(card: PriceCard, *, input_tokens: int, at: datetime) -> list[Rates]:
    tiers: list[str | None] = [None, *card.service_tiers]
    return [card.rates(input_tokens=input_tokens, at=at, service_tier=tier) for tier in tiers]


def _input(rates: Rates) -> tuple[int | None, ...]:
    return (
        rates.input,
        rates.cached_input,
        rates.cache_write,
        rates.cache_write_1h,
        rates.audio_input,
        rates.image_input,
    )


def _output(rates: Rates) -> tuple[int | None, ...]:
    return (rates.output, rates.reasoning, rates.audio_output, rates.image_output)


def _dearest(found: list[int | None]) -> int | None:
    known = [rate for rate in found if rate is not None]
    return max(known) if known else None
