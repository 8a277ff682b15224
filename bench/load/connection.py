"""One client connection: sends a request, reads its answer, tells its driver."""

import asyncio
from time import perf_counter
from typing import Protocol, cast

import httptools

from bench.load.record import Record
from bench.load.request import Request

OVERHEAD = b"x-samovar-overhead-ms: "
NO_MS = -1.0


class Driver(Protocol):
    """Who decides what a connection does next."""

    record: Record

    def ready(self, connection: "Connection") -> None:
        """The connection has nothing under way: it is new, or its answer is complete."""


class Connection(asyncio.Protocol):
    """Keep-alive HTTP/1.1, one exchange at a time. `due` is when the request should have left, by `perf_counter`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._record = driver.record
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._request: Request | None = None
        self._parts: list[bytes] = []
        self._due = 0.0
        self._now = 0.0
        self._first_byte = 0.0
        self._overhead_ms = NO_MS
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def busy(self) -> bool:
        """An answer is awaited."""
        return self._request is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by shape, not by class
        self._driver.ready(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._request is not None:
            self._record.fail("connection lost before the answer ended", b"".join(self._parts))
            self._request = None
        if not self.closed.done():
            self.closed.set_result(None)

    def send(self, request: Request, due: float) -> None:
        """Send now what was due at `due`."""
        assert self._transport is not None
        self._request = request
        self._due = due
        self._first_byte = 0.0
        self._transport.write(request.raw)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._now = perf_counter()
        if self._first_byte == 0.0:
            self._first_byte = self._now
            self._overhead_ms = _overhead_ms(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._record.fail("malformed HTTP", data)
            self._request = None
            self.close()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        request = self._request
        parts = self._parts
        if request is None:
            self._record.fail("answer without a request", b"".join(parts))
            self.close()
            return
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._request = None
        record = self._record
        fault = request.marks.fault(self._parser.get_status_code(), body)
        if fault is not None:
            record.fail(fault, body)
        elif record.open:
            record.completed += 1
            record.latency_s.append(self._now - self._due)
            record.first_byte_s.append(self._first_byte - self._due)
            if self._overhead_ms != NO_MS:
                record.overhead_ms.append(self._overhead_ms)
        if self._parser.should_keep_alive():
            self._driver.ready(self)
        else:
            self.close()


class PacedConnection(Connection):
    """A connection that also notes how late each chunk of a paced stream comes.

    The sandbox sends chunk i of a stream `i * pace_s` after its first. Lateness is measured against that timetable, laid at
    the moment the request was sent: a chunk that waits anywhere on the way shows it.
    """

    def __init__(self, driver: Driver, *, pace_s: float) -> None:
        super().__init__(driver)
        self._pace_s = pace_s
        self._seen = 0

    def send(self, request: Request, due: float) -> None:
        self._seen = 0
        super().send(request, due)

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        chunks = body.count(b"data: ")
        record = self._record
        if record.open:
            record.chunks += chunks
            elapsed = self._now - self._due
            for index in range(self._seen, self._seen + chunks):
                record.chunk_late_s.append(elapsed - index * self._pace_s)
        self._seen += chunks


def _overhead_ms(head: bytes) -> float:
    start = head.find(OVERHEAD)
    if start < 0:
        return NO_MS
    start += len(OVERHEAD)
    try:
        return float(head[start : head.find(b"\r", start)])
    except ValueError:
        return NO_MS
