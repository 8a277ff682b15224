"""What the use cases of an admin share."""

import hashlib
from typing import Final

from samovar.kernel.errors import Flaw, Invalid, StaleRevision
from samovar.kernel.principal import Principal

MAX_NAME_CHARS: Final = 200
MAX_PAGE: Final = 100
MOST_NANO_USD: Final = 10**16
"""Ten million dollars: more in one step is a slip of the hand."""


def invalid(where: str, what: str) -> Invalid:
    """The refusal of one field."""
    return Invalid(f"{where} {what}.", flaws=[Flaw(where=where, what=what)])


def check_amount(where: str, nano_usd: int, *, least: int = 0) -> None:
    """Raises ``Invalid``."""
    if not least <= nano_usd <= MOST_NANO_USD:
        raise invalid(where, f"must lie between {least} and {MOST_NANO_USD} nano-dollars")


def check_name(name: str) -> None:
    """Raises ``Invalid``."""
    if not 1 <= len(name.strip()) <= MAX_NAME_CHARS or not name.isprintable():
        raise invalid("name", f"must have from 1 to {MAX_NAME_CHARS} characters, and no control characters")


def check_page(limit: int) -> None:
    """Raises ``Invalid``."""
    if not 1 <= limit <= MAX_PAGE:
        raise invalid("limit", f"must be from 1 to {MAX_PAGE}")


def check_revision(revision: int, expected: int | None) -> None:
    """Raises :class:`StaleRevision`."""
    if expected is not None and expected != revision:
        raise StaleRevision(current=revision)


def transfer_id(principal: Principal, use: str, idempotency_key: str | None, fresh: str) -> str:
    """The id of a transfer that an admin orders: one for each ``Idempotency-Key`` of a principal and ``use``, which names the
    wallet where there is one. It guards what a process that died did not answer; answers are kept at the edge."""
    if idempotency_key is None:
        return fresh
    digest = hashlib.sha256(f"{principal.team_id}\0{principal.id}\0{use}\0{idempotency_key}".encode("utf-8", "replace"))
    return f"idem_{digest.hexdigest()}"
