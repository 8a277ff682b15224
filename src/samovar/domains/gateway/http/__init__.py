"""The vendor-compatible surfaces, as raw ASGI: one entrance for all chat dialects, and the list of models."""

from samovar.domains.gateway.http.entrance import ChatEntrance, EntranceSettings, FigureUse, OwnWay
from samovar.domains.gateway.http.explain import Explainer, explain_router
from samovar.domains.gateway.http.health import health_router
from samovar.domains.gateway.http.idempotency import RECORDER, Recorder, Replayed, again, once, replay
from samovar.domains.gateway.http.listings import AnthropicListing, GeminiListing, OpenAIListing
from samovar.domains.gateway.http.model_in_path import ModelInPath
from samovar.domains.gateway.http.models import ModelsEntrance, Told
from samovar.domains.gateway.http.nowhere import Nowhere
from samovar.domains.gateway.http.routes import surfaces

__all__ = [
    "RECORDER",
    "AnthropicListing",
    "ChatEntrance",
    "EntranceSettings",
    "Explainer",
    "FigureUse",
    "GeminiListing",
    "ModelInPath",
    "ModelsEntrance",
    "Nowhere",
    "OpenAIListing",
    "OwnWay",
    "Recorder",
    "Replayed",
    "Told",
    "again",
    "explain_router",
    "health_router",
    "once",
    "replay",
    "surfaces",
]
