"""What only its maker can read again: the id of an answer that a vendor keeps, and encrypted reasoning.

Such a string leaves us with a mark of the provider that made it and comes back with it, so that every process knows where
the next call must go, and so does one that starts anew. The mark is taken off before the vendor sees it. Nothing in it is
secret or trusted: whoever changes it hears from a vendor that it knows no such thing.
"""

import re
from collections.abc import Iterable
from typing import Final
from zlib import crc32

import msgspec

_MARKED: Final = re.compile(r"(.+)_smv([0-9a-f]{8})", re.DOTALL)
_MARK_IN_JSON: Final = re.compile(rb'_smv[0-9a-f]{8}"')
_MARK: Final = b"_smv"


class Pin(msgspec.Struct, frozen=True):
    """A marked string: the vendor's own words and their maker."""

    text: str
    maker: str


def maker_of(provider_id: str) -> str:
    """The mark of a provider: eight hexadecimal digits, the same in every process."""
    return f"{crc32(provider_id.encode()):08x}"


def pinned(text: str, maker: str) -> str:
    """``text`` with the mark of its maker."""
    return f"{text}_smv{maker}"


def unpinned(text: str) -> Pin | None:
    """What :func:`pinned` made; ``None`` for what carries no mark."""
    found = _MARKED.fullmatch(text)
    return None if found is None else Pin(found[1], found[2])


def may_hold_pins(body: bytes) -> bool:
    """Whether a JSON text may hold a marked string: quick, and never wrongly no."""
    return _MARK in body and _MARK_IN_JSON.search(body) is not None


def pinned_json(body: bytes, texts: Iterable[str], maker: str) -> bytes:
    """A JSON text in which each of ``texts`` is marked wherever it stands as a string of its own; all else stays as it is,
    byte for byte."""
    for text in texts:
        if text:
            body = body.replace(b'"%b"' % text.encode(), b'"%b"' % pinned(text, maker).encode())
    return body
