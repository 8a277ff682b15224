"""Names and texts in headers, both ways. Pure."""

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from samovar.domains.files.errors import BadForm
from samovar.domains.files.model.links import Disposition
from samovar.domains.files.model.names import base_name

_EXT_VALUE: Final = re.compile(rb"(?i:utf-8)'[^']*'(.*)", re.DOTALL)
_UNSAFE: Final = re.compile(r'[^ !#-\[\]-~]|[%"\\]')
# What writes the rest of a name backwards: "gpj.exe" would be shown as a picture.
_TURNING: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# RFC 5987, 3.2.1: what may stand as it is.
_ATTR_CHARS: Final = "!#$&+-.^_`|~"
_ACTIVE: Final = ("html", "xml", "svg", "javascript", "ecmascript", "x-shockwave", "pdf")
# The list of what browsers run grows, and depends on the browser: what is not known to be harmless is not.
_HARMLESS: Final = re.compile(r"(?:image|audio|video)/[^*]*|(?:text/(?:plain|csv)|application/json)(?:;.*)?", re.DOTALL)


def text_of(value: bytes, *, where: str) -> str:
    """A header's text: as RFC 5987 has it (``UTF-8''na%C3%AFve``), percent-encoded, or as it is. Raises :class:`BadForm` for
    what is no UTF-8."""
    found = _EXT_VALUE.fullmatch(value)
    raw = unquote_to_bytes(found[1] if found is not None else value)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadForm(f"{where} is not UTF-8; write it percent-encoded.") from error


def disposition(kind: Disposition, filename: str) -> bytes:
    """``Content-Disposition`` (RFC 6266): a name that cannot lead anywhere, in ASCII for old programs, whole for all others."""
    name = _TURNING.sub("_", base_name(filename))
    plain = _UNSAFE.sub("_", name)
    whole = quote(name.encode("utf-8", "replace"), safe=_ATTR_CHARS)
    return f"{kind.value}; filename=\"{plain}\"; filename*=UTF-8''{whole}".encode()


def is_active(content_type: str) -> bool:
    """Whether a browser may run what is in it, or load more for it."""
    kind = content_type.lower()
    return _HARMLESS.fullmatch(kind) is None or any(word in kind for word in _ACTIVE)
