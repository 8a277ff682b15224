"""What requests are read with: the parser, and what it leaves to be read of a request line."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import unquote

import httptools

_PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/"
"""A target of these alone is its own path: nothing in it is encoded, and it has no query."""
_MAX_PLAIN_BYTES: Final = 4_096
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


class Listener(Protocol):
    """Hears what a body brings."""

    def on_body(self, body: bytes) -> None:
        """A piece."""

    def on_message_complete(self) -> None:
        """That was all."""


class BodyAlone:
    """Passes on the body of a request whose head was read before, and no more."""

    def __init__(self, listener: Listener) -> None:
        self.on_body: Callable[[bytes], None] = listener.on_body
        self.on_message_complete: Callable[[], None] = listener.on_message_complete


def parser_for(listener: Listener | BodyAlone) -> httptools.HttpRequestParser:
    """A parser that tells ``listener``. What is sent after a request that is to be the last is not read, and is no fault."""
    parser = httptools.HttpRequestParser(listener)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def framing_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """A head after which a parser reads the body that these headers announce, and nothing more; ``None`` where they do not."""
    lines = [b"%b: %b\r\n" % pair for pair in headers if pair[0] in _FRAMING]
    return b"POST / HTTP/1.1\r\nconnection: close\r\n" + b"".join(lines) + b"\r\n" if lines else None


def target_of(url: bytes) -> tuple[str, bytes, bytes]:
    """The path, as text and as it came, and the query. Raises ``HttpParserError`` for what is no URL."""
    if url.startswith(b"/") and len(url) <= _MAX_PLAIN_BYTES and not url.translate(None, _PLAIN):
        return url.decode("ascii"), url, b""
    parts = httptools.parse_url(url)
    # "http://host" has none (RFC 9112, 3.2.1).
    path = parts.path or b"/"
    return unquote(path.decode("ascii")), path, parts.query or b""
