"""The raw routes, for the table of the data plane; and FastAPI's."""

import re
from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter, Response

from samovar.domains.files.http import changing, elements, owners, searching
from samovar.domains.files.http.conventions import Authenticate
from samovar.domains.files.http.door import Door, Raw
from samovar.domains.files.http.reading import About, Content
from samovar.domains.files.http.tus import UPLOADS, Creation, One, Speaking, Spoken
from samovar.domains.files.http.upload import PREFIX, Upload, UploadBounds
from samovar.domains.files.service import FileService, Thumbnails
from samovar.ports.asgi import Route

_ID: Final = r"[0-9A-Fa-f-]{36}"


def surfaces(*, files: FileService, thumbnails: Thumbnails, door: Door, bounds: UploadBounds) -> list[Route]:
    """Upload, attributes and content."""
    upload = Raw(door=door, serve=Upload(files=files, once=door.once, bounds=bounds))
    about = Raw(door=door, serve=About(files=files))
    content = Raw(door=door, serve=Content(files=files, thumbnails=thumbnails))
    below, one = f"{PREFIX}/", f"{PREFIX}/{{file_id}}"
    return [
        Route("POST", f"{PREFIX}/upload", upload, f"{PREFIX}/upload"),
        Route("GET", below, content, f"{one}/content", is_prefix=True, shape=re.compile(rf"{below}{_ID}/content")),
        Route("GET", below, about, one, is_prefix=True, shape=re.compile(rf"{below}{_ID}")),
        *_in_pieces(files=files, door=door, bounds=bounds),
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
        *[Route(method, below, one, template, is_prefix=True) for method in ("GET", "PATCH", "DELETE")],
    ]


def routers(*, files: FileService, authenticate: Authenticate) -> Iterator[APIRouter]:
    """Everything else."""
    routes = APIRouter(prefix=PREFIX, tags=["files"], default_response_class=Response)
    searching.add(routes, files.reads, authenticate)
    owners.add(routes, files.reads, files.changes, authenticate)
    changing.add(routes, files.changes, authenticate)
    changing.add_links(routes, files.links, authenticate)
    yield routes
    yield elements.router(elements=files.elements, authenticate=authenticate)
