"""Ranges and conditions of reading (RFC 9110, sections 13 and 14). Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final, NamedTuple

from samovar.domains.files.errors import RangeBeyond

_RANGES: Final = re.compile(rb"\s*bytes\s*=\s*([0-9]{0,99})\s*-\s*([0-9]{0,99})\s*", re.ASCII | re.IGNORECASE)


class Span(NamedTuple):
    """The bytes from ``start`` up to, not including, ``end``."""

    start: int
    end: int


def span_of(header: bytes, size_bytes: int) -> Span | None:
    """The one range that is asked for. ``None`` where the whole is to be sent: for what is no range of bytes, and for several
    at once, which a server may answer whole (14.2). Raises :class:`RangeBeyond`."""
    found = _RANGES.fullmatch(header)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        # The last so many.
        length = int(found[2])
        span = Span(max(0, size_bytes - length), size_bytes)
        if length == 0 or size_bytes == 0:
            raise _beyond(size_bytes)
        return span
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None
    if start >= size_bytes:
        raise _beyond(size_bytes)
    return Span(start, min(size_bytes, int(found[2]) + 1) if found[2] else size_bytes)


class Version(NamedTuple):
    """What a content is told from others by."""

    etag: bytes
    modified_at: datetime


def is_unchanged(headers: Mapping[bytes, bytes], version: Version) -> bool:
    """Whether what the caller has is still the answer (13.2.2): ``If-None-Match``, else ``If-Modified-Since``."""
    if b"if-none-match" in headers:
        return lists(headers[b"if-none-match"], version.etag)
    since = _instant(headers.get(b"if-modified-since"))
    return since is not None and version.modified_at.replace(microsecond=0) <= since


def is_another(headers: Mapping[bytes, bytes], version: Version) -> bool:
    """Whether the caller wants another one than there is (412): ``If-Match``, else ``If-Unmodified-Since``."""
    if b"if-match" in headers:
        return not lists(headers[b"if-match"], version.etag, is_strong=True)
    since = _instant(headers.get(b"if-unmodified-since"))
    return since is not None and version.modified_at.replace(microsecond=0) > since


def wants_range(headers: Mapping[bytes, bytes], version: Version) -> bool:
    """Whether ``Range`` counts: there is none of it without ``If-Range`` being so (13.1.5)."""
    if b"range" not in headers:
        return False
    condition = headers.get(b"if-range")
    if condition is None:
        return True
    if condition.lstrip().startswith((b'"', b"W/")):
        return condition.strip() == version.etag
    return _instant(condition) == version.modified_at.replace(microsecond=0)


def lists(header: bytes, etag: bytes, *, is_strong: bool = False) -> bool:
    """Whether a list of entity tags names this one, or all; a weak one where it ``is_strong`` never does (8.8.3.2)."""
    if header.strip() == b"*":
        return True
    weak = b"" if is_strong else b"W/"
    return any(one.strip().removeprefix(weak) == etag for one in header.split(b","))


def http_date(at: datetime) -> bytes:
    """As ``Last-Modified`` has it."""
    return format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True).encode()


def _instant(header: bytes | None) -> datetime | None:
    if header is None:
        return None
    try:
        found = parsedate_to_datetime(header.decode("latin-1").strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _beyond(size_bytes: int) -> RangeBeyond:
    return RangeBeyond(
        f"The file has {size_bytes} bytes, and none of them lies in the range.",
        headers={"Content-Range": f"bytes */{size_bytes}", "Accept-Ranges": "bytes"},
    )
