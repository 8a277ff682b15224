"""Bech32 (BIP 173), as age writes its keys: without the limit of 90 characters."""

from collections.abc import Iterable, Iterator
from typing import Final

_LETTERS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECK_LETTERS: Final = 6


def encode(prefix: str, content: bytes) -> str:
    """In lower case; ``prefix`` too."""
    values = list(_regrouped(content, 8, 5, pad=True))
    check = _polymod([*_expanded(prefix), *values, *[0] * _CHECK_LETTERS]) ^ 1
    values += [(check >> 5 * (_CHECK_LETTERS - 1 - at)) & 31 for at in range(_CHECK_LETTERS)]
    return f"{prefix}1{''.join(_LETTERS[value] for value in values)}"


def decode(text: str) -> tuple[str, bytes]:
    """The prefix in lower case, and the content. Raises ``ValueError``, which does not show the text."""
    if text not in (text.lower(), text.upper()):
        raise ValueError("upper and lower case are mixed")
    prefix, one, rest = text.lower().rpartition("1")
    if not one or not prefix or len(rest) < _CHECK_LETTERS or any(letter not in _LETTERS for letter in rest):
        raise ValueError("it is not Bech32")
    values = [_LETTERS.index(letter) for letter in rest]
    if _polymod([*_expanded(prefix), *values]) != 1:
        raise ValueError("its check letters are wrong: a letter is mistyped or missing")
    return prefix, bytes(_regrouped(values[:-_CHECK_LETTERS], 5, 8, pad=False))


def _expanded(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for at, term in enumerate(_GENERATOR):
            if top >> at & 1:
                check ^= term
    return check


def _regrouped(values: Iterable[int], from_bits: int, to_bits: int, *, pad: bool) -> Iterator[int]:
    held = bits = 0
    for value in values:
        held = held << from_bits | value
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            yield held >> bits
            held &= (1 << bits) - 1
    if pad and bits:
        yield held << (to_bits - bits)
    elif not pad and (bits >= from_bits or held):
        raise ValueError("its last letter is wrong")
