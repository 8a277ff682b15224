"""Replies as bytes of HTTP/1.1 (RFC 9112)."""

from http import HTTPStatus
from typing import Final

from samovar.providers.sandbox.exchange import Reply

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
_REASONS: Final = {**{int(status): status.phrase.encode() for status in HTTPStatus}, 529: b"Overloaded"}
_STATUS_LINES: Final = {
    status: b"HTTP/1.1 %d %b\r\nserver: samovar-sandbox\r\ncontent-type: " % (status, _REASONS.get(status, b"Error"))
    for status in range(200, 600)
}


def whole(reply: Reply, *, keep_alive: bool, body: bytes) -> bytes:
    """A reply with a length. ``body`` is what is sent, which for HEAD is nothing; the length is always the reply's."""
    length = len(reply.body) if reply.declared_bytes is None else reply.declared_bytes
    return b"%b%b\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
        _STATUS_LINES[reply.status],
        reply.content_type,
        reply.headers,
        b"" if keep_alive else b"connection: close\r\n",
        length,
        body,
    )


def stream_head(reply: Reply, *, chunked: bool) -> bytes:
    """The head of a stream, which ends with a last chunk or, for HTTP/1.0, with the connection."""
    return b"%b%b\r\n%bcache-control: no-cache\r\n%b\r\n" % (
        _STATUS_LINES[reply.status],
        reply.content_type,
        reply.headers,
        b"transfer-encoding: chunked\r\n" if chunked else b"connection: close\r\n",
    )


def chunk(block: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(block), block)
