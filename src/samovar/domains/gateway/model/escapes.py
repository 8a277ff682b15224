"""Escapes of JSON undone in a text that is no JSON: cut off, with a comma too many, of several documents, nested too deep.

Whoever reads such a text leniently reads what the escapes say, so rules must see it too.
"""

import re
from bisect import bisect_right
from typing import Final

import msgspec

_ESCAPE: Final = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))",
    re.DOTALL,
)
_LETTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Undone(msgspec.Struct, frozen=True):
    """``text`` without its escapes. Its pieces begin at ``places``, and at ``sources`` in what it was made of."""

    text: str
    places: list[int]
    sources: list[int]

    def source(self, place: int) -> int:
        """Where what stands at ``place`` began, escape and all."""
        piece = bisect_right(self.places, place) - 1
        return self.sources[piece] + place - self.places[piece]


def undone(text: str) -> Undone:
    """Every backslash says something: those that JSON does not know stand for the letter behind them."""
    out: list[str] = []
    places, sources = [0], [0]
    at = done = 0
    for found in _ESCAPE.finditer(text):
        if found.start() > done:
            out.append(text[done : found.start()])
            at += found.start() - done
            places.append(at)
            sources.append(found.start())
        out.append(_letter(found))
        at, done = at + 1, found.end()
        places.append(at)
        sources.append(done)
    return Undone("".join((*out, text[done:])), places, sources)


def _letter(found: "re.Match[str]") -> str:
    high, low, code, byte, letter = found.groups()
    if high is not None:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    if letter is not None:
        return _LETTERS.get(letter, letter)
    return chr(int(code or byte, 16))
