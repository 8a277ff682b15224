"""One connection to a provider, and the answer that is coming in on it."""

import asyncio
from collections.abc import Callable
from typing import Final

import httptools

from samovar.adapters.http1.watch import Watch
from samovar.kernel.writes import writes_of
from samovar.ports.transport import ConnectionBroken, TransportFailure

READ_AHEAD_BYTES: Final = 256 * 1024
"""What may wait for a slow caller before we stop reading."""
_MAX_HEADERS: Final = 200
_MAX_BARREN_BYTES: Final = 128 * 1024
"""Headers, trailers and chunk extensions that may come without a byte of body between them: the parser keeps an unfinished
line for as long as it grows."""
_NOT_HTTP: Final = "what the provider sent is not HTTP"


class _Stop(Exception):
    """Raised in a callback to stop the parser; httptools turns it into its own error."""


class Connection(asyncio.Protocol):
    """Parser callbacks fill in the current answer; whoever waits is woken once for each batch of bytes.

    ``on_lost`` hears when the connection has closed, whoever closed it. ``round_trip_s`` is how long it took to make, which
    is at least one round trip. Once it ``has_headers``, ``first_values`` has each header of the answer by its name.
    """

    __slots__ = (
        "_barren_bytes",
        "_blocks",
        "_is_paused",
        "_keeps",
        "_loop",
        "_on_lost",
        "_parser",
        "_pending_bytes",
        "_transport",
        "_waiter",
        "_writes",
        "complete",
        "failure",
        "first_values",
        "has_headers",
        "headers",
        "is_closed",
        "round_trip_s",
        "saw_bytes",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: "Callable[[Connection], None]") -> None:
        self._loop = loop
        self._on_lost = on_lost
        self._writes = writes_of(loop)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.is_closed = False
        self.round_trip_s = 0.0
        self.complete = False
        # A connection that is paused does not serve again, and the others are told with the headers of each answer.
        self._is_paused = self._keeps = False
        self.status = 0
        self.first_values: dict[bytes, bytes] = {}
        self._reset()

    def _reset(self) -> None:
        # What an answer left in the parser must not reach the next: only one that was whole, without chunks (their trailers),
        # leaves nothing.
        if not self.complete or b"transfer-encoding" in self.first_values:
            self._parser = httptools.HttpResponseParser(self)
        self._blocks: list[bytes] = []
        self._pending_bytes = self._barren_bytes = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_headers = False
        self.complete = False
        self.saw_bytes = False
        self.failure: TransportFailure | None = None

    # --- for the exchange

    def send(self, request: bytes) -> None:
        """Begin an exchange."""
        assert self._transport is not None
        self._reset()
        if self.is_closed:
            self._fail("the connection to the provider closed before the request was sent")
            return
        self._writes.add(self._transport, request)

    def change(self, watch: Watch) -> asyncio.Future[None]:
        """To be awaited until something has changed: headers, bytes, the end, a failure. Raises ``UpstreamTimeout`` when
        ``watch`` says so."""
        waiter = self._waiter = watch.waiter = self._loop.create_future()
        return waiter

    def take(self) -> bytes:
        """What has come of the body since the last time, perhaps nothing."""
        blocks = self._blocks
        if not blocks:
            return b""
        self._blocks = []
        self._pending_bytes = 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    @property
    def may_serve_again(self) -> bool:
        """Whether the answer came whole, the provider keeps the connection, and nothing of ours is still on its way out: a
        provider that answers before it has read all (413) may never read the rest."""
        return (
            self.complete
            and self._keeps
            and not self.is_closed
            and not self._is_paused
            and self._transport is not None
            and self._transport.get_write_buffer_size() == 0
        )

    def abort(self) -> None:
        """Close at once, whatever is under way. TLS gets no farewell: nobody waits for one."""
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()

    # --- for the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.complete:
            # Bytes that nobody asked for: whatever they are, they must not be taken for the next answer.
            self.abort()
            return
        self.saw_bytes = True
        before = self._pending_bytes
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._stop()
        if self._pending_bytes != before:
            self._barren_bytes = 0
            if self._pending_bytes > READ_AHEAD_BYTES and not self.complete:
                self._pause()
        else:
            self._barren_bytes += len(data)
            if self._barren_bytes > _MAX_BARREN_BYTES and not self.complete:
                self._fail("the provider sent too many bytes of headers")
        # _wake, written out: this runs for every chunk.
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            self._writes.expected += 1
            waiter.set_result(None)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if not self.complete:
            if self.has_headers and not self._is_framed() and exc is None and self.failure is None:
                # Neither length nor chunks: the answer ends with the connection (RFC 9112, 6.3).
                self.complete = True
            else:
                self._fail("the connection to the provider broke before its answer was whole")
        self._wake()
        self._on_lost(self)

    # --- for the parser

    def on_message_begin(self) -> None:
        if self.complete:
            raise _Stop

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_headers:
            return  # a trailer: it comes too late to mean anything to us, and must not pass for a header
        if len(self.headers) >= _MAX_HEADERS:
            self._fail("the provider sent too many headers")
            raise _Stop
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise _Stop  # no status at all, or a protocol that nobody asked for
            return
        self.status = status
        self.has_headers = True
        self.first_values = dict(reversed(self.headers))
        # Asked now: once the message is complete the parser has forgotten.
        self._keeps = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._blocks.append(body)
        self._pending_bytes += len(body)

    def on_message_complete(self) -> None:
        # A 204 or 304 is complete here at once, whatever length it names (RFC 9112, 6.3): the parser knows.
        if self.has_headers:
            self.complete = True
        else:
            self.headers = []  # of a 1xx: the answer is yet to come

    def _is_framed(self) -> bool:
        """Whether the answer said where it ends."""
        framed = False
        for name, value in self.headers:
            if name == b"content-length":
                framed = True
            elif name == b"transfer-encoding":
                framed = value.lower().rpartition(b",")[2].strip() == b"chunked"
        return framed

    def _stop(self) -> None:
        if self.complete:
            # Something follows the answer: it is whole, but the connection is good for nothing more.
            self.abort()
        else:
            self._fail(_NOT_HTTP)

    def _pause(self) -> None:
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _fail(self, why: str) -> None:
        if self.failure is None:
            self.failure = ConnectionBroken(why)
        self.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
