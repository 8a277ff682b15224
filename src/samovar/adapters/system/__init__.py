"""Time, ids and randomness from the operating system."""

from samovar.adapters.system.clock import SystemClock
from samovar.adapters.system.ids import SystemIds

__all__ = ["SystemClock", "SystemIds"]
