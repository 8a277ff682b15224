"""Files of a call that hold text, whatever their label says: a label is the caller's word, and models read what is there.

What is named as text is looked at even where it is not quite UTF-8; what is not, where all of it is UTF-8 or begins with a
byte order mark. Pictures, sound and PDF are neither.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

_TEXTUAL: Final = re.compile(
    "atom|bash|c|cc|conf|cpp|cs|css|csv|cxx|diff|ecmascript|eml|env|go|graphql|h|hpp|htm|html|ics|ini|java|javascript|js"
    "|json|json5|jsonl|jsx|kt|latex|log|lua|markdown|md|ndjson|patch|perl|php|pl|properties|ps1|py|python|r|rb|rs|rss|rst"
    "|rtf|ruby|scala|sh|shellscript|sql|srt|svg|swift|tex|toml|ts|tsv|tsx|txt|typescript|vcf|vtt|xhtml|xml|yaml|yml"
)
"""The last word of a media type, or of a file's name, that promises text."""

_WORDS: Final = re.compile(r"[^a-z0-9]+")
_SIGNS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\r\n"
"""What stands in base64, of either alphabet."""
_FOREIGN: Final = bytes(sign for sign in range(256) if sign not in _SIGNS or sign in b"\r\n")
_ONE_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
_CHARSET: Final = re.compile(
    # Some codecs of Python's take quadratic time (punycode): these do not.
    r"charset\s*=\s*[\"']?((?:utf-?16|utf-?32|iso-8859|iso-2022|latin|windows|cp|koi8|mac|gb|big5|euc|shift)[\w-]*)",
    re.IGNORECASE | re.ASCII,
)
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PDF: Final = b"%PDF-"
_BEGINNING_CHARS: Final = 1024
_SHORTEST_CHARS: Final = 8
"""Fewer characters of base64 are a word."""


class TextFile(msgspec.Struct, frozen=True):
    """The words of a file, and what they were written in; ``None`` for words that stood where base64 belongs."""

    text: str
    media_type: str
    encoding: str | None

    def written(self, text: str) -> str:
        """Other words in the same form."""
        if self.encoding is None:
            return text
        errors = "surrogateescape" if self.encoding == "utf-8" else "replace"
        return base64.b64encode(text.encode(self.encoding, errors)).decode()


def readings(content: str, *, media_type: str | None, name: str | None) -> Iterator[TextFile]:
    """What somebody may read in ``content``, which is base64 or a data URL (RFC 2397): nothing where it holds no text."""
    if content[:5].lower() == "data:":
        head, _, content = content[5:].partition(",")
        kind = head.partition(";")[0].strip()
        if "base64" not in {part.strip().lower() for part in head.split(";")[1:]}:
            yield from _read(unquote_to_bytes(content), label=head, kind=kind or "text/plain", promised=True)
            return
        # One that says nothing says less than what was said beside it.
        label, kind = (head, kind) if kind else (media_type or "", media_type or "text/plain")
    else:
        label = kind = media_type or ""
    promised = _is_textual(label, name)
    beginning = content[:_BEGINNING_CHARS]
    begins_as_text = _begins_as_text(_bytes(beginning))
    if not promised and not begins_as_text and _is_base64(beginning):
        # A picture, say: the rest is not worth a look.
        return
    if not _is_base64(content):
        yield TextFile(content, kind, None)
    if promised or begins_as_text:
        yield from _read(_bytes(content), label=label, kind=kind, promised=promised)


def embedded(said: str) -> Iterator[TextFile]:
    """As :func:`readings`, for a string in a part whose shape we do not know."""
    if said[:5].lower() == "data:" or (len(said) >= _SHORTEST_CHARS and _is_base64(said)):
        yield from readings(said, media_type=None, name=None)


def _is_textual(label: str, name: str | None) -> bool:
    kind = label.partition(";")[0].strip().lower()
    if kind.startswith("text/") or _TEXTUAL.fullmatch(_WORDS.split(kind)[-1]):
        return True
    return name is not None and "." in name and bool(_TEXTUAL.fullmatch(name.rpartition(".")[2].strip().lower()))


def _is_base64(content: str) -> bool:
    # By bytes: a pattern would hold everybody up for tens of milliseconds over a large picture.
    return not content.encode("utf-8", "replace").translate(None, _SIGNS)


def _bytes(content: str) -> bytes:
    """What base64 says, whatever stands between its letters and however it is padded."""
    plain = content.encode("utf-8", "replace").translate(_ONE_ALPHABET, _FOREIGN).rstrip(b"=")
    return b"".join([_decoded(piece) for piece in plain.split(b"=")])


def _decoded(piece: bytes) -> bytes:
    # One letter alone is less than a byte.
    whole = piece[:-1] if len(piece) % 4 == 1 else piece
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _begins_as_text(data: bytes) -> bool:
    if data.startswith(_PDF):
        return False
    if _marked(data) is not None:
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=False)
    except UnicodeDecodeError:
        return False
    return True


def _marked(data: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)


def _read(data: bytes, *, label: str, kind: str, promised: bool) -> Iterator[TextFile]:
    named = _CHARSET.search(label)
    charset = None if named is None else named[1]
    # What is plainly UTF-8 is read so whatever its label says.
    plain = None if charset is not None and b"\0" in data else "utf-8"
    for encoding in (_marked(data), plain, charset, "utf-8"):
        if encoding is None:
            continue
        try:
            yield TextFile(data.decode(encoding), kind, encoding)
        except (LookupError, ValueError):
            continue
        return
    if promised:
        yield TextFile(data.decode("utf-8", "surrogateescape"), kind, "utf-8")
