"""What a check found."""

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """``fail`` keeps Samovar from working, or from working safely; ``warn`` will, some day."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, how it stands, and what to do if it is not well."""

    check: str
    level: Level
    message: str
    remedy: str = ""

    @classmethod
    def ok(cls, check: str, message: str) -> "Finding":
        """All is well."""
        return cls(check, Level.OK, message)

    @classmethod
    def warn(cls, check: str, message: str, remedy: str) -> "Finding":
        """Worth a look."""
        return cls(check, Level.WARN, message, remedy)

    @classmethod
    def fail(cls, check: str, message: str, remedy: str) -> "Finding":
        """Must be mended."""
        return cls(check, Level.FAIL, message, remedy)
