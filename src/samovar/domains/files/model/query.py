"""What is searched for, and the place of a page. Pure."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from samovar.domains.files.errors import BadFile
from samovar.domains.files.model.names import number_at_ms
from samovar.kernel.errors import Flaw
from samovar.ports.elements import RetentionKind
from samovar.ports.words import stems

MAX_PAGE: Final = 100
DEFAULT_PAGE: Final = 50
MAX_CURSOR_CHARS: Final = 100
MAX_FILTERED_TAGS: Final = 8
MAX_FILTERED_CUSTOM: Final = 8


class Sort(StrEnum):
    """The order of a list. All are exact over pages."""

    NEWEST = "newest"
    OLDEST = "oldest"
    LARGEST = "largest"


class FileQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which files. Everything said must hold: all of ``tags``, all of ``custom``, every word of ``text`` (of file name, tags and
    custom values, Russian or English, as the beginning of a word). ``content_type`` ends in ``/*`` for all of its kind.
    Bounds of time are of the creation, the lower in and the upper out; those of size are both in."""

    owner: str | None = None
    text: str | None = None
    tags: tuple[str, ...] = ()
    custom: Mapping[str, str] = {}
    content_type: str | None = None
    retention: RetentionKind | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    min_bytes: int | None = None
    max_bytes: int | None = None
    checksum: str | None = None
    sort: Sort = Sort.NEWEST
    cursor: str | None = None


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The last row of a page."""

    sort: Sort
    number: int
    size_bytes: int = 0


def cursor_of(place: Place) -> str:
    """The place as a text that only we read."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def place_of(query: FileQuery) -> Place | None:
    """Where a query goes on. Raises :class:`BadFile` for a cursor that is not of this list."""
    if query.cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4))
        place = msgspec.msgpack.decode(raw, type=Place)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise BadFile([Flaw("cursor", "is none that this list gave out")]) from error
    if place.sort is not query.sort or abs(place.number) >> 63 or abs(place.size_bytes) >> 63:
        raise BadFile([Flaw("cursor", "belongs to a list in another order")])
    return place


def number_from(at: datetime) -> int:
    """The first number of a file that was made at this instant or later."""
    return number_at_ms(-(-int(at.timestamp() * 1_000_000) // 1000))


def custom_text(value: str | float | bool) -> str:
    """A custom value as it is searched for: as a person would write it in an address."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def searched(filename: str, tags: tuple[str, ...], custom: Mapping[str, str | float | bool]) -> str:
    """The stems that a file is found by."""
    return stems("\n".join([filename, *tags, *(custom_text(value) for value in custom.values())]))
