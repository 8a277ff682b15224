"""The entrances: raw routes for what carries bytes or is asked all the time, FastAPI's for the rest."""

from samovar.domains.files.http.door import Again, Door, Noting
from samovar.domains.files.http.element_calls import ElementDoor, element_routes, of_these
from samovar.domains.files.http.routes import ingest_router, ingesting, query_router, querying, registry_router
from samovar.domains.files.http.upload import UploadBounds

__all__ = [
    "Again",
    "Door",
    "ElementDoor",
    "Noting",
    "UploadBounds",
    "element_routes",
    "ingest_router",
    "ingesting",
    "of_these",
    "query_router",
    "querying",
    "registry_router",
]
