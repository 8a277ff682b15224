"""One call as it is shown and exported. Pure."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import Final

import msgspec

from samovar.kernel.money import credits_text
from samovar.kernel.time import rfc3339

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One call. ``cost_credits`` is ``None`` where no price is known. ``strategy`` is by what the target was chosen, where
    several were weighed; ``answered_model`` the provider's own name of the model that answered, where it is not the one asked.
    ``prompt_*`` say which prompt of the registry was asked, ``None`` where none was."""

    id: str
    started_at: datetime
    key: str
    key_kind: str
    request_id: str
    trace_id: str
    surface: str
    requested_model: str
    model: str
    provider: str
    vendor: str
    native: bool
    stream: bool
    status: str
    http_status: int
    error_code: str | None
    stop: str | None
    duration_ms: float
    first_content_ms: float | None
    overhead_ms: float
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage_estimated: bool
    cost_credits: str | None
    price_source: str | None
    project: str
    user: str
    strategy: str
    answered_model: str
    prompt_id: int | None
    prompt_version: int | None
    prompt_revision: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the last record's instant and id."""

    at: datetime
    id: str


def cost_text(nano_usd: int | None) -> str | None:
    """Credits, ``None`` for a price that is not known."""
    return None if nano_usd is None else credits_text(nano_usd)


def csv_line(cells: Iterable[object]) -> str:
    """A line of CSV (RFC 4180). A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return ",".join(map(_cell, cells)) + "\r\n"


def csv_header() -> str:
    """The names of a record's columns."""
    return csv_line(field.name for field in fields(Record))


def csv_of(record: Record) -> str:
    """A record as a line of CSV."""
    return csv_line(astuple(record))


def json_of(record: Record) -> bytes:
    """A record as a line of JSON."""
    return msgspec.json.encode(record) + b"\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return rfc3339(value)
    if not isinstance(value, str):
        return str(value)
    text = f"'{value}" if value.startswith(_FORMULA) else value
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(mark in text for mark in ',"\r\n') else text
