"""The recovery phrase: 140 random bits, written so that a person can copy them from paper."""

from typing import Final

# Crockford's: without i, l, o and u, which are taken for others.
_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_READ_AS: Final = str.maketrans({"o": "0", "i": "1", "l": "1"})
_GROUPS: Final = 7
_GROUP_LETTERS: Final = 4
PHRASE_BYTES: Final = 18


def phrase_of(chance: bytes) -> str:
    """``k7qm-2xrd-…`` from :data:`PHRASE_BYTES` random bytes, of which four bits are left over."""
    if len(chance) != PHRASE_BYTES:
        raise ValueError(f"a recovery phrase is made of {PHRASE_BYTES} bytes")
    bits = int.from_bytes(chance, "big")
    letters = "".join(_LETTERS[bits >> 5 * at & 31] for at in range(_GROUPS * _GROUP_LETTERS))
    return "-".join(letters[at : at + _GROUP_LETTERS] for at in range(0, len(letters), _GROUP_LETTERS))


def as_printed(typed: str) -> str:
    """What a person typed, as it was printed: capitals, spaces and letters that look like digits are forgiven. Text that is no
    phrase comes back as something that opens nothing."""
    letters = "".join(typed.lower().translate(_READ_AS).replace("-", " ").split())
    return "-".join(letters[at : at + _GROUP_LETTERS] for at in range(0, len(letters), _GROUP_LETTERS))
