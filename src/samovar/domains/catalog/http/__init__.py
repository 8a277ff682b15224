"""The catalogue over HTTP: providers, models with their prices, aliases and groups. ``GET /v1/models`` is the gateway's."""

from fastapi import APIRouter

from samovar.domains.catalog.http import models, names, providers
from samovar.domains.catalog.http.conventions import Authenticate
from samovar.domains.catalog.service import CatalogService

__all__ = ["Authenticate", "router"]


def router(*, service: CatalogService, authenticate: Authenticate) -> APIRouter:
    """``/api/providers``, ``/api/models``, ``/api/aliases``, ``/api/groups``."""
    routes = APIRouter()
    for part in (providers, models, names):
        routes.include_router(part.router(service=service, authenticate=authenticate))
    return routes
