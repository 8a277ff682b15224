"""Writes a response to the connection: uvicorn's cycle, without what costs most of it.

Uvicorn matches two regular expressions against every header; here the whole head is joined first and checked once for line
breaks that are not ours (RFC 9112, 11.1: response splitting). A whole answer goes out in one write.
"""

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from samovar.ports.asgi import Message

_NO_BODY: Final = frozenset({204, 304})
_CHUNKED_END: Final = b"0\r\n\r\n"


class Answering:
    """The ``send`` of one request. Keeps the cycle's own state, which the protocol reads."""

    __slots__ = ("_cycle", "_head")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._head: bytes | None = None

    async def send(self, message: Message) -> None:
        """ASGI's ``send``. Raises ``RuntimeError`` for messages out of order and for headers that would split."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if message["type"] == "http.response.body" and cycle.response_started:
            self._body(message.get("body", b""), message.get("more_body", False))
        elif message["type"] == "http.response.start" and not cycle.response_started:
            self._start(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"the ASGI message {message['type']!r} is out of order")

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        cycle = self._cycle
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        for name, value in headers:
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                cycle.expected_content_length = int(value)
                cycle.chunked_encoding = False
            elif name == b"connection" and value == b"close":
                cycle.keep_alive = False
        count = len(lines)
        if cycle.chunked_encoding is None and cycle.scope["method"] != "HEAD" and status not in _NO_BODY:
            cycle.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
            count += 1
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
            count += 1
        head = b"".join(lines)
        if head.count(b"\n") != count or head.count(b"\r") != count or b"\x00" in head:
            raise RuntimeError("a header holds a line break")
        if cycle.chunked_encoding:
            cycle.transport.write(head + b"\r\n")
        else:
            # Kept for the body, which follows at once: a whole answer is then one write.
            self._head = head + b"\r\n"

    def _body(self, body: bytes, more: bool) -> None:
        cycle = self._cycle
        if cycle.response_complete:
            raise RuntimeError("the answer was complete already")
        pieces = [] if self._head is None else [self._head]
        self._head = None
        if cycle.scope["method"] == "HEAD":
            cycle.expected_content_length = 0
        elif cycle.chunked_encoding:
            if body:
                pieces += (b"%x\r\n" % len(body), body, b"\r\n")
            if not more:
                pieces.append(_CHUNKED_END)
        else:
            cycle.expected_content_length -= len(body)
            pieces.append(body)
        if cycle.expected_content_length < 0 or (not more and cycle.expected_content_length > 0):
            raise RuntimeError("the body is not as long as its Content-Length says")
        if pieces:
            cycle.transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if not more:
            cycle.response_complete = True
            cycle.message_event.set()
            if not cycle.keep_alive:
                cycle.transport.close()
            cycle.on_response()
