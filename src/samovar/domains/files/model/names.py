"""Ids and stored names. Pure.

A stored name is ours: ``2026/11/21/13/report_ann_20261121T133100Z_<file_id>.pdf``. Of what the sender called the file only a
harmless rest goes into it, whatever it was: a path, a control character, a device of Windows, 255 bytes of Chinese. The real
name stands in the attributes.
"""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Final

MAX_FILENAME_BYTES: Final = 1024
"""Of the name that a sender may give."""

_SLUG_BYTES: Final = 100
_OWNER_BYTES: Final = 32
_EXTENSION: Final = re.compile(r"[A-Za-z0-9]{1,16}", re.ASCII)
_KEPT_CATEGORIES: Final = "LMN"
_FILE_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_MS_BITS: Final = 43
_CHANCE_BITS: Final = 20


def file_id_of(ulid_hex: str) -> str:
    """A UUID of version 7 (RFC 9562, 5.7) out of a ULID's 128 bits: both begin with 48 bits of milliseconds. Six of the
    random bits make room for version and variant."""
    value = int(ulid_hex, 16)
    at_ms = value >> 80
    # The last 62 bits stay as they are, for ids of one moment are told apart by those.
    upper = (value >> 66) & 0xFFF
    number = (at_ms << 80) | (0x7 << 76) | (upper << 64) | (0b10 << 62) | (value & ((1 << 62) - 1))
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def first_id_at(at: datetime) -> str:
    """No id of a file that was born at or after ``at`` is below it."""
    text = f"{max(int(at.timestamp() * 1000), 0):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-000000000000"


def is_file_id(text: str) -> bool:
    """Whether this could be one of ours."""
    return _FILE_ID.fullmatch(text) is not None


def number_of(file_id: str) -> int:
    """A whole number of 63 bits that sorts files by their birth: 43 bits of milliseconds, and 20 of the id's last. Two
    files may have one; the row of the later one then takes the next."""
    bits = int(file_id.replace("-", ""), 16)
    return number_at_ms(bits >> 80) | (bits & ((1 << _CHANCE_BITS) - 1))


def number_at_ms(at_ms: int) -> int:
    """The first number of a millisecond since 1970."""
    return min(max(at_ms, 0), (1 << _MS_BITS) - 1) << _CHANCE_BITS


def stored_path(*, file_id: str, filename: str, owner: str, created_at: datetime) -> str:
    """Where a file stands, below its element's root. Every part is a harmless name of at most 200 bytes, so that suffixes fit."""
    at = created_at.astimezone(UTC)
    stem, extension = _split(filename)
    name = f"{slug(stem, _SLUG_BYTES) or 'file'}_{slug(owner, _OWNER_BYTES) or 'nobody'}_{at:%Y%m%dT%H%M%SZ}_{file_id}"
    return f"{at:%Y/%m/%d/%H}/{name}{extension}"


def slug(text: str, max_bytes: int) -> str:
    """Letters, marks and digits of any script, and single hyphens between them; cut between characters."""
    # A compatibility form would grow: one Arabic ligature becomes 18 letters.
    words = [
        char if unicodedata.category(char)[0] in _KEPT_CATEGORIES else "-"
        for char in unicodedata.normalize("NFC", text)
    ]
    joined = re.sub("-+", "-", "".join(words)).strip("-")
    return cut(joined, max_bytes).strip("-")


def cut(text: str, max_bytes: int) -> str:
    """At most ``max_bytes`` of UTF-8, no character in halves, and no mark without its letter's beginning."""
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= max_bytes else raw[:max_bytes].decode("utf-8", "ignore")


def plain_filename(text: str) -> str:
    """A sender's name for a file as it is kept: all of it, but for control characters and halves of characters, which no
    JSON, header or terminal should meet."""
    return "".join("\ufffd" if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)


def base_name(filename: str) -> str:
    """The last part of what may be a path of any system: what a download may be called."""
    return re.split(r"[/\\]", filename)[-1].strip(" .") or "file"


def _split(filename: str) -> tuple[str, str]:
    base = re.split(r"[/\\]", filename)[-1]
    stem, dot, extension = base.rpartition(".")
    if dot and stem.strip(". ") and _EXTENSION.fullmatch(extension):
        return stem, f".{extension.lower()}"
    return base, ""
