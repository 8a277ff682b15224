"""One client connection: HTTP/1.1 read with httptools, replies written at their pace.

An ``asyncio.Protocol`` without a task: a paced stream costs one timer a block, and a lost connection only has to cancel that
timer. Answers of pipelined requests go out in order, one after the other (RFC 9112, section 9.3.2).
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, cast

import httptools
import structlog

from samovar.providers.sandbox import framing
from samovar.providers.sandbox.desk import Desk
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.exchange import Ending, Reply, Request
from samovar.providers.sandbox.journal import Entry, Journal
from samovar.providers.sandbox.limits import Limits

_log = structlog.get_logger(__name__)
_BATCH_BLOCKS: Final = 256
_HIGH_WATER_BYTES: Final = 256 * 1024


class Shared:
    """What a server's connections have in common."""

    __slots__ = ("buffered_bytes", "connections", "desk", "journal", "limits", "loop")

    def __init__(self, *, loop: asyncio.AbstractEventLoop, desk: Desk, journal: Journal, limits: Limits) -> None:
        self.loop = loop
        self.desk = desk
        self.journal = journal
        self.limits = limits
        self.connections: set[Connection] = set()
        self.buffered_bytes = 0


class Connection(asyncio.Protocol):
    """See the module. :meth:`sweep` must be called about once a second: all deadlines are kept there."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._loop = shared.loop
        self._limits = shared.limits
        self._parser = httptools.HttpRequestParser(self)
        self._transport = cast(asyncio.Transport, None)
        self._waiting: deque[Request] = deque()
        self._since = 0.0
        self._deaf = False
        self._receiving = False
        self._reading = True
        # The request that is being received.
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_size = 0
        self._head_done = False
        # Bytes since the parser last handed something over: what a head, chunk extensions or trailers make it hold.
        self._idle_bytes = 0
        # The reply that is being sent.
        self._busy = False
        self._serving = False
        self._keep_alive = True
        self._chunked = True
        self._bodiless = False
        self._entry: Entry | None = None
        self._reply = Reply()
        self._blocks: Iterator[bytes] = iter(())
        self._next: bytes | None = None
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._thread: asyncio.Future[Any] | None = None
        self._paused = False
        self._paused_since = 0.0

    # --- the transport's side ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP_NODELAY is set by asyncio and uvloop alike for every TCP transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self._since = self._loop.time()
        self._shared.connections.add(self)
        if len(self._shared.connections) > self._limits.connections:
            self._refuse(Problem(status=503, message="Too many connections.", retry_after_s=1))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: so is its stream."""
        self._shared.connections.discard(self)
        self._release_body()
        self._stop_work()
        if self._entry is not None:
            self._shared.journal.close(self._entry, "cancelled")
            self._entry = None
        self._waiting.clear()
        self._blocks = iter(())

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._idle_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(Problem(status=400, message="The sandbox does not change protocols."))
            return
        except httptools.HttpParserError as error:
            _log.info("sandbox_bad_http", reason=str(error))
            self._refuse(Problem(status=400, message="That is not HTTP/1.1."))
            return
        if self._idle_bytes > self._limits.head_bytes:
            self._refuse(Problem(status=431, message=f"Headers over {self._limits.head_bytes} bytes."))
            return
        if self._waiting and not self._busy:
            self._serve()
        if self._waiting and self._crowded():
            self._reading = False
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._paused = True
        self._paused_since = self._loop.time()

    def resume_writing(self) -> None:
        self._paused = False
        if self._busy and self._next is not None and self._timer is None:
            self._advance()

    def sweep(self, now: float) -> None:
        """Enforce the deadlines of this connection."""
        if self._busy:
            if self._paused and now - self._paused_since > self._limits.stalled_s:
                self._transport.abort()
            return
        waited_s = now - self._since
        if self._deaf:
            if waited_s > self._limits.linger_s:
                self._transport.abort()
        elif not self._receiving:
            if waited_s > self._limits.idle_s:
                self._transport.close()
        elif waited_s > (self._limits.body_s if self._head_done else self._limits.head_s):
            self._refuse(Problem(status=408, message="The request took too long to arrive."))

    def close(self) -> None:
        """End the connection now."""
        self._transport.abort()

    # --- the parser's side ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._receiving = True
        self._since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._head_done = True
        self._idle_bytes = 0
        headers = self._headers
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._limits.body_bytes:
            self._refuse_large()
        elif headers.get(b"expect", b"").lower() == b"100-continue" and not self._busy:
            self._transport.write(framing.CONTINUE)

    def on_body(self, body: bytes) -> None:
        if self._deaf:
            return
        self._idle_bytes = 0
        self._body.append(body)
        self._body_size += len(body)
        self._shared.buffered_bytes += len(body)
        if self._body_size > self._limits.body_bytes or self._shared.buffered_bytes > self._limits.buffered_bytes:
            self._refuse_large()

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        path, _, query = self._target.decode("latin-1").partition("?")
        parser = self._parser
        self._waiting.append(
            Request(
                parser.get_method().decode("latin-1"),
                path,
                query,
                self._headers,
                body,
                parser.should_keep_alive(),
                parser.get_http_version() != "1.0",
            )
        )
        self._release_body()
        self._headers = {}
        self._target = b""
        self._head_done = self._receiving = False
        self._idle_bytes = 0

    def _release_body(self) -> None:
        self._shared.buffered_bytes -= self._body_size
        self._body_size = 0
        self._body = []

    # --- requests, one after the other ------------------------------------------------------------------------------

    def _serve(self) -> None:
        self._serving = True
        while self._waiting and not self._busy and not self._deaf:
            self._handle(self._waiting.popleft())
        self._serving = False
        if not self._reading and not self._waiting and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def _crowded(self) -> bool:
        """Whether enough pipelined requests wait here for their turn."""
        size_bytes = sum(len(request.body) for request in self._waiting)
        return len(self._waiting) >= self._limits.pipelined or size_bytes > self._limits.pipelined_bytes

    def _handle(self, request: Request) -> None:
        self._busy = True
        self._keep_alive = request.keep_alive
        self._chunked = request.chunked_allowed
        self._bodiless = request.method == "HEAD"
        shared = self._shared
        entry = Entry(request, 0, "observing") if shared.desk.observes(request.path) else shared.journal.open(request)
        self._entry = entry
        try:
            self._thread = shared.desk.answer(request, entry, self._deliver)
        except Exception:  # noqa: BLE001 - the edge of a request: it is answered, and the server goes on
            _log.exception("sandbox_request_failed", path=request.path)
            self._keep_alive = False
            self._deliver(
                shared.desk.refuse(request.path, Problem(status=500, message="The sandbox failed; its log says why."))
            )

    def _deliver(self, reply: Reply) -> None:
        self._thread = None
        if self._entry is None:
            return
        self._reply = reply
        self._entry.status = 0 if reply.silent else reply.status
        if reply.silent:
            self._hang()
        elif reply.first_byte_s:
            self._timer = self._loop.call_later(reply.first_byte_s, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._timer = None
        reply = self._reply
        if reply.blocks is not None:
            self._begin_stream(reply, reply.blocks)
            return
        if reply.ending is not Ending.ORDERLY:
            self._keep_alive = False
        body = b"" if self._bodiless else reply.body
        self._transport.write(framing.whole(reply, keep_alive=self._keep_alive, body=body))
        self._end()

    def _end(self) -> None:
        """All bytes of the reply are written: end as it wants to be ended."""
        ending = self._reply.ending
        if ending is Ending.HANG:
            self._hang()
            return
        entry, self._entry = self._entry, None
        if entry is not None:
            self._shared.journal.close(entry, "cut" if ending is Ending.CUT else "answered")
        self._busy = False
        self._since = self._loop.time()
        if ending is Ending.CUT or not self._keep_alive:
            self._transport.close()
            self._deaf = True
        elif not self._serving and self._waiting:
            self._serve()

    def _hang(self) -> None:
        self._timer = self._loop.call_later(self._limits.hang_s, self._transport.abort)

    # --- streams ----------------------------------------------------------------------------------------------------

    def _begin_stream(self, reply: Reply, blocks: Iterator[bytes]) -> None:
        self._keep_alive = self._keep_alive and self._chunked
        self._blocks = blocks
        head = framing.stream_head(reply, chunked=self._chunked)
        self._next = b""
        self._due = self._loop.time()
        if reply.delay_s:
            self._transport.write(head)
            self._next = next(blocks, None)
            self._advance()
        else:
            self._write_batch(head)

    def _advance(self) -> None:
        """Write what is due, and set the timer for what comes next."""
        self._timer = None
        if not self._reply.delay_s:
            self._write_batch(b"")
            return
        block = self._next
        if block is not None:
            self._transport.write(self._framed(block))
            self._count(1)
            self._next = block = next(self._blocks, None)
        if block is None:
            self._end_stream(b"")
        elif not self._paused:
            self._due += self._reply.delay_s
            self._timer = self._loop.call_at(self._due, self._advance)

    def _write_batch(self, head: bytes) -> None:
        """Write as much of an unpaced stream as one turn of the loop may take."""
        self._timer = None
        batch = [self._framed(block) for block in islice(self._blocks, _BATCH_BLOCKS)]
        self._count(len(batch))
        if len(batch) < _BATCH_BLOCKS:
            self._next = None
            self._end_stream(head + b"".join(batch))
            return
        self._transport.write(head + b"".join(batch))
        if not self._paused:
            self._timer = self._loop.call_later(0, self._advance)

    def _end_stream(self, rest: bytes) -> None:
        if self._chunked and self._reply.ending is Ending.ORDERLY:
            rest += framing.LAST_CHUNK
        if rest:
            self._transport.write(rest)
        self._end()

    def _framed(self, block: bytes) -> bytes:
        return framing.chunk(block) if self._chunked else block

    def _count(self, blocks: int) -> None:
        if self._entry is not None:
            self._entry.chunks += blocks

    # --- ends -------------------------------------------------------------------------------------------------------

    def _stop_work(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._thread is not None:
            self._thread.cancel()
            self._thread = None

    def _refuse_large(self) -> None:
        self._refuse(Problem(status=413, message=f"The body is over the bound of {self._limits.body_bytes} bytes."))

    def _refuse(self, problem: Problem) -> None:
        """Say why, in the vendor's shape, and read no more of this client."""
        if self._deaf:
            return
        self._deaf = True
        self._release_body()
        if self._busy:
            # An answer is on its way to this client: another one in its middle would be nonsense.
            self._keep_alive = False
            return
        path = self._target.decode("latin-1").partition("?")[0]
        reply = self._shared.desk.refuse(path, problem)
        self._transport.write(framing.whole(reply, keep_alive=False, body=reply.body))
        self._since = self._loop.time()
        if self._transport.can_write_eof():
            self._transport.write_eof()
