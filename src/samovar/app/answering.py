"""One request of a connection and its answer: ASGI's ``receive`` and ``send`` of it.

Written for what most requests are: a body that is here before anybody asks for it, and an answer that goes out whole, in one
write. What the headers of an answer hold is joined first and checked once for line breaks (RFC 9112, 11.1: response splitting).
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, Protocol

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from samovar.app.http import SECURITY_HEADERS
from samovar.app.problems import MEDIA_TYPE
from samovar.app.sending import FileSending
from samovar.kernel.writes import Outgoing
from samovar.ports.asgi import BY_KERNEL, SPLIT, AnswersWhole, HoldsBody, Lines, Message, Scope, lines_of

STATUS_LINE: Final = {
    **{status: b"HTTP/1.1 %d " % status for status in range(100, 600)},
    **{int(status): f"HTTP/1.1 {status} {status.phrase}".encode() for status in HTTPStatus},
}
"""Without its line break."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"\r\nconnection: close"
_LAST_HEADERS: Final = b"".join(
    b"%s: %s\r\n" % pair for pair in (*SECURITY_HEADERS, (b"content-type", MEDIA_TYPE), (b"connection", b"close"))
)
_CR: Final = 13
_LF: Final = 10
_NO_BODY: Final = frozenset({204, 304})
_CHUNKED_END: Final = b"0\r\n\r\n"


class Host(Protocol):
    """The connection, as far as a request needs it."""

    transport: Outgoing
    flow: FlowControl

    def completed(self) -> None:
        """The answer went out whole."""
        ...

    def end(self) -> None:
        """That was the last answer."""
        ...

    def read_on(self) -> None:
        """There is room for more, where no more requests wait than may."""
        ...


