"""A team's pattern for cleaning answers, and where it comes from."""

from datetime import datetime
from enum import StrEnum

import msgspec

from samovar.domains.vision.model.cleanup import DEFAULT_FLAGS, DEFAULT_PATTERN


class Source(StrEnum):
    """Where a pattern stands."""

    DEFAULT = "default"
    DATABASE = "database"


class RegexConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``revision`` is 0 for the default, which nobody wrote."""

    pattern: str = DEFAULT_PATTERN
    flags: str = DEFAULT_FLAGS
    source: Source = Source.DEFAULT
    revision: int = 0
    updated_at: datetime | None = None


BUILT_IN = RegexConfig()
