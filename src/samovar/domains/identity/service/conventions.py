"""What the use cases of keys and of accounts share."""

import unicodedata
from typing import Final

from samovar.kernel.errors import Flaw, Invalid, StaleRevision

MAX_NAME_CHARS: Final = 100
MAX_PAGE: Final = 100


def invalid(where: str, what: str) -> Invalid:
    """The refusal of one field."""
    return Invalid(f"{where} {what}.", flaws=[Flaw(where=where, what=what)])


def check_name(name: str) -> None:
    """Raises ``Invalid``."""
    if not 1 <= len(name.strip()) <= MAX_NAME_CHARS:
        raise invalid("name", f"must have from 1 to {MAX_NAME_CHARS} characters")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise invalid("name", "must not hold control characters")


def check_page(limit: int) -> None:
    """Raises ``Invalid``."""
    if not 1 <= limit <= MAX_PAGE:
        raise invalid("limit", f"must be from 1 to {MAX_PAGE}")


def check_revision(revision: int, expected: int | None) -> None:
    """Raises :class:`StaleRevision`."""
    if expected is not None and expected != revision:
        raise StaleRevision(current=revision)
