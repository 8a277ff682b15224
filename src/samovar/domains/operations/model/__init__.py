"""What operations are about, as data: health."""

from samovar.domains.operations.model.health import About, AboutConfig, Alive, CleanupPattern, Live, Probe, Readiness

__all__ = ["About", "AboutConfig", "Alive", "CleanupPattern", "Live", "Probe", "Readiness"]
