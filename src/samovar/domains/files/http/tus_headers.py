"""The headers of tus 1.0, read. Pure."""

import base64
import binascii
import re
from typing import Final

from samovar.domains.files.errors import BadForm
from samovar.domains.files.http.fields import READERS, Fields
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.model.uploads import CHECKSUMS, MAX_SAID_CHARS, PieceChecksum

_MAX_DIGITS: Final = 18
_KEY: Final = re.compile(r"[!-+\--~]+", re.ASCII)
_FILENAMES: Final = ("filename", "name")
_TYPES: Final = ("filetype", "type")
_UNNAMED: Final = "upload"


def whole(headers: dict[bytes, bytes], name: bytes) -> int | None:
    """A header that is a number of bytes; ``None`` where it is not there. Raises :class:`BadForm`."""
    value = headers.get(name)
    if value is None:
        return None
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise BadForm(f"{name.decode().title()} is no whole number of bytes.")
    return int(value)


def length_of(headers: dict[bytes, bytes]) -> int | None:
    """The length that a creation says, or ``None`` where it says that it will. Raises :class:`BadForm`."""
    length = whole(headers, b"upload-length")
    later = headers.get(b"upload-defer-length")
    if (length is None) == (later is None) or later not in (None, b"1"):
        raise BadForm("Say either Upload-Length, or Upload-Defer-Length: 1.")
    if b"upload-concat" in headers:
        raise BadForm("Uploads are not put together here: the extension concatenation is not spoken.")
    return length


def intent_of(said: str, *, length_bytes: int | None) -> Intent:
    """What ``Upload-Metadata`` says of the file: ``filename``, ``filetype``, and the fields of an upload's form (``tags``,
    ``retention``, ``checksum``, ...); other keys are the client's own business. Raises :class:`BadForm`, ``BadFile``."""
    found = _pairs(said)
    fields = Fields((name, text) for name, text in found.items() if name in READERS and name != "size_bytes")
    return fields.intent(
        filename=next((found[name] for name in _FILENAMES if found.get(name)), _UNNAMED),
        content_type=next((found[name] for name in _TYPES if found.get(name)), ""),
        length_bytes=length_bytes,
    )


def checksum_of(value: bytes) -> PieceChecksum:
    """``Upload-Checksum``: an algorithm, and a digest in Base64. Raises :class:`BadForm`."""
    algorithm, _, encoded = value.decode("latin-1").partition(" ")
    if algorithm not in CHECKSUMS:
        raise BadForm(f"Upload-Checksum is by one of {', '.join(CHECKSUMS)}.")
    return PieceChecksum(algorithm, _decoded(encoded.strip(), where="Upload-Checksum"))


def said_of(headers: dict[bytes, bytes]) -> str:
    """``Upload-Metadata`` as it was sent. Raises :class:`BadForm`."""
    said = headers.get(b"upload-metadata", b"").decode("latin-1").strip()
    if len(said) > MAX_SAID_CHARS or not said.isascii():
        raise BadForm(f"Upload-Metadata is ASCII, of at most {MAX_SAID_CHARS} characters.")
    return said


def _pairs(said: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in said.split(",") if said else ():
        key, _, encoded = pair.strip().partition(" ")
        if not _KEY.fullmatch(key) or key in found:
            raise BadForm(
                "Upload-Metadata is pairs of a key and a value in Base64, with commas between; each key once."
            )
        try:
            found[key] = _decoded(encoded.strip(), where=f"Upload-Metadata's {key[:40]}").decode()
        except UnicodeDecodeError as error:
            raise BadForm(f"Upload-Metadata's {key[:40]} is not UTF-8.") from error
    return found


def _decoded(encoded: str, *, where: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadForm(f"{where} is no Base64.") from error
