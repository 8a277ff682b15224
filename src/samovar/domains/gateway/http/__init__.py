"""The vendor-compatible surfaces, as raw ASGI: one entrance for all chat dialects, and the list of models."""

from samovar.domains.gateway.http.entrance import ChatEntrance, EntranceSettings, FigureUse
from samovar.domains.gateway.http.model_in_path import ModelInPath
from samovar.domains.gateway.http.models import ModelsEntrance
from samovar.domains.gateway.http.routes import surfaces

__all__ = ["ChatEntrance", "EntranceSettings", "FigureUse", "ModelInPath", "ModelsEntrance", "surfaces"]
