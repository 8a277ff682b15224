"""The machine's two clocks."""

import time
from datetime import UTC, datetime


class SystemClock:
    """A :class:`samovar.ports.clock.Clock`."""

    # The function itself and not one around it: a gateway call asks a dozen times.
    monotonic = staticmethod(time.monotonic)

    def now(self) -> datetime:
        """See the port."""
        return datetime.now(UTC)
