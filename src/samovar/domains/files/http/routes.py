"""The raw routes, for the table of the data plane; and FastAPI's."""

import re
from typing import Final

from fastapi import Response

from samovar.domains.files.http import changing, elements, later, owners, searching
from samovar.domains.files.http.conventions import Authenticate
from samovar.domains.files.http.door import Door, Raw
from samovar.domains.files.http.reading import About, Content
from samovar.domains.files.http.tus import UPLOADS, Creation, One, Speaking, Spoken
from samovar.domains.files.http.upload import PREFIX, Upload, UploadBounds
from samovar.domains.files.service import FileService, Thumbnails, WaitingChanges
from samovar.ports.asgi import Route
from samovar.ports.routes import Routes

# Whatever stands where an id would is one of no file, unless it is a place of its own.
_ONE: Final = r"(?!(?:search|upload|uploads)(?:/|$))[^/]+"


def ingesting(*, files: FileService, door: Door, bounds: UploadBounds) -> list[Route]:
    """Uploads, whole and in pieces."""
    upload = Raw(door=door, serve=Upload(files=files, once=door.once, bounds=bounds))
    return [
        Route("POST", f"{PREFIX}/upload", upload, f"{PREFIX}/upload"),
        *_in_pieces(files=files, door=door, bounds=bounds),
    ]


def querying(*, files: FileService, thumbnails: Thumbnails, door: Door) -> list[Route]:
    """Attributes and content."""
    about = Raw(door=door, serve=About(files=files))
    content = Raw(door=door, serve=Content(files=files, thumbnails=thumbnails))
    below, one = f"{PREFIX}/", f"{PREFIX}/{{file_id}}"
    return [
        Route("GET", below, content, f"{one}/content", is_prefix=True, shape=re.compile(rf"{below}{_ONE}/content")),
        Route("GET", below, about, one, is_prefix=True, shape=re.compile(rf"{below}{_ONE}")),
    ]


def _in_pieces(*, files: FileService, door: Door, bounds: UploadBounds) -> list[Route]:
    spoken = Raw(door=door, serve=Speaking(Spoken(max_bytes=bounds.max_bytes)))
    creation = Raw(door=door, serve=Speaking(Creation(uploads=files.uploads, once=door.once, bounds=bounds)))
    one = Raw(door=door, serve=Speaking(One(uploads=files.uploads, bounds=bounds)))
    below, template = f"{UPLOADS}/", f"{UPLOADS}/{{upload_id}}"
    return [
        Route("POST", UPLOADS, creation, UPLOADS),
        Route("OPTIONS", UPLOADS, spoken, UPLOADS),
        Route("OPTIONS", below, spoken, template, is_prefix=True),
        *[Route(method, below, one, template, is_prefix=True) for method in ("GET", "PATCH", "POST", "DELETE")],
    ]


def ingest_router(*, files: FileService, waiting: WaitingChanges, authenticate: Authenticate) -> Routes:
    """Changes of files that stand."""
    routes = _routes()
    owners.add(routes, files.reads, files.changes, authenticate)
    changing.add(routes, files.changes, waiting, authenticate)
    return routes


def query_router(*, files: FileService, waiting: WaitingChanges, authenticate: Authenticate) -> Routes:
    """Searching, links for others, and how changes stand that wait."""
    routes = _routes()
    searching.add(routes, files.reads, authenticate)
    changing.add_links(routes, files.links, authenticate)
    later.add(routes, waiting, authenticate)
    return routes


def registry_router(*, files: FileService, authenticate: Authenticate) -> Routes:
    """Storage elements."""
    return elements.router(elements=files.elements, authenticate=authenticate)


def _routes() -> Routes:
    return Routes(prefix=PREFIX, tags=["files"], default_response_class=Response)
