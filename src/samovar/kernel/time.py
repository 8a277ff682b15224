"""Instants are aware ``datetime`` in UTC; on the wire RFC 3339 with a ``Z``."""

from datetime import UTC, datetime


def rfc3339(at: datetime) -> str:
    """``2026-11-21T03:50:00.123Z``. Raises ``ValueError`` for a naive instant: we never guess a zone."""
    if at.tzinfo is None:
        raise ValueError("an instant without a time zone")
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(at: datetime) -> int:
    """Whole milliseconds since 1970."""
    return int(at.timestamp() * 1000)


def instant_of_ms(ms: int) -> datetime:
    """``ms`` is whole milliseconds since 1970."""
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
