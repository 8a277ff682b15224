"""What a vendor says that a call cost, where it says so: in the same few fields in every dialect that has them.

Vendors' folders never import one another, so what two of them share stands here. All of it is pure.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from samovar.kernel.money import NANO_USD_PER_USD

ABSENT: Final = Raw(b"")
_NANO_USD_PER_USD: Final = Decimal(NANO_USD_PER_USD)
_NANO_USD_PER_TICK: Final = Decimal("0.1")
_MAX_EXPONENT: Final = 16


class SaysCost(Struct, frozen=True):
    """The fields of a ``usage`` that say it. They are kept as they came: some vendors use these names for something else, and the
    tokens beside them count all the same."""

    cost: Raw = ABSENT
    """OpenRouter: dollars. Of a call on another vendor's own key (``is_byok``) it is OpenRouter's fee, and what that vendor
    charges stands in the details; of other calls it is all (openrouter.ai/docs, Usage Accounting)."""
    is_byok: Raw = ABSENT
    cost_details: Raw = ABSENT
    cost_in_usd_ticks: Raw = ABSENT
    """xAI: a tick is 1e-10 USD."""


class _Details(Struct, frozen=True):
    upstream_inference_cost: Decimal | None = None


_AMOUNT: Final = msgspec.json.Decoder(Decimal | None, strict=False)
_FLAG: Final = msgspec.json.Decoder(bool | None, strict=False)
_DETAILS: Final = msgspec.json.Decoder(_Details | None, strict=False)


def cost_nano_usd(said: SaysCost) -> int | None:
    """The cost of a call; ``None`` where nothing is said of it, or nothing that can be true."""
    if said.cost is ABSENT and said.cost_in_usd_ticks is ABSENT:
        return None
    try:
        return _cost(said)
    except ValueError:
        return None


def _cost(said: SaysCost) -> int | None:
    ticks = _read(said.cost_in_usd_ticks, _AMOUNT)
    if ticks is not None:
        return _whole(ticks, by=_NANO_USD_PER_TICK)
    cost = _whole(_read(said.cost, _AMOUNT), by=_NANO_USD_PER_USD)
    if cost is None or not _read(said.is_byok, _FLAG):
        return cost
    details = _read(said.cost_details, _DETAILS)
    paid = None if details is None else _whole(details.upstream_inference_cost, by=_NANO_USD_PER_USD)
    # A fee alone is not what the call costs: then the price card says that.
    return None if paid is None else cost + paid


def _read(raw: Raw, decoder: "msgspec.json.Decoder[Any]") -> Any:
    return None if raw is ABSENT else decoder.decode(raw)


def _whole(amount: Decimal | None, *, by: Decimal) -> int | None:
    # Nobody's price has that many digits, and huge exponents would cost us seconds.
    if amount is None or not amount.is_finite() or amount < 0 or amount.adjusted() > _MAX_EXPONENT:
        return None
    return int((amount * by).to_integral_value(ROUND_HALF_UP))
