"""What requests are read with: the parser, and what it leaves to be read of a request line."""

import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import unquote

import httptools

from samovar.kernel.errors import Malformed, SamovarError

_PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/"
"""A target of these alone is its own path: nothing in it is encoded, and it has no query."""
_MAX_PLAIN_BYTES: Final = 4_096
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z:._~%-]+\])(?::[0-9]*)?")


class HeadersTooLarge(SamovarError):
    """More request line and headers than anybody needs."""

    code = "headers_too_large"
    status = 431
    title = "Headers too large"


class UnknownCoding(SamovarError):
    """The body is wrapped in what nobody here unwraps."""

    code = "transfer_coding_unknown"
    status = 501
    title = "Transfer coding not known"


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


def check_host(value: bytes) -> None:
    """Raises ``Malformed`` for what names no host (RFC 9110, 7.2)."""
    if not _HOST.fullmatch(value.strip()):
        raise Malformed("the Host header names no host")


def check_coding(value: bytes) -> None:
    """Of the codings of a ``Transfer-Encoding`` only ``chunked`` is known, and it is the last (RFC 9112, 6.1). Raises
    :class:`UnknownCoding`, ``Malformed``."""
    codings = [coding.strip() for coding in value.lower().split(b",")]
    if codings == [b"chunked"]:
        return
    if codings[-1] != b"chunked" or b"chunked" in codings[:-1]:
        raise Malformed("the Transfer-Encoding header does not tell where the body ends")
    raise UnknownCoding("of transfer codings only 'chunked' is known here: send the body as it is")


def target_of(url: bytes) -> tuple[str, bytes, bytes]:
    """The path, as text and as it came, and the query. Raises ``HttpParserError`` for what is no URL."""
    if url.startswith(b"/") and len(url) <= _MAX_PLAIN_BYTES and not url.translate(None, _PLAIN):
        return url.decode("ascii"), url, b""
    parts = httptools.parse_url(url)
    # "http://host" has none (RFC 9112, 3.2.1).
    path = parts.path or b"/"
    return unquote(path.decode("ascii")), path, parts.query or b""
