"""What passes between the HTTP connection and the rest: a request that is whole, a reply to be sent."""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

import msgspec

JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"
EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"


class Request(msgspec.Struct, frozen=True):
    """A request whose body is at hand. Header names are lower case; of a repeated header the last one counts."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    chunked_allowed: bool
    """HTTP/1.1: the answer may come in chunks. To an HTTP/1.0 client a stream ends with the connection."""


class Ending(Enum):
    """What happens after the last byte that we send."""

    ORDERLY = auto()
    CUT = auto()
    HANG = auto()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and how it is to be sent.

    With ``blocks`` it is a stream, one HTTP chunk for each block, ``delay_s`` apart; otherwise ``body`` is sent whole.
    ``headers`` are extra header lines, each ended by CRLF. ``silent`` sends nothing at all. ``declared_bytes`` is the
    ``Content-Length`` to claim where it is not the body's.
    """

    status: int = 200
    content_type: bytes = JSON
    headers: bytes = b""
    body: bytes = b""
    blocks: Iterator[bytes] | None = None
    first_byte_s: float = 0.0
    delay_s: float = 0.0
    ending: Ending = Ending.ORDERLY
    silent: bool = False
    declared_bytes: int | None = None
