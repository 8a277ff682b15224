"""Prompts over HTTP: reads as raw ASGI, answered from memory without waiting; everything else with FastAPI."""

from samovar.domains.prompts.http.conventions import PREFIX
from samovar.domains.prompts.http.exchange import exchange_router
from samovar.domains.prompts.http.reads import Door, surfaces
from samovar.domains.prompts.http.writer import Authenticate, writing
from samovar.domains.prompts.http.writes import nowhere_router, router

__all__ = ["PREFIX", "Authenticate", "Door", "exchange_router", "nowhere_router", "router", "surfaces", "writing"]
