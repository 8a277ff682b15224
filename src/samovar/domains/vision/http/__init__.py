"""The entrances: how requests for vision are read, and the routes of its configuration."""

from samovar.domains.vision.http.config import config_router
from samovar.domains.vision.http.intake import VisionIntake

__all__ = ["VisionIntake", "config_router"]
