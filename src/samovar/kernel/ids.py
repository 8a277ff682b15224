"""Identifiers: a readable prefix and 26 characters of a ULID (https://github.com/ulid/spec), sortable by time of birth."""

from functools import lru_cache
from typing import Final

ULID_CHARS: Final = 26
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Two characters at a time, because every gateway call makes an id.
PAIRS: Final = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
"""The 1024 texts of two characters, in their order."""


def crockford(value: int, digits: int) -> str:
    """``value`` in Crockford's base 32, the last ``digits`` of it (an even number); texts sort as the values do."""
    return "".join([PAIRS[(value >> shift) & 1023] for shift in range(5 * digits - 10, -10, -10)])


def ulid(at_ms: int, entropy: int) -> str:
    """26 characters for ``at_ms`` (milliseconds since 1970, 48 bits) and ``entropy`` (80 bits)."""
    return crockford((at_ms << 80) | entropy, 26)


_BASE_32: Final = str.maketrans(_CROCKFORD, "0123456789abcdefghijklmnopqrstuv")
_OF_PAIR: Final = {pair: value for value, pair in enumerate(PAIRS)}


def hex_of_ulid(ulid_text: str) -> str:
    """The 128 bits of a ULID as 32 hexadecimal digits, which is what W3C Trace Context calls a trace id. The last 16 are
    random, as a span id must be."""
    # Four digits are 20 bits, which are five hexadecimal digits. Those of the seconds, and those by which ids of one process
    # differ, are reckoned each time; the quarter of an hour and the process's chance before them are mostly the last ones.
    of_pair = _OF_PAIR
    middle = of_pair[ulid_text[6:8]] << 10 | of_pair[ulid_text[8:10]]
    last = of_pair[ulid_text[22:24]] << 10 | of_pair[ulid_text[24:]]
    parts = (_hex_of_digits(ulid_text[:6], 7), middle, _hex_of_digits(ulid_text[10:22], 15), last)
    return "%s%05x%s%05x" % parts  # noqa: UP031  # half the time of an f-string's


@lru_cache(maxsize=16)
def _hex_of_digits(digits: str, wide: int) -> str:
    return f"{int(digits.translate(_BASE_32), 32):0{wide}x}"
