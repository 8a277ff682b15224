"""What may be said of a file, and how long it stays. Pure."""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from samovar.domains.files.errors import BadFile
from samovar.domains.files.model.media_types import guessed_type
from samovar.domains.files.model.names import MAX_FILENAME_BYTES, plain_filename
from samovar.kernel.errors import Flaw
from samovar.ports.elements import Custom, Provenance, Retention, RetentionKind

MAX_TAGS: Final = 32
MAX_TAG_CHARS: Final = 64
MAX_CUSTOM: Final = 32
MAX_CUSTOM_KEY_CHARS: Final = 64
MAX_CUSTOM_VALUE_CHARS: Final = 256
MAX_INPUTS: Final = 32
MAX_WORD_CHARS: Final = 200
MAX_TYPE_CHARS: Final = 127
MIN_TTL_DAYS: Final = 1
MAX_TTL_DAYS: Final = 365
MAX_REPLICAS: Final = 3

_CHECKSUM: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
# RFC 9110, 8.3.1: a type, a subtype, and parameters that are tokens or quoted.
_TOKEN: Final = r"[A-Za-z0-9!#$&^_.+'*|~-]+"  # noqa: S105 - a token of HTTP's grammar
_TYPE: Final = re.compile(rf'{_TOKEN}/{_TOKEN}(?:\s*;\s*{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))*', re.ASCII)
_KEY: Final = re.compile(r"[^\W_][\w.-]*")
_LARGEST_INT: Final = 2**53


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender says of a file. ``ttl_days`` is for temporary ones, ``None`` for the usual; ``replicas`` is on how
    many elements a permanent one is to stand, ``None`` for the usual; ``expected_*`` are what the
    content must turn out to be."""

    filename: str
    content_type: str = ""
    tags: tuple[str, ...] = ()
    custom: Custom = msgspec.field(default_factory=dict)
    retention: RetentionKind = RetentionKind.TEMPORARY
    ttl_days: int | None = None
    replicas: int | None = None
    provenance: Provenance | None = None
    expected_checksum: str | None = None
    expected_bytes: int | None = None


def checked(intent: Intent) -> Intent:
    """The intent in the form that is kept. Raises :class:`BadFile` that names all its flaws."""
    flaws = [*_flaws_of(intent)]
    if flaws:
        raise BadFile(flaws)
    filename = plain_filename(intent.filename)
    return msgspec.structs.replace(
        intent,
        filename=filename,
        content_type=intent.content_type.strip() or guessed_type(filename),
        tags=tuple(dict.fromkeys(intent.tags)),
    )


def retention_of(intent: Intent, *, now: datetime, default_ttl_days: int) -> Retention:
    """How long it stays, from now on."""
    if intent.retention is RetentionKind.PERMANENT:
        return Retention(kind=RetentionKind.PERMANENT)
    days = default_ttl_days if intent.ttl_days is None else intent.ttl_days
    return Retention(kind=RetentionKind.TEMPORARY, expires_at=now + timedelta(days=days))


def tag_flaws(tags: Sequence[str]) -> Iterator[Flaw]:
    """What is wrong with them."""
    if len(tags) > MAX_TAGS:
        yield Flaw("tags", f"there are {len(tags)}; at most {MAX_TAGS} are kept")
    for tag in tags[: MAX_TAGS + 1]:
        if not tag or tag != tag.strip() or len(tag) > MAX_TAG_CHARS or not is_plain(tag):
            yield Flaw(
                "tags", f"{tag[:40]!r} is no tag: 1 to {MAX_TAG_CHARS} printable characters, none blank at the ends"
            )


def custom_flaws(custom: Mapping[str, Any]) -> Iterator[Flaw]:
    """What is wrong with them."""
    if len(custom) > MAX_CUSTOM:
        yield Flaw("attributes", f"there are {len(custom)}; at most {MAX_CUSTOM} are kept")
    for key, value in [*custom.items()][: MAX_CUSTOM + 1]:
        where = f"attributes.{key[:40]}"
        if len(key) > MAX_CUSTOM_KEY_CHARS or not _KEY.fullmatch(key):
            yield Flaw(
                where, f"a name has 1 to {MAX_CUSTOM_KEY_CHARS} letters, digits, '.', '_' and '-', a letter first"
            )
        if isinstance(value, str):
            if len(value) > MAX_CUSTOM_VALUE_CHARS or not is_plain(value):
                yield Flaw(where, f"a text has at most {MAX_CUSTOM_VALUE_CHARS} printable characters")
        elif isinstance(value, float) and not math.isfinite(value):
            yield Flaw(where, "is no finite number")
        elif isinstance(value, int) and abs(value) > _LARGEST_INT:
            yield Flaw(where, "is beyond what every reader of JSON can hold: give it as a text")
        elif not isinstance(value, str | int | float | bool):
            yield Flaw(where, "is a text, a number, true or false")


def filename_flaws(filename: str) -> Iterator[Flaw]:
    """What is wrong with it."""
    size = len(filename.encode("utf-8", "replace"))
    if not filename.strip():
        yield Flaw("filename", "is empty")
    if size > MAX_FILENAME_BYTES:
        yield Flaw("filename", f"has {size} bytes; at most {MAX_FILENAME_BYTES} are taken")


def is_plain(text: str) -> bool:
    """Nothing in it that a terminal, a header or PostgreSQL would choke on."""
    return not any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def _flaws_of(intent: Intent) -> Iterator[Flaw]:
    yield from filename_flaws(intent.filename)
    kind = intent.content_type.strip()
    if kind and (len(kind) > MAX_TYPE_CHARS or not _TYPE.fullmatch(kind)):
        yield Flaw("content_type", f"is no media type of at most {MAX_TYPE_CHARS} characters, such as application/pdf")
    yield from tag_flaws(intent.tags)
    yield from custom_flaws(intent.custom)
    if intent.ttl_days is not None:
        if intent.retention is RetentionKind.PERMANENT:
            yield Flaw("ttl_days", "is for temporary files")
        elif not MIN_TTL_DAYS <= intent.ttl_days <= MAX_TTL_DAYS:
            yield Flaw("ttl_days", f"is from {MIN_TTL_DAYS} to {MAX_TTL_DAYS}")
    if intent.replicas is not None and not 1 <= intent.replicas <= MAX_REPLICAS:
        yield Flaw("replicas", f"is from 1 to {MAX_REPLICAS}")
    if intent.expected_checksum is not None and not _CHECKSUM.fullmatch(intent.expected_checksum):
        yield Flaw("checksum", "is the content's SHA-256 in 64 hexadecimal digits")
    if intent.provenance is not None:
        yield from _provenance_flaws(intent.provenance)


def _provenance_flaws(provenance: Provenance) -> Iterator[Flaw]:
    if len(provenance.inputs) > MAX_INPUTS:
        yield Flaw("provenance.inputs", f"at most {MAX_INPUTS} are kept")
    for name in ("prompt_version", "cost_nano_usd"):
        number = getattr(provenance, name)
        if number is not None and not 0 <= number <= _LARGEST_INT:
            yield Flaw(f"provenance.{name}", f"is from 0 to {_LARGEST_INT}")
    words = [getattr(provenance, name) for name in ("run_id", "call_id", "prompt_id", "model", "provider")]
    for word in [*words, *provenance.inputs]:
        if word is not None and (len(word) > MAX_WORD_CHARS or not is_plain(word)):
            yield Flaw("provenance", f"a text has at most {MAX_WORD_CHARS} printable characters")
