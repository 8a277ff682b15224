"""Uploads in pieces, for the description: tus 1.0."""

from collections.abc import Mapping
from typing import Any, Final

from samovar.app.described import Described
from samovar.domains.files.http.tus import UPLOADS as PATH
from samovar.domains.files.model.uploads import CHECKSUMS, MAX_SAID_CHARS, UploadAnswer

_TAG: Final = "files"
_ONE: Final = f"{PATH}/{{upload_id}}"
_ID: Final[Mapping[str, Any]] = {
    "upload_id": {
        "type": "string",
        "minLength": 1,
        "maxLength": 64,
        "pattern": "^[0-9A-Za-z-]+$",
        "description": "An upload's id, which is also that of the file to be.",
    }
}
_VERSION: Final[Mapping[str, Any]] = {"type": "string", "enum": ["1.0.0"]}
_BYTES: Final[Mapping[str, Any]] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_CHECKSUM: Final[Mapping[str, Any]] = {
    "type": "string",
    "pattern": f"^({'|'.join(CHECKSUMS)}) [A-Za-z0-9+/]+=*$",
    "description": "Of this piece: an algorithm, and the digest in Base64.",
}
_METADATA: Final[Mapping[str, Any]] = {
    "type": "string",
    "maxLength": MAX_SAID_CHARS,
    "pattern": "^[ -~]*$",
    "description": "`filename`, `filetype`, `tags`, `attributes`, `retention`, `ttl_days`, `checksum`, `provenance`:"
    " each a key and a value in Base64, with commas between.",
}
_PIECE: Final[Mapping[str, Any]] = {
    "application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}
}
_ASKED_OF_PIECE: Final[Mapping[str, Any]] = {
    "Tus-Resumable": _VERSION,
    "Upload-Offset": _BYTES,
    "Upload-Length": _BYTES,
    "Upload-Checksum": _CHECKSUM,
}
_STANDING: Final[Mapping[str, Any]] = {
    "application/json": {"schema": {"$ref": f"#/components/schemas/{UploadAnswer.__name__}"}}
}
_SPOKEN: Final[Mapping[str, str]] = {"x-request-id": "This request's id.", "tus-resumable": "`1.0.0`."}
_STANDS: Final[Mapping[str, str]] = {
    **_SPOKEN,
    "upload-offset": "So many bytes are durable: the next piece begins there.",
    "upload-length": "The whole upload's length, once it is known.",
    "upload-defer-length": "`1` until then.",
    "upload-expires": "Until then it waits for its next piece.",
    "x-file-id": "The file that it has become.",
    "x-transaction-id": "Where it is told step by step: `/api/transactions/{id}`.",
}
_DOES: Final[Mapping[str, str]] = {
    **_SPOKEN,
    "tus-version": "`1.0.0`.",
    "tus-extension": "What of the protocol is spoken beyond its core.",
    "tus-checksum-algorithm": "What pieces may be checked by.",
    "tus-max-size": "The longest upload that is taken, in bytes.",
}
_USUAL: Final = (400, 401, 403, 404, 409, 410, 412, 422, 429, 503)
_TAKING: Final = (400, 401, 403, 404, 408, 409, 410, 412, 413, 415, 422, 429, 460, 503, 507)

UPLOADS: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", PATH): Described(
        summary="Begin an upload in pieces (tus 1.0), with its first piece as the body or without",
        response=UploadAnswer,
        status=201,
        asks={
            "Tus-Resumable": _VERSION,
            "Upload-Length": _BYTES,
            "Upload-Defer-Length": {"type": "string", "enum": ["1"], "description": "The length is said later."},
            "Upload-Metadata": _METADATA,
            "Upload-Checksum": _CHECKSUM,
        },
        must=("Tus-Resumable",),
        tag=_TAG,
        headers={**_STANDS, "location": "The upload."},
        is_ours=True,
        statuses=_TAKING,
    ),
    ("GET", _ONE): Described(
        summary="Where an upload stands; what still adds to it stops. tus asks with HEAD",
        response=UploadAnswer,
        path=_ID,
        tag=_TAG,
        headers={**_STANDS, "upload-metadata": "What was said of the file."},
        is_ours=True,
        statuses=_USUAL,
    ),
    ("PATCH", _ONE): Described(
        summary="Add a piece to an upload; with its last byte it becomes a file",
        response=None,
        contents={204: {}},
        body=_PIECE,
        path=_ID,
        asks=_ASKED_OF_PIECE,
        must=("Tus-Resumable", "Upload-Offset"),
        tag=_TAG,
        headers=_STANDS,
        is_ours=True,
        statuses=_TAKING,
    ),
    ("POST", _ONE): Described(
        summary="HEAD, PATCH or DELETE of an upload, where a network lets no such method through",
        response=UploadAnswer,
        contents={200: _STANDING, 204: {}},
        body=_PIECE,
        path=_ID,
        asks={
            "X-HTTP-Method-Override": {"type": "string", "enum": ["HEAD", "PATCH", "DELETE"]},
            **_ASKED_OF_PIECE,
        },
        must=("X-HTTP-Method-Override", "Tus-Resumable"),
        tag=_TAG,
        headers=_STANDS,
        is_ours=True,
        statuses=_TAKING,
    ),
    ("DELETE", _ONE): Described(
        summary="Give an upload up; of one that is a file already the file stays",
        response=None,
        contents={204: {}},
        path=_ID,
        asks={"Tus-Resumable": _VERSION},
        must=("Tus-Resumable",),
        tag=_TAG,
        headers=_SPOKEN,
        is_ours=True,
        statuses=_USUAL,
    ),
    ("OPTIONS", PATH): Described(
        summary="What of tus is spoken here",
        response=None,
        contents={204: {}},
        tag=_TAG,
        headers=_DOES,
        is_open=True,
        statuses=(429, 503),
    ),
    ("OPTIONS", _ONE): Described(
        summary="What of tus is spoken here, asked of an upload",
        response=None,
        contents={204: {}},
        path=_ID,
        tag=_TAG,
        headers=_DOES,
        is_open=True,
        statuses=(429, 503),
    ),
}
