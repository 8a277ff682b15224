"""How a caller asks for a pace or a fault: header, model suffix, or magic words in the text.

``x-sandbox: chunks=50, delay_ms=10, fault=cut`` and ``sandbox/echo?chunks=50&fault=cut`` and ``[[fault:cut at=3]]`` mean the
same. Words in the text win over the suffix, the suffix over the header, the header over the server's own pace.
"""

import re
from enum import StrEnum
from typing import Final

import msgspec

from samovar.providers.sandbox.errors import bad_request

MAX_CHUNKS: Final = 10_000
MAX_WORDS: Final = 100_000
_MAX_DIRECTIVE_CHARS: Final = 1_000
_SEPARATORS: Final = re.compile(r"[,;&\s]+")
_MAGIC: Final = re.compile(r"\[\[([a-z_]+):([^\[\]]{1,200})\]\]")


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast and in how many pieces answers come.

    ``chunks`` and ``words`` are 0 for "as the text has them"; ``delay_ms`` stands between two blocks of a stream,
    ``first_byte_ms`` before the answer's first byte.
    """

    chunks: int = 0
    words: int = 0
    delay_ms: float = 0.0
    first_byte_ms: float = 0.0


class Fault(StrEnum):
    """What goes wrong, where it is more than an error status. ``docs/sandbox.md`` says what each one does."""

    QUOTA = "quota"
    QUOTA_MID = "quota_mid"
    CONTEXT = "context"
    HTML = "html"
    HTML_502 = "html_502"
    ERROR_200 = "error_200"
    HANG = "hang"
    HANG_MID = "hang_mid"
    CUT = "cut"
    CUT_BODY = "cut_body"
    TRUNCATE = "truncate"
    MALFORMED = "malformed"
    BAD_UTF8 = "bad_utf8"
    SPLIT = "split"
    UNKNOWN_EVENT = "unknown_event"
    ERROR_MID = "error_mid"
    DUPLICATE_START = "duplicate_start"
    BAD_ARGUMENTS = "bad_arguments"
    SLOW = "slow"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One request's pace and fault. ``status`` is a plain error status to answer with, 0 for none; ``at`` is the block of
    a stream before which its fault happens, -1 for the middle; ``flaky`` is how many requests fail before one succeeds;
    ``cached`` is how many input tokens to report as read from a cache."""

    pace: Pace
    fault: Fault | None = None
    status: int = 0
    retry_after_s: int | None = None
    at: int = -1
    flaky: int = 0
    cached: int = 0


_PACE_NUMBERS: Final = {"chunks": MAX_CHUNKS, "words": MAX_WORDS, "delay_ms": 300_000, "first_byte_ms": 600_000}
_OTHER_NUMBERS: Final = {"retry_after": 3_600, "at": MAX_CHUNKS, "flaky": 1_000, "cached": 10_000_000}
_KNOWN: Final = frozenset(("fault", *_PACE_NUMBERS, *_OTHER_NUMBERS))
_FAULTS: Final = frozenset(Fault)
_SLOW_FIRST_BYTE_MS: Final = 5_000.0


def magic_words(text: str) -> str:
    """The directives that stand in ``text``, in the form of the header. Words that name none of ours stay plain text."""
    return ",".join(f"{name}={value}" for name, value in _MAGIC.findall(text) if name in _KNOWN)


def wish_of(server: Pace, *directives: str) -> Wish:
    """The wish that ``directives`` say, later ones winning. Raises ``Refused`` (400) for a name or value not known."""
    said: dict[str, str] = {}
    for text in directives:
        said.update(_read(text))
    numbers = {name: _number(name, value) for name, value in said.items() if name != "fault"}
    status, fault = _fault(said.get("fault", ""))
    pace = Pace(
        chunks=int(numbers.get("chunks", server.chunks)),
        words=int(numbers.get("words", server.words)),
        delay_ms=numbers.get("delay_ms", server.delay_ms),
        first_byte_ms=numbers.get(
            "first_byte_ms", _SLOW_FIRST_BYTE_MS if fault is Fault.SLOW else server.first_byte_ms
        ),
    )
    return Wish(
        pace=pace,
        fault=fault,
        status=status,
        retry_after_s=int(numbers["retry_after"]) if "retry_after" in numbers else None,
        at=int(numbers.get("at", -1)),
        flaky=int(numbers.get("flaky", 0)),
        cached=int(numbers.get("cached", 0)),
    )


def _read(text: str) -> dict[str, str]:
    if len(text) > _MAX_DIRECTIVE_CHARS:
        raise bad_request(f"sandbox directives are bounded to {_MAX_DIRECTIVE_CHARS} characters")
    said: dict[str, str] = {}
    for token in _SEPARATORS.split(text.strip()):
        if not token:
            continue
        name, equals, value = token.partition("=")
        if not equals:
            name, value = "fault", token
        if name not in _KNOWN:
            raise bad_request(f"unknown sandbox directive {name!r}; known: {', '.join(sorted(_KNOWN))}")
        said[name] = value
    return said


def _number(name: str, value: str) -> float:
    most = _PACE_NUMBERS.get(name) or _OTHER_NUMBERS[name]
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise bad_request(f"sandbox directive {name}={value!r} is not a number from 0 to {most}")
    return number


def _fault(value: str) -> tuple[int, Fault | None]:
    if not value:
        return 0, None
    if value in _FAULTS:
        return 0, Fault(value)
    if value.isascii() and value.isdigit() and 400 <= int(value) <= 599:
        return int(value), None
    raise bad_request(f"unknown sandbox fault {value!r}; known: a status from 400 to 599, {', '.join(sorted(_FAULTS))}")
