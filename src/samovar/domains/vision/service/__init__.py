"""From what a caller asks to a call of the gateway, and from its answer to ours; and the pattern that cleans answers."""

from samovar.domains.vision.service.cleanups import CONFIG_CHANGED, Cleanups
from samovar.domains.vision.service.pictures import Pictures
from samovar.domains.vision.service.vision import VisionService

__all__ = ["CONFIG_CHANGED", "Cleanups", "Pictures", "VisionService"]