class Exchange(AnswersWhole, HoldsBody):
    """What a request has come to. The connection tells what arrives, and whether the client is still there."""

    __slots__ = (
        "_body",
        "_chunked",
        "_flow",
        "_has_news",
        "_head",
        "_host",
        "_left_bytes",
        "_news",
        "_owes_continue",
        "_until_close",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
        "scope",
        "task",
    )

    def __init__(self, host: Host, scope: Scope, *, keep_alive: bool, owes_continue: bool) -> None:
        self._host = host
        self._flow = host.flow
        self.scope = scope
        self.task: asyncio.Task[None] | None = None
        self.keep_alive = keep_alive
        self.disconnected = False
        # Of the request.
        self._owes_continue = owes_continue
        self._body: bytes | bytearray = b""
        self.more_body = True
        self._has_news = False
        self._news: asyncio.Event | None = None
        # Of the answer; what else there is to know of one that does not go out whole, _start knows.
        self.response_started = False
        self.response_complete = False

    # --- for the connection

    def arrived(self, piece: bytes) -> None:
        """A piece of the body."""
        if not self._body:
            # Mostly the only one: it is handed over as it came.
            self._body = piece
        else:
            if not isinstance(self._body, bytearray):
                self._body = bytearray(self._body)
            self._body += piece
        if len(self._body) > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        self.tell()

    def tell(self) -> None:
        """Wake who waits for something of the request."""
        self._has_news = True
        if self._news is not None:
            self._news.set()

    # --- for the app

    async def receive(self) -> Message:
        """ASGI's ``receive``."""
        if self._owes_continue and not self._host.transport.is_closing():
            self._host.transport.write(_CONTINUE)
            self._owes_continue = False
        if not self.disconnected and not self.response_complete:
            if self._flow.read_paused:
                self._host.read_on()
            if not self._has_news:
                if self._news is None:
                    # Made only for who must wait.
                    self._news = asyncio.Event()
                self._news.clear()
                await self._news.wait()
            self._has_news = False
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def take_body(self) -> bytes | None:
        """See :class:`samovar.ports.asgi.HoldsBody`."""
        if self.more_body or not self._has_news or self._owes_continue or self._flow.read_paused:
            return None
        if self.disconnected or self.response_complete:
            return None
        self._has_news = False
        body, self._body = bytes(self._body), b""
        return body

    async def send(self, message: Message) -> None:
        """ASGI's ``send``. Raises ``RuntimeError`` for messages out of order and for headers that would split."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.body" and self.response_started:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        elif message["type"] == "http.response.start" and not self.response_started:
            self._start(message["status"], message.get("headers", ()))
        elif message["type"] == BY_KERNEL and self.response_started:
            await self._send_file(message)
        else:
            raise RuntimeError(f"the ASGI message {message['type']!r} is out of order")

    def answer_whole(self, status: int, headers: Lines, body: bytes) -> bool:
        """See :class:`samovar.ports.asgi.AnswersWhole`."""
        if self._flow.write_paused or self.response_started or self.disconnected or self.scope["method"] == "HEAD":
            return False
        self._begin()
        head = _head(status, headers)
        close = b""
        if headers.closes:
            self.keep_alive = False
        elif not self.keep_alive:
            close = _CLOSE
        self._host.transport.write(b"".join((head, b"\r\ncontent-length: %d" % len(body), close, b"\r\n\r\n", body)))
        self._complete()
        return True

    def _begin(self) -> None:
        self.response_started = True
        if self._owes_continue and self.more_body:
            # Not called for, the body may come or not: what comes next could not be told from it (RFC 9110, 10.1.1).
            self.keep_alive = False
        self._owes_continue = False

    def _start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._begin()
        head = _head(status, lines_of(headers))
        self._chunked: bool | None = None
        self._left_bytes = 0
        self._until_close = False
        self._head: bytes | None = None
        says_close = False
        for name, value in headers:
            if name == b"content-length":
                self._left_bytes = int(value)
                self._chunked = False
            elif name == b"connection" and value == b"close":
                self.keep_alive, says_close = False, True
        if self._chunked is None and self.scope["method"] != "HEAD" and status not in _NO_BODY:
            # HTTP/1.0 knows no chunks: its body ends with the connection (RFC 9112, 6.1).
            self._chunked = self.scope["http_version"] != "1.0"
            self._until_close = not self._chunked
            if self._chunked:
                head += b"\r\ntransfer-encoding: chunked"
        if not self.keep_alive and not says_close:
            head += _CLOSE
        head += b"\r\n\r\n"
        if self._chunked:
            self._host.transport.write(head)
        else:
            # Kept for the body, which follows at once: a whole answer is then one write.
            self._head = head

    def _send_body(self, body: bytes, more: bool) -> None:
        if self.response_complete:
            raise RuntimeError("the answer was complete already")
        pieces = [] if self._head is None else [self._head]
        self._head = None
        if self.scope["method"] == "HEAD":
            self._left_bytes = 0
        elif self._chunked:
            if body:
                pieces += (b"%x\r\n" % len(body), body, b"\r\n")
            if not more:
                pieces.append(_CHUNKED_END)
        else:
            if not self._until_close:
                self._left_bytes -= len(body)
            pieces.append(body)
        if self._left_bytes < 0 or (not more and self._left_bytes > 0):
            raise RuntimeError("the body is not as long as its Content-Length says")
        if pieces:
            self._host.transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if not more:
            self._complete()

    async def _send_file(self, message: Message) -> None:
        size_bytes = message["count"]
        if self._chunked:
            raise RuntimeError("a file goes out under a Content-Length")
        # The head, where it was kept.
        self._send_body(b"", True)
        if self.scope["method"] != "HEAD":
            if not self._until_close:
                self._left_bytes -= size_bytes
            if self._left_bytes < 0:
                raise RuntimeError("the body is not as long as its Content-Length says")
            sending = FileSending(self._host.transport, self._flow, message["file"], message["offset"], size_bytes)
            await sending.whole()
        if not message.get("more_body", False) and not self.disconnected:
            self._send_body(b"", False)

    def _complete(self) -> None:
        self.response_complete = True
        if self._news is not None:
            # Who still waits is told that nothing more is to come.
            self._news.set()
        if not self.keep_alive:
            self._host.end()
        self._host.completed()


def last_answer(status: int, document: bytes) -> bytes:
    """A problem document, and then the end of the connection."""
    return b"%s\r\n%scontent-length: %d\r\n\r\n%s" % (STATUS_LINE[status], _LAST_HEADERS, len(document), document)


def _head(status: int, headers: Lines) -> bytes:
    """The status line and the headers, without the last line's break. Raises ``RuntimeError`` for a break inside a header."""
    count = headers.number
    head = b"\r\n".join((STATUS_LINE[status], headers.text)) if count else STATUS_LINE[status]
    # Numbers, not bytes: what ``in`` does for bytes begins with an exception, raised and dropped.
    if head.count(_LF) != count or head.count(_CR) != count or 0 in head:
        raise RuntimeError(SPLIT)
    return head
