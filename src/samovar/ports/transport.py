"""HTTP calls to providers. One pooled client for each provider, made once and kept for the process's life."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from samovar.kernel.errors import SamovarError


class HttpRequest(msgspec.Struct, frozen=True):
    """A request whose body is at hand. Header names are lower case. ``streamed``: the answer is wanted as it comes; a whole
    one may be gathered before it is handed over."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""
    streamed: bool = False


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on each wait, in seconds. ``total_s`` is ``None`` for streams: they live as long as chunks come."""

    connect_s: float = 10.0
    first_byte_s: float = 120.0
    idle_s: float = 300.0
    total_s: float | None = None


class TransportFailure(SamovarError):
    """The exchange did not end well. ``sent`` is whether the provider may have seen the request: only when it is
    certain that it has not, is it ``False``."""

    code = "upstream_unreachable"
    status = 502
    title = "The provider could not be reached"
    sent: bool = True


class ConnectFailed(TransportFailure):
    """No connection, so nothing was sent."""

    sent = False


class NotCalled(ConnectFailed):
    """We ourselves did not call: no free connection, a bad address, a header that may not be sent. It says nothing about
    the provider."""

    code = "upstream_not_called"


class UpstreamTimeout(TransportFailure):
    """A wait passed its bound; ``detail`` names the phase (connect, first byte, idle, total)."""

    code = "upstream_timeout"
    status = 504
    title = "The provider did not answer in time"


class ConnectTimeout(UpstreamTimeout):
    """No connection in time, so nothing was sent."""

    sent = False


class ConnectionBroken(TransportFailure):
    """The connection ended, or what came was not HTTP, before the answer was whole."""

    code = "upstream_broken"


class AnswerTooLarge(TransportFailure):
    """The body passed the bound we set on it."""

    code = "upstream_too_large"


class HttpAnswer(Protocol):
    """An answer whose headers are here. Leaving its ``async with`` block ends the exchange and cancels what is left."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        ...

    async def read(self, *, max_bytes: int) -> bytes:
        """The whole body. Raises :class:`TransportFailure`."""
        ...

    def blocks(self) -> AsyncIterator[bytes]:
        """The body as it comes, cut anywhere. Raises :class:`TransportFailure`."""
        ...


class Exchange(Protocol):
    """``async with transport.send(...) as answer``."""

    async def __aenter__(self) -> HttpAnswer: ...
    async def __aexit__(self, *exception: object) -> None: ...


class Transport(Protocol):
    """Sends a request and gives the answer as soon as its headers are in. Cancelling the waiting task closes the
    connection, so the provider stops working for nobody."""

    def send(self, request: HttpRequest, *, timeouts: Timeouts) -> Exchange:
        """Start an exchange. Redirects are not followed: a provider's API has no business sending our key elsewhere."""
        ...

    async def close(self) -> None:
        """Close idle connections."""
        ...
