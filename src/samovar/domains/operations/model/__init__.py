"""What operations are about, as data: health."""

from samovar.domains.operations.model.health import About, Alive, Live, Probe, Readiness

__all__ = ["About", "Alive", "Live", "Probe", "Readiness"]
