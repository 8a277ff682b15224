"""The raw routes of files, for the description."""

from collections.abc import Mapping
from typing import Any, Final

from samovar.app.described import Described
from samovar.domains.files.model.links import MAX_LINK_CHARS, Disposition
from samovar.domains.files.model.records import FileAnswer, FilePage, Uploaded
from samovar.domains.files.model.rules import MAX_REPLICAS, MAX_TTL_DAYS, MIN_TTL_DAYS
from samovar.domains.files.service.thumbnails import SIDES_PX
from samovar.ports.elements import RetentionKind

_ID: Final[Mapping[str, Any]] = {
    "file_id": {"type": "string", "pattern": "^[0-9A-Fa-f-]{36}$", "description": "A file's id."}
}
_BYTES: Final[Mapping[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "tags": {"type": "string", "description": "With commas between, or a list in JSON."},
    "attributes": {"type": "string", "description": "An object in JSON: names to texts, numbers, true or false."},
    "retention": {"type": "string", "enum": [kind.value for kind in RetentionKind], "default": "temporary"},
    "ttl_days": {"type": "integer", "minimum": MIN_TTL_DAYS, "maximum": MAX_TTL_DAYS},
    "replicas": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_REPLICAS,
        "description": "Of a permanent file: elements.",
    },
    "checksum": {"type": "string", "description": "SHA-256 that the content must have, in hexadecimal digits."},
    "size_bytes": {"type": "integer", "minimum": 0, "description": "Bytes that the content must have."},
    "provenance": {"type": "string", "description": "What made the file, an object in JSON."},
}
_FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["file"],
    "description": "Fields are of the files after them; tags, attributes and provenance may follow their file as well.",
    "properties": {**_FIELDS, "file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
}
_TAG: Final = "files"
_HEADERS: Final[Mapping[str, str]] = {"x-request-id": "This request's id."}
_OF_CONTENT: Final[Mapping[str, str]] = {
    **_HEADERS,
    "etag": "The content's SHA-256.",
    "last-modified": "When the file was made: its content never changes.",
    "accept-ranges": "`bytes`.",
    "content-range": "With 206: which bytes.",
    "content-disposition": "The file's name.",
}

FILES: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", "/api/files/upload"): Described(
        summary="Upload files: a form, or the bytes of one as the body with its name in X-Filename",
        response=FileAnswer,
        status=201,
        body={"multipart/form-data": {"schema": _FORM}, "application/octet-stream": _BYTES},
        query=_FIELDS,
        tag=_TAG,
        headers={
            **_HEADERS,
            "location": "The file.",
            "etag": "Its revision.",
            "x-transaction-id": "Of one file: where its upload is told step by step, `/api/transactions/{id}`.",
        },
        also=(Uploaded, FilePage),
        is_ours=True,
        statuses=(400, 401, 403, 408, 409, 413, 422, 429, 503, 507),
    ),
    ("GET", "/api/files/{file_id}"): Described(
        summary="What a file is",
        response=FileAnswer,
        path=_ID,
        tag=_TAG,
        headers={
            **_HEADERS,
            "etag": "Its revision, for `If-Match` of a change.",
            "x-degraded": "`stale` while its storage element is away.",
        },
        is_ours=True,
        statuses=(304, 401, 403, 404, 429, 503),
    ),
    ("GET", "/api/files/{file_id}/content"): Described(
        summary="What a file holds, whole or a range of it",
        response=None,
        contents={200: {"*/*": _BYTES}, 206: {"*/*": _BYTES}},
        path=_ID,
        query={
            "disposition": {"type": "string", "enum": [one.value for one in Disposition], "default": "attachment"},
            "thumbnail": {
                "type": "integer",
                "enum": [*SIDES_PX],
                "description": "A small picture of an image instead.",
            },
            "link": {
                "type": "string",
                "maxLength": MAX_LINK_CHARS,
                "description": "A link's text, in place of a credential.",
            },
        },
        tag=_TAG,
        headers=_OF_CONTENT,
        is_ours=True,
        statuses=(304, 401, 403, 404, 409, 412, 413, 415, 416, 422, 429, 503),
    ),
}
