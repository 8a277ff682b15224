"""Cron expressions: when a job was due last, and when it is due next."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

OFF: Final = ("", "off")
_FIELDS: Final = 5
MAX_SCHEDULE_CHARS: Final = 100


class BadSchedule(ValueError):
    """What is wrong with a schedule or a time zone."""


def checked_schedule(text: str) -> str:
    """``text`` with single spaces, ``off`` in small letters. Raises :class:`BadSchedule`."""
    words = text.split()
    plain = " ".join(words)
    if plain.lower() in OFF:
        return plain.lower()
    if len(words) != _FIELDS or len(plain) > MAX_SCHEDULE_CHARS:
        raise BadSchedule(
            f"{text[:100]!r} is no schedule: give minute, hour, day, month and weekday, such as 0 3 * * *"
        )
    try:
        # A schedule that never comes (the 30th of February) is found by looking for its first time.
        next(CronSim(plain, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise BadSchedule(f"{plain!r} is no schedule: {error or 'it never comes'}") from error
    return plain


def checked_time_zone(name: str) -> str:
    """Raises :class:`BadSchedule` where this machine knows no such zone."""
    zone_of(name)
    return name


def zone_of(name: str) -> tzinfo:
    """Raises :class:`BadSchedule`."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadSchedule(f"{name[:100]!r} is no time zone that this machine knows, such as Europe/Berlin") from error


def next_after(schedule: str, zone: tzinfo, at: datetime) -> datetime:
    """The first time after ``at``, in UTC."""
    return next(CronSim(schedule, at.astimezone(zone))).astimezone(UTC)


def last_until(schedule: str, zone: tzinfo, at: datetime) -> datetime:
    """The last time that is not after ``at``, in UTC."""
    behind = at.replace(microsecond=0) + timedelta(seconds=1)
    return next(CronSim(schedule, behind.astimezone(zone), reverse=True)).astimezone(UTC)
