"""What a file probably is, by the end of its name. Pure: the same on every system."""

import mimetypes
from typing import Final

DEFAULT_TYPE: Final = "application/octet-stream"

_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_OPEN: Final = "application/vnd.oasis.opendocument"
# What people send every day, and Python 3.11 does not know by itself.
_MORE: Final = {
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".odt": f"{_OPEN}.text",
    ".ods": f"{_OPEN}.spreadsheet",
    ".odp": f"{_OPEN}.presentation",
    ".epub": "application/epub+zip",
    ".rtf": "application/rtf",
    ".webp": "image/webp",
    ".jxl": "image/jxl",
    ".psd": "image/vnd.adobe.photoshop",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".ogv": "video/ogg",
    ".m4v": "video/x-m4v",
    ".mkv": "video/x-matroska",
    ".glb": "model/gltf-binary",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".log": "text/plain",
    ".ics": "text/calendar",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/x-ndjson",
    ".sql": "application/sql",
    ".parquet": "application/vnd.apache.parquet",
    ".7z": "application/x-7z-compressed",
    ".rar": "application/vnd.rar",
    ".ttf": "font/ttf",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
_PACKED: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}

_TYPES: Final = mimetypes.MimeTypes(filenames=())
for _suffix, _kind in _MORE.items():
    _TYPES.add_type(_kind, _suffix)


def guessed_type(filename: str) -> str:
    """:data:`DEFAULT_TYPE` where nobody can tell; of what is packed, the packing."""
    kind, encoding = _TYPES.guess_type(filename.replace("\\", "/").rpartition("/")[2])
    if encoding is not None:
        return _PACKED.get(encoding, DEFAULT_TYPE)
    return kind or DEFAULT_TYPE
