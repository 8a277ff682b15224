"""Money as whole numbers. Inside, an amount is an ``int`` of nano-dollars (1e-9 USD); outside, credits as a decimal string.

One dollar is 100 credits (requirements, *routing and billing*), so one credit is 10,000,000 nano-dollars.
"""

import re
from decimal import Decimal
from typing import Final

NANO_USD_PER_USD: Final = 1_000_000_000
NANO_USD_PER_CREDIT: Final = 10_000_000
_PLACES: Final = 7
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")


def credits_text(nano_usd: int) -> str:
    """``12_345_678`` nano-dollars as credits, exact and without trailing zeros: ``"1.2345678"``."""
    # A fixed width, which is parsed once: each gateway call asks.
    if 0 < nano_usd < NANO_USD_PER_CREDIT:
        return ("0.%07d" % nano_usd).rstrip("0")  # noqa: UP031  # as above
    sign = "-" if nano_usd < 0 else ""
    whole, rest = divmod(abs(nano_usd), NANO_USD_PER_CREDIT)
    return f"{sign}{whole}.{rest:0{_PLACES}d}".rstrip("0") if rest else f"{sign}{whole}"


def is_decimal(text: str) -> bool:
    """Whether it is a decimal as people write one. Python's own reading takes ``5_0`` for fifty, and digits of any script."""
    return _DECIMAL.fullmatch(text) is not None


def nano_usd_of_credits(text: str) -> int:
    """The amount that ``credits_text`` wrote. Raises ``ValueError`` for what is no decimal or is finer than a nano-dollar."""
    if not is_decimal(text):
        raise ValueError(f"{text!r} is not a decimal number of credits")
    amount = Decimal(text) * NANO_USD_PER_CREDIT
    if amount != amount.to_integral_value():
        raise ValueError(f"{text!r} is not a number of credits with at most {_PLACES} decimal places")
    return int(amount)
