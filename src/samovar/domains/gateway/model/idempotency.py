"""One answer for each idempotency key: what is kept of it, which are kept, and what a key and a request are called."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from samovar.kernel.errors import Flaw, Malformed
from samovar.kernel.principal import Principal

HEADER: Final = b"idempotency-key"
MAX_KEY_BYTES: Final = 255

# They speak of the caller's rights and means or of this moment, not of the request: the next try may well succeed.
_PASSING: Final = frozenset({401, 402, 403, 408, 409, 425, 429})


class IdempotencySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``lease_s`` is how long a key stays taken when the process that works for it dies; ``keep_s`` how long an answer is
    kept; ``retry_after_s`` what those who come too early are told."""

    lease_s: float = 120.0
    keep_s: float = 86_400.0
    max_answer_bytes: int = 4 * 1024 * 1024
    retry_after_s: int = 3


class Recorded(msgspec.Struct, frozen=True):
    """An answer as it was sent: ``blocks`` are the pieces of its body, one for a whole answer, many for a stream."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    blocks: tuple[bytes, ...]


class Found(msgspec.Struct, frozen=True):
    """What stands under a key that is taken. ``answer`` is sealed; without one the request is ``running``, or its answer
    was too large."""

    request_hash: str
    is_running: bool
    answer: bytes | None


def is_kept(status: int) -> bool:
    """Whether an answer of this status is the same at each try: a success, or a fault of the request itself."""
    return 200 <= status < 300 or (400 <= status < 500 and status not in _PASSING)


def checked_key(given: bytes) -> bytes:
    """The header's value. Raises ``Malformed``."""
    key = given.strip()
    if not 1 <= len(key) <= MAX_KEY_BYTES or not all(0x20 <= letter <= 0x7E for letter in key):
        what = f"must have from 1 to {MAX_KEY_BYTES} printable ASCII characters"
        raise Malformed(f"Idempotency-Key {what}: a new UUID, say", flaws=[Flaw("Idempotency-Key", what)])
    return key


def key_hash(principal: Principal, path: str, key: bytes) -> str:
    """What a key is called: another for each team, principal and path. 64 hexadecimal digits."""
    return _digest([b"key", principal.team_id.encode(), principal.id.encode(), path.encode("utf-8", "replace"), key])


def request_hash(key: str, query: bytes, body: bytes) -> str:
    """Tells requests under one key (its hash) apart. 64 hexadecimal digits."""
    return _digest([b"request", key.encode(), query, body])


def _digest(parts: Sequence[bytes]) -> str:
    # The length before each part: no two lists give the same bytes.
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()
