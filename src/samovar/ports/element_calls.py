"""How an element is asked from another process: what each operation is called, takes and answers, and how failures cross.

``POST {url}/storage/v1/{element_id}/{operation}``. The body's first frame (:mod:`samovar.ports.element_frames`) holds the
arguments in JSON; the content of ``write`` and ``append`` follows in frames. The answer is frames too: JSON things, of ``read``
the content. What fails before the answer has begun is a problem document (RFC 9457) under its own status; what fails later is
the last frame.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from samovar.kernel.errors import Conflict, Invalid, SamovarError, StaleRevision, Unavailable
from samovar.ports.element_rules import PathRefused
from samovar.ports.elements import (
    Attributes,
    AttributesTooLarge,
    ContentDiffers,
    DamagedFile,
    Draft,
    ElementFull,
    ElementUnavailable,
    FileNotThere,
    Mode,
    ModeRefused,
    OffsetDiffers,
)

PREFIX: Final = "/storage/v1"
FRAMES_TYPE: Final = "application/vnd.samovar.frames"
ALIVE_EVERY_S: Final = 5.0
"""Who is asked says so often at least that it is at work."""


class Arguments(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of an operation that takes none."""


class OfDraft(Arguments, frozen=True, kw_only=True):
    """``write`` (content follows), ``begin``."""

    draft: Draft


class OfUpload(Arguments, frozen=True, kw_only=True):
    """``offset``, ``finish``, ``abandon``."""

    file_id: str


class OfPart(Arguments, frozen=True, kw_only=True):
    """``append`` (content follows)."""

    file_id: str
    offset_bytes: int
    all_or_nothing: bool = False


class OfRows(Arguments, frozen=True, kw_only=True):
    """``acknowledge``: file ids and revisions."""

    rows: tuple[tuple[str, int], ...]


class OfPath(Arguments, frozen=True, kw_only=True):
    """``attributes``, ``read-cold``, ``delete``, ``verify``."""

    path: str


class OfRange(Arguments, frozen=True, kw_only=True):
    """``read``."""

    path: str
    start: int = 0
    end: int | None = None


class OfAttributes(Arguments, frozen=True, kw_only=True):
    """``amend``."""

    attributes: Attributes


class OfDamage(Arguments, frozen=True, kw_only=True):
    """``quarantine``."""

    path: str
    reason: str


class OfWalk(Arguments, frozen=True, kw_only=True):
    """``walk``."""

    after: str = ""


class OfMode(Arguments, frozen=True, kw_only=True):
    """``lower-mode``."""

    mode: Mode


_CROSSING: Final[Mapping[str, type[SamovarError]]] = MappingProxyType(
    {
        kind.code: kind
        for kind in (
            FileNotThere,
            ModeRefused,
            ContentDiffers,
            AttributesTooLarge,
            OffsetDiffers,
            ElementFull,
            ElementUnavailable,
            DamagedFile,
            PathRefused,
            StaleRevision,
            Conflict,
            Invalid,
            Unavailable,
        )
    }
)
"""What an element raises, by its code."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failure on its way, as far as it is read again. ``offset_bytes`` is that of :class:`OffsetDiffers`."""

    code: str
    detail: str = ""
    offset_bytes: int | None = None


def document_of(error: SamovarError, request_id: str) -> bytes:
    """The failure as a problem document."""
    said: dict[str, Any] = {
        "type": f"urn:samovar:error:{error.code}",
        "title": error.title,
        "status": error.http_status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    if isinstance(error, OffsetDiffers):
        said["offset_bytes"] = error.offset_bytes
    return msgspec.json.encode(said)


def error_of(document: bytes, *, element_id: str) -> SamovarError:
    """The failure again. What no element raises (a proxy's answer, a refused token) is :class:`ElementUnavailable`."""
    try:
        said = msgspec.json.decode(document, type=Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ElementUnavailable(f"The storage element {element_id} answers with what cannot be read.")
    kind = _CROSSING.get(said.code)
    if kind is None:
        return ElementUnavailable(f"The storage element {element_id} refuses: {said.detail or said.code}")
    # Some have a constructor of their own, which makes up the words that came along here.
    error = kind.__new__(kind)
    SamovarError.__init__(error, said.detail)
    if isinstance(error, OffsetDiffers):
        error.offset_bytes = said.offset_bytes or 0
    return error
