"""The catalogue over HTTP: providers, models with their prices, aliases and groups. ``GET /v1/models`` is the gateway's."""

from samovar.domains.catalog.http import models, names, providers
from samovar.domains.catalog.http.conventions import Authenticate
from samovar.domains.catalog.service import CatalogService
from samovar.ports.routes import Routes, join

__all__ = ["Authenticate", "router"]


def router(*, service: CatalogService, authenticate: Authenticate) -> Routes:
    """``/api/providers``, ``/api/models``, ``/api/aliases``, ``/api/groups``."""
    routes = Routes()
    for part in (providers, models, names):
        join(routes, part.router(service=service, authenticate=authenticate))
    return routes
