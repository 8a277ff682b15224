"""Patterns that somebody else wrote, compiled.

They are RE2's (https://github.com/google/re2/wiki/Syntax): a match takes time linear in the text whatever the pattern, so
that nobody's pattern can hang a process.
"""

import re
from collections.abc import Iterator
from typing import Final, Protocol

PATTERN_MEMORY_BYTES: Final = 1 << 20
"""RE2's budget for one compiled pattern. One that needs more for its program is refused; a search that would need more
for its states goes on without them, more slowly."""

# One byte of a character: a match could then cut a letter in two.
_SINGLE_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\C")


class Match(Protocol):
    """What a search found."""

    def start(self) -> int:
        """Its first character."""
        ...

    def end(self) -> int:
        """The first character behind it."""
        ...


class Pattern(Protocol):
    """A compiled pattern. Texts may not hold lone surrogates."""

    def search(self, text: str, pos: int | None = None) -> Match | None:
        """The first match from ``pos`` on; what stands before it is still seen by ``\\b`` and ``^``."""
        ...

    def finditer(self, text: str, pos: int | None = None) -> Iterator[Match]:
        """All matches from ``pos`` on, none overlapping another, in one pass; an empty one may come twice."""
        ...

    def fullmatch(self, text: str, pos: int, endpos: int) -> Match | None:
        """Whether all that stands from ``pos`` up to ``endpos`` is a match; what stands around it is still seen."""
        ...


def compiled(pattern: str) -> Pattern:
    """Raises ``ValueError`` that says what is wrong with ``pattern``."""
    # Loaded for those who use it: most processes have no pattern.
    import re2  # type: ignore[import-untyped]  # it ships no types

    options = re2.Options()
    options.max_mem = PATTERN_MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        found: Pattern = re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else b""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"RE2 cannot read it: {text}") from error
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a character (a lone surrogate)") from error
    if _SINGLE_BYTE.search(pattern):
        raise ValueError(r"\C matches half a letter; say . or a class instead")
    return found
