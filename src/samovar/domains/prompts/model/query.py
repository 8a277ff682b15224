"""What a list of prompts is asked for, and the places in it where pages end."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from samovar.domains.prompts.errors import BadPrompt
from samovar.domains.prompts.model.prompt import (
    DEFAULT_NAMESPACE,
    MAX_ID,
    MAX_PRIORITY,
    MAX_VERSION,
    Prompt,
    is_plain,
)
from samovar.kernel.errors import Flaw

MAX_PAGE: Final = 100
MAX_CURSOR_CHARS: Final = 1_000


class Sort(StrEnum):
    """``priority``: by priority, then name, then version downwards. ``name``: by name, then language, then version downwards.
    ``newest``: the latest made first."""

    PRIORITY = "priority"
    NAME = "name"
    NEWEST = "newest"


class PromptQuery(Struct, frozen=True, kw_only=True):
    """Which prompts of a namespace; ``None`` is all. ``q`` are words that must be in name, tags or text. ``limit`` is 1 to
    :data:`MAX_PAGE`; ``cursor`` is what the page before gave."""

    namespace: str = DEFAULT_NAMESPACE
    lang: str | None = None
    active: bool | None = None
    tag: str | None = None
    name: str | None = None
    label: str | None = None
    q: str | None = None
    sort: Sort = Sort.PRIORITY
    limit: int = 50
    cursor: str | None = None


class Order(Struct, frozen=True):
    """One column of a sort."""

    column: str
    descending: bool = False


ORDERS: Final[Mapping[Sort, tuple[Order, ...]]] = {
    Sort.PRIORITY: (Order("priority"), Order("name"), Order("version", True), Order("id")),
    Sort.NAME: (Order("name"), Order("lang"), Order("version", True), Order("id")),
    Sort.NEWEST: (Order("id", True),),
}
"""Each ends in the id, so that no two prompts share a place."""


def cursor_after(prompt: Prompt, sort: Sort) -> str:
    """Where a page ended that ended with ``prompt``."""
    place = [sort.value, *(getattr(prompt, order.column) for order in ORDERS[sort])]
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of(cursor: str, sort: Sort) -> tuple[Any, ...]:
    """The values of the sort's columns at which the page before ended. Raises ``BadPrompt``."""
    try:
        named, *place = msgspec.json.decode(urlsafe_b64decode(cursor.encode("ascii") + b"=="), type=list[int | str])
    except (ValueError, msgspec.MsgspecError) as error:
        raise _not_ours() from error
    kinds = [str if order.column in ("name", "lang") else int for order in ORDERS[sort]]
    if named != sort.value or [type(value) for value in place] != kinds:
        raise _not_ours()
    if not all(_can_be(order.column, value) for order, value in zip(ORDERS[sort], place, strict=True)):
        raise _not_ours()
    return tuple(place)


def _can_be(column: str, value: int | str) -> bool:
    """Whether a prompt can have it there. An engine may refuse to compare with what its column cannot hold."""
    if isinstance(value, str):
        return is_plain(value)
    return abs(value) <= {"id": MAX_ID, "version": MAX_VERSION}.get(column, MAX_PRIORITY)


def number_cursor(number: int) -> str:
    """Where a page of versions or former texts ended."""
    return str(number)


def number_of(cursor: str | None) -> int | None:
    """The number in it. Raises ``BadPrompt``."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        raise _not_ours()
    return int(cursor)


def _not_ours() -> BadPrompt:
    return BadPrompt([Flaw("cursor", "is not one that a page before this gave")])
