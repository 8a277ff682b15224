"""Identifiers: a readable prefix and 26 characters of a ULID (https://github.com/ulid/spec), sortable by time of birth."""

from functools import lru_cache
from typing import Final

ULID_CHARS: Final = 26
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Two characters at a time, because every gateway call makes an id.
_PAIRS: Final = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)


def crockford(value: int, digits: int) -> str:
    """``value`` in Crockford's base 32, the last ``digits`` of it (an even number); texts sort as the values do."""
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(5 * digits - 10, -10, -10)])


def ulid(at_ms: int, entropy: int) -> str:
    """26 characters for ``at_ms`` (milliseconds since 1970, 48 bits) and ``entropy`` (80 bits)."""
    return crockford((at_ms << 80) | entropy, 26)


def last_digits(value: int) -> str:
    """``crockford(value, 4)``, for a value of 20 bits."""
    return _PAIRS[value >> 10] + _PAIRS[value & 1023]


_BASE_32: Final = str.maketrans(_CROCKFORD, "0123456789abcdefghijklmnopqrstuv")
_OF_PAIR: Final = {pair: value for value, pair in enumerate(_PAIRS)}
# The last four digits are 20 bits, which are five hexadecimal digits; ids of one millisecond differ in no others.
_LAST: Final = -4


def hex_of_ulid(ulid_text: str) -> str:
    """The 128 bits of a ULID as 32 hexadecimal digits, which is what W3C Trace Context calls a trace id. The last 16 are
    random, as a span id must be."""
    last = _OF_PAIR[ulid_text[_LAST:-2]] << 10 | _OF_PAIR[ulid_text[-2:]]
    return _hex_of_stem(ulid_text[:_LAST]) + "%05x" % last  # noqa: UP031  # half the time of an f-string's


@lru_cache(maxsize=8)
def _hex_of_stem(stem: str) -> str:
    return f"{int(stem.translate(_BASE_32), 32):027x}"
