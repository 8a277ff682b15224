"""Identifiers that sort by time of birth, and secrets."""

import os
import secrets
from datetime import UTC, datetime
from threading import Lock
from typing import Final

from samovar.kernel.ids import crockford, last_digits
from samovar.kernel.time import instant_of_ms, milliseconds
from samovar.ports.clock import Clock

_TIME_DIGITS: Final = 10
_CHANCE_DIGITS: Final = 12
_COUNT_DIGITS: Final = 4
_COUNT_BITS: Final = 5 * _COUNT_DIGITS
_CHANCE_BYTES: Final = 10
# Asked of the system for so many milliseconds at once: a call to it costs more than all else of an id.
_CHANCES: Final = 256


class SystemIds:
    """A :class:`samovar.ports.clock.Ids`. Ids of one instance are strictly increasing, also within a millisecond and when
    the wall clock steps back. Safe to share between threads.

    A ULID whose last 20 bits count within the millisecond, from a random start; the 60 bits before them are drawn anew
    for each millisecond, so that two processes do not meet.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._at_ms = 0
        # When the next millisecond begins: instants compare in no time, and are slow to take apart.
        self._next = datetime.fromtimestamp(0, UTC)
        self._stem = ""
        self._count = 0
        self._chances = b""

    def new(self, prefix: str) -> str:
        """See the port."""
        now = self._clock.now()
        with self._lock:
            if now >= self._next and (now_ms := milliseconds(now)) > self._at_ms:
                self._begin(now_ms)
            elif self._count + 1 >> _COUNT_BITS:
                self._begin(self._at_ms + 1)
            else:
                self._count += 1
            return f"{prefix}_{self._stem}{last_digits(self._count)}"

    def token(self, size_bytes: int) -> str:
        """See the port."""
        return secrets.token_urlsafe(size_bytes)

    def _begin(self, at_ms: int) -> None:
        chance = int.from_bytes(self._chance(), "big")
        # The count's top bit stays free, so that it does not run over within a millisecond.
        self._count = (chance & ((1 << _COUNT_BITS) - 1)) >> 1
        self._stem = crockford(at_ms, _TIME_DIGITS) + crockford(chance >> _COUNT_BITS, _CHANCE_DIGITS)
        self._at_ms = at_ms
        self._next = instant_of_ms(at_ms + 1)

    def _chance(self) -> bytes:
        if not self._chances:
            self._chances = os.urandom(_CHANCE_BYTES * _CHANCES)
        chance, self._chances = self._chances[:_CHANCE_BYTES], self._chances[_CHANCE_BYTES:]
        return chance
