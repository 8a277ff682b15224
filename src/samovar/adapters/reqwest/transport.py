"""The :class:`~samovar.ports.transport.Transport` of provider calls that go through a proxy (ADR 0002)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    ClientClosedError,
    DetailedPyreqwestError,
    PoolTimeoutError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.http import Url
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.response import Response

from samovar.ports.transport import (
    AnswerTooLarge,
    ConnectFailed,
    ConnectionBroken,
    ConnectTimeout,
    HttpRequest,
    Timeouts,
    TransportFailure,
    UpstreamTimeout,
)

_READ_AHEAD_BYTES: Final = 256 * 1024
_MAX_URLS: Final = 1_000
_NEVER: Final = float("inf")


class ReqwestTransport:
    """A connection pool to one provider.

    ``connect_s`` bounds the whole of connecting (DNS, TCP, TLS). ``ca_pem`` is trusted besides the system's
    certificates. ``proxy_url`` sends everything through a proxy; without it the environment's proxies are ignored, so that
    a local server is never asked for by way of one.
    """

    def __init__(
        self,
        *,
        connect_s: float = 10.0,
        max_connections: int = 10_000,
        idle_connections: int = 1_024,
        ca_pem: bytes | None = None,
        proxy_url: str | None = None,
    ) -> None:
        builder = (
            ClientBuilder()
            .http1_only()
            .http1_lower_case_headers()
            .user_agent("samovar")
            .connect_timeout(timedelta(seconds=connect_s))
            .follow_redirects(False)
            .referer(False)
            .max_connections(max_connections)
            .pool_timeout(timedelta(seconds=connect_s))
            .pool_max_idle_per_host(idle_connections)
            # Shorter than the 75 s after which common servers and load balancers close an idle connection.
            .pool_idle_timeout(timedelta(seconds=50))
            .tcp_keepalive(timedelta(seconds=60))
            # An answer is read as it is sent: a compressor would hold chunks of a stream back.
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
        )
        builder = builder.no_proxy() if proxy_url is None else builder.proxy(ProxyBuilder.all(proxy_url))
        if ca_pem is not None:
            builder = builder.add_root_certificate_pem(ca_pem)
        self._client: Client = builder.build()
        self._urls: dict[str, Url] = {}

    def send(self, request: HttpRequest, *, timeouts: Timeouts) -> "ReqwestExchange":
        """See :meth:`samovar.ports.transport.Transport.send`."""
        return ReqwestExchange(self._client, self._url(request.url), request, timeouts)

    def _url(self, text: str) -> Url:
        """Parsed once for each endpoint of the provider. Raises :class:`ConnectFailed`."""
        url = self._urls.get(text)
        if url is None:
            try:
                url = Url(text)
            except ValueError as error:
                raise ConnectFailed("the provider's base_url is not a URL") from error
            if len(self._urls) < _MAX_URLS:
                self._urls[text] = url
        return url

    async def close(self) -> None:
        """Begin no new exchange; those under way end by themselves."""
        await self._client.close()


class ReqwestExchange:
    """One request and its answer: the ``async with`` block and, inside it, the answer."""

    __slots__ = ("_end", "_loop", "_request", "_response", "_timeouts", "status")

    def __init__(self, client: Client, url: Url, request: HttpRequest, timeouts: Timeouts) -> None:
        try:
            builder = client.request(request.method, url).headers(request.headers)
            if request.body:
                builder = builder.body_bytes(request.body)
            if timeouts.total_s is not None:
                # Cancelled before the headers are in, pyreqwest leaves the request running: so it ends, late but surely.
                builder = builder.timeout(timedelta(seconds=timeouts.total_s + 1))
            # Entering the exchange waits until this much has come or all of it: for a stream, not a byte.
            ahead = 0 if request.streamed else _READ_AHEAD_BYTES
            self._request = builder.streamed_read_buffer_limit(ahead).build_streamed()
        except (BuilderError, ValueError):
            # Its words hold the header's value, which may be a key: they stay out of ours, and out of the log too.
            raise ConnectFailed("the request to the provider holds a header or a URL that none may") from None
        self._timeouts = timeouts
        self.status = 0

    async def __aenter__(self) -> "ReqwestExchange":
        timeouts = self._timeouts
        self._loop = asyncio.get_running_loop()
        self._end = _NEVER if timeouts.total_s is None else self._loop.time() + timeouts.total_s
        try:
            # pyreqwest bounds connecting by itself, and does not tell when that is over.
            async with self._bound(timeouts.connect_s + timeouts.first_byte_s) as bound:
                self._response: Response = await self._request.__aenter__()
        except PyreqwestError as error:  # its timeouts are TimeoutErrors too
            raise _failure(error) from error
        except TimeoutError as error:
            raise self._too_late(bound, "first byte") from error
        self.status = self._response.status
        if self.status < 200:
            await self.__aexit__()
            raise ConnectionBroken("what the provider sent is not HTTP")  # a protocol that nobody asked for
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._request.__aexit__(None, None, None)

    def header(self, name: str) -> str | None:
        """See :class:`samovar.ports.transport.HttpAnswer`."""
        return self._response.get_header(name)

    async def read(self, *, max_bytes: int) -> bytes:
        """See :class:`samovar.ports.transport.HttpAnswer`."""
        blocks: list[bytes] = []
        size = 0
        async for block in self.blocks():
            size += len(block)
            if size > max_bytes:
                raise AnswerTooLarge(f"the provider's answer is larger than {max_bytes} bytes")
            blocks.append(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    async def blocks(self) -> AsyncIterator[bytes]:
        """See :class:`samovar.ports.transport.HttpAnswer`."""
        read_chunk = self._response.body_reader.read_chunk
        while True:
            try:
                async with self._bound(self._timeouts.idle_s) as bound:
                    chunk = await read_chunk()
            except PyreqwestError as error:
                raise _failure(error, in_body=True) from error
            except TimeoutError as error:
                raise self._too_late(bound, "idle") from error
            if chunk is None:
                return
            yield bytes(chunk)

    def _bound(self, seconds: float) -> asyncio.Timeout:
        return asyncio.timeout_at(min(self._loop.time() + seconds, self._end))

    def _too_late(self, bound: asyncio.Timeout, phase: str) -> UpstreamTimeout:
        return UpstreamTimeout(f"the provider took too long ({'total' if bound.when() == self._end else phase})")


def _failure(error: PyreqwestError, *, in_body: bool = False) -> TransportFailure:
    """Our name for what pyreqwest raised. Its texts may hold the URL, which is the admin's to know, so they go to the
    log by way of ``__cause__`` and never into ``detail``."""
    if not in_body:
        if isinstance(error, PoolTimeoutError) or (isinstance(error, RequestTimeoutError) and _while_connecting(error)):
            return ConnectTimeout("the provider took too long (connect)")
        if isinstance(error, BuilderError | ClientClosedError) or _while_connecting(error):
            return ConnectFailed("no connection to the provider")
    if isinstance(error, RequestTimeoutError):
        return UpstreamTimeout("the provider stopped answering")
    return ConnectionBroken("the connection to the provider broke before its answer was whole")


def _while_connecting(error: PyreqwestError) -> bool:
    # ConnectError and ConnectTimeoutError are raised for what breaks after the request was sent too. Only reqwest's own
    # connector among the causes proves that nothing was sent.
    causes = (error.details.get("causes") if isinstance(error, DetailedPyreqwestError) else None) or []
    return any("tcp connect" in cause["message"] or "client error (Connect)" in cause["message"] for cause in causes)
