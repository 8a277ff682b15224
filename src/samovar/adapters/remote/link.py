"""The way to an element of another process: one client, tokens, deadlines, a breaker."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from samovar.adapters.remote.feed import Feed
from samovar.kernel.breaker import Breaker
from samovar.kernel.errors import SamovarError
from samovar.kernel.tracing import TRACE
from samovar.ports.clock import Clock
from samovar.ports.element_calls import FRAMES_TYPE, PREFIX, error_of
from samovar.ports.element_frames import BadFrame, Kind, Piece, frame, pieces
from samovar.ports.elements import ElementUnavailable

Token = Callable[[], Awaitable[str]]
"""A token for the role ``storage``, fresh enough for one request. Raises ``Unavailable``."""

_PROBLEM_BYTES: Final = 256 * 1024
_READ_OUT_S: Final = 1.0
_ALIVE_STATUSES: Final = range(400, 500)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. ``idle_s`` is how long nothing may come, or be taken: an element that is at work says so more often.
    ``farewell_s`` is how long who broke off waits for the element to have dropped what there was. ``rest_s``, doubling, lies
    between the ``attempts`` of what may be done twice."""

    connect_s: float = 10.0
    idle_s: float = 30.0
    farewell_s: float = 5.0
    attempts: int = 3
    rest_s: float = 0.5
    failures: int = 5
    breaker_s: float = 60.0


class WayBroken(ElementUnavailable):
    """The element was not reached, or not heard to the end: it says nothing of what was done."""


class Link:
    """To one element."""

    def __init__(
        self, url: str, *, element_id: str, token: Token, clock: Clock, bounds: Bounds, ca_pem: bytes | None
    ) -> None:
        self.element_id = element_id
        self.bounds = bounds
        self._base = f"{url.rstrip('/')}{PREFIX}/{element_id}"
        self._token = token
        self._clock = clock
        self._breaker = Breaker(failures=bounds.failures, rest_s=bounds.breaker_s)
        builder = (
            ClientBuilder()
            .http1_only()
            .no_proxy()
            .user_agent("samovar")
            .connect_timeout(timedelta(seconds=bounds.connect_s))
            .follow_redirects(False)
            .referer(False)
            # Shorter than the 75 s after which our server closes an idle connection.
            .pool_idle_timeout(timedelta(seconds=50))
            .tcp_keepalive(timedelta(seconds=60))
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
        )
        if ca_pem is not None:
            builder = builder.add_root_certificate_pem(ca_pem)
        self._client: Client = builder.build()

    async def close(self) -> None:
        """Begin nothing more."""
        await self._client.close()

    @asynccontextmanager
    async def asking(self, operation: str, arguments: bytes, feed: Feed | None = None) -> AsyncIterator["Answer"]:
        """An answer whose head is here. Raises what the element raises, :class:`WayBroken`; leaving the block early ends it for
        the element too."""
        if not self._breaker.admits(self._clock.monotonic()):
            rests_s = max(1, round(self._breaker.rests_for_s(self._clock.monotonic())))
            raise ElementUnavailable(
                f"The storage element {self.element_id} failed {self.bounds.failures} times in a row: it is asked again in"
                f" {rests_s} s.",
                headers={"Retry-After": str(rests_s)},
            )
        judged = False
        try:
            async with self._sent(operation, arguments, feed) as answer:
                yield answer
            judged = True
            self._breaker.succeeded()
        except WayBroken:
            judged = True
            self._breaker.failed(self._clock.monotonic())
            raise
        except SamovarError:
            # It answered.
            judged = True
            self._breaker.succeeded()
            raise
        finally:
            if not judged:
                self._breaker.abandoned()

    @asynccontextmanager
    async def _sent(self, operation: str, arguments: bytes, feed: Feed | None) -> AsyncIterator["Answer"]:
        request = await self._request(operation, arguments, feed)
        try:
            response = await self._head(request, feed)
        except PyreqwestError as error:
            raise self._broken("is not reached") from error
        try:
            answer = Answer(response, self, feed)
            if response.status != 200:
                raise await self._refused(response.status, answer)
            yield answer
        finally:
            await request.__aexit__(None, None, None)

    async def _request(self, operation: str, arguments: bytes, feed: Feed | None) -> StreamRequest:
        headers = [("authorization", f"Bearer {await self._token()}"), ("content-type", FRAMES_TYPE)]
        trace = TRACE.get()
        if trace is not None:
            headers += [("traceparent", trace.traceparent), ("x-request-id", trace.request_id)]
        builder = self._client.post(f"{self._base}/{operation}").headers(headers).streamed_read_buffer_limit(0)
        if feed is not None:
            return builder.body_stream(feed).build_streamed()
        return builder.body_bytes(frame(Kind.DATA, arguments) + frame(Kind.END)).build_streamed()

    async def _head(self, request: StreamRequest, feed: Feed | None) -> Response:
        """A content may take as long as its sender does: then the answer is due when all of it was put."""
        bounds, now = self.bounds, asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(None if feed else bounds.connect_s + bounds.idle_s) as bound:
                if feed is not None:
                    feed.when_last(lambda: bound.reschedule(now() + bounds.idle_s))
                try:
                    return await request.__aenter__()
                finally:
                    if feed is not None:
                        feed.when_last(None)
        except TimeoutError as error:
            if isinstance(error, PyreqwestError):
                raise
            raise self._broken("does not answer in time") from error

    async def _refused(self, status: int, answer: "Answer") -> SamovarError:
        document = b""
        async for chunk in answer.chunks():
            document += chunk
            if len(document) > _PROBLEM_BYTES:
                break
        error = error_of(document, element_id=self.element_id)
        if status not in _ALIVE_STATUSES and type(error) is ElementUnavailable and not document.startswith(b"{"):
            return self._broken(f"is not reached: what is before it answers with status {status}")
        return error

    def _broken(self, how: str) -> WayBroken:
        return WayBroken(f"The storage element {self.element_id} {how}.", headers={"Retry-After": "5"})


class Answer:
    """What comes back, as frames."""

    def __init__(self, response: Response, link: Link, feed: Feed | None) -> None:
        self._response = response
        self._link = link
        self._feed = feed

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """As they come. Raises :class:`WayBroken`."""
        read_chunk, idle_s = self._response.body_reader.read_chunk, self._link.bounds.idle_s
        while True:
            try:
                async with asyncio.timeout(idle_s):
                    chunk = await read_chunk()
            except (PyreqwestError, TimeoutError) as error:
                raise WayBroken(f"The storage element {self._link.element_id} broke off its answer.") from error
            if chunk is None:
                return
            yield bytes(chunk)

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Frames of data in parts. Raises :class:`WayBroken`, and what the element raises in the middle of its answer."""
        try:
            async with aclosing(pieces(self.chunks())) as parts:
                async for piece in parts:
                    if piece.kind is Kind.BROKEN:
                        raise error_of(piece.data, element_id=self._link.element_id)
                    if piece.kind is Kind.END:
                        break
                    yield piece
        except BadFrame as error:
            raise WayBroken(f"The storage element {self._link.element_id} broke off its answer.") from error
        await self._read_out()

    async def _read_out(self) -> None:
        """Up to the end of HTTP's own frames, so that the connection serves again."""
        if self._feed is not None:
            self._feed.answered()
        with suppress(PyreqwestError, TimeoutError):
            async with asyncio.timeout(_READ_OUT_S):
                await self._response.body_reader.read_chunk()
