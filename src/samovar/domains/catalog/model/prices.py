"""Prices as data: what a vendor asks for a million tokens, from when on, above which prompt, in which service tier.

All amounts are whole nano-dollars (1e-9 USD) for a million tokens, or for one request or search. ``None`` is "nobody
told us"; 0 is "free". The two never stand for each other.
"""

from datetime import UTC, date, datetime
from typing import Final

import msgspec

OVERRIDE_SOURCE: Final = "override"
"""The ``source`` of a card that an admin wrote: it comes before the vendor's own word on a call's cost."""


class Rates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One column of a price page. A kind without its own price is charged as the kind it is part of (cached input as
    input, reasoning as output, ...): :func:`samovar.domains.billing.model.price` does that, not this table."""

    input: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    """Where the vendor prices prompts cached for an hour apart; ``cache_write`` is its default span (Anthropic's 5 m)."""
    audio_input: int | None = None
    image_input: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_output: int | None = None
    image_output: int | None = None
    request: int | None = None
    web_search: int | None = None

    @property
    def known(self) -> bool:
        """Whether any kind has a price."""
        return any(getattr(self, field) is not None for field in self.__struct_fields__)


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``rates`` for *all* tokens of a call whose input is more than ``over`` tokens: a cliff, as vendors bill it."""

    over: int
    rates: Rates


class Sheet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What holds from ``starts`` (a UTC day, ``None``: always), and only between two minutes of the UTC day where
    ``daily`` says so; a span that ends before it starts goes over midnight. ``tiers`` ascend."""

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    starts: date | None = None
    daily: tuple[int, int] | None = None

    def holds(self, at: datetime) -> bool:
        """Whether these prices are in force at ``at``."""
        at = at.astimezone(UTC)
        if self.starts is not None and at.date() < self.starts:
            return False
        if self.daily is None:
            return True
        start, end = self.daily
        minute = at.hour * 60 + at.minute
        return start <= minute < end if start <= end else minute >= start or minute < end


class PriceCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All prices of one model. ``sheets`` is never empty; the last one that holds counts, the first if none does.

    ``service_tiers`` are complete too (nothing is inherited at run time), under the vendor's word: ``flex``,
    ``priority``, ``batch``, ``fast``. ``source`` says whose figures these are and is kept with every charge.
    """

    sheets: tuple[Sheet, ...]
    service_tiers: dict[str, tuple[Sheet, ...]] = {}
    source: str = ""

    def sheet(self, *, at: datetime, service_tier: str | None = None) -> Sheet:
        """What is in force at ``at``. An unknown service tier is charged as the standard one."""
        sheets = self.sheets
        if service_tier is not None and self.service_tiers:
            sheets = self.service_tiers.get(service_tier, sheets)
        if len(sheets) == 1:
            return sheets[0]
        return next((one for one in reversed(sheets) if one.holds(at)), sheets[0])

    def rates(self, *, input_tokens: int, at: datetime, service_tier: str | None = None) -> Rates:
        """The column that a call is charged by."""
        sheet = self.sheet(at=at, service_tier=service_tier)
        if not sheet.tiers:
            return sheet.rates
        return next((tier.rates for tier in reversed(sheet.tiers) if input_tokens > tier.over), sheet.rates)


def flat(rates: Rates, *, source: str) -> PriceCard:
    """A card with one column."""
    return PriceCard(sheets=(Sheet(rates=rates),), source=source)
