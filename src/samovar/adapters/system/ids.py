"""Identifiers that sort by time of birth, and secrets."""

import secrets
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

from samovar.kernel.ids import PAIRS, crockford
from samovar.kernel.time import instant_of_ms, milliseconds
from samovar.ports.clock import Clock

_SPAN_BITS: Final = 10
_SPAN: Final = timedelta(milliseconds=1 << _SPAN_BITS)
_MILLISECOND: Final = timedelta(milliseconds=1)
_SPAN_DIGITS: Final = 8
_CHANCE_DIGITS: Final = 12
_COUNT_BITS: Final = 20
_CHANCE_BITS: Final = 5 * _CHANCE_DIGITS + _COUNT_BITS
_PAIR_BITS: Final = 10
_PAIR: Final = (1 << _PAIR_BITS) - 1


class SystemIds:
    """A :class:`samovar.ports.clock.Ids`. Ids of one instance are strictly increasing, also within a millisecond and when
    the wall clock steps back. Safe to share between threads.

    A ULID whose last 20 bits count within a span of 1,024 milliseconds, from a random start; the 60 bits before them are drawn
    anew for each span, so that two processes do not meet. A busy process makes each id in a millisecond of its own, so what is
    made only once a span costs its calls nothing.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        # The span, and in it the milliseconds of the last id.
        self._span = -1
        self._began = self._ends = datetime.fromtimestamp(0, UTC)
        self._at = 0
        self._span_digits = self._chance_digits = ""
        self._count = 0

    def new(self, prefix: str, at: datetime | None = None) -> str:
        """See the port."""
        now = self._clock.now() if at is None else at
        with self._lock:
            if now >= self._ends:
                # Milliseconds come of a float: a span's first may seem to be the last of the span before.
                self._begin(max(milliseconds(now), (self._span + 1) << _SPAN_BITS))
            elif (since := (now - self._began) // _MILLISECOND) > self._at:
                # Less than that, or less than nothing, where the clock stepped back.
                self._at = since
            self._count = count = self._count + 1
            if count >> _COUNT_BITS:
                # The next chance may be a smaller one, so it needs a later millisecond.
                self._begin((self._span << _SPAN_BITS) + self._at + 1)
                count = self._count
            return (
                f"{prefix}_{self._span_digits}{PAIRS[self._at]}{self._chance_digits}"
                f"{PAIRS[count >> _PAIR_BITS]}{PAIRS[count & _PAIR]}"
            )

    def token(self, size_bytes: int) -> str:
        """See the port."""
        return secrets.token_urlsafe(size_bytes)

    def _begin(self, at_ms: int) -> None:
        chance = secrets.randbits(_CHANCE_BITS)
        # The count's top bit stays free, so that it does not run over soon.
        self._count = (chance & ((1 << _COUNT_BITS) - 1)) >> 1
        self._chance_digits = crockford(chance >> _COUNT_BITS, _CHANCE_DIGITS)
        self._span, self._at = divmod(at_ms, 1 << _SPAN_BITS)
        self._span_digits = crockford(self._span, _SPAN_DIGITS)
        self._began = instant_of_ms(self._span << _SPAN_BITS)
        self._ends = self._began + _SPAN
