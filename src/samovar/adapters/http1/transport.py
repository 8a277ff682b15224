"""The :class:`~samovar.ports.transport.Transport` of provider calls."""

import asyncio
from typing import Final

import msgspec

from samovar.adapters.http1.dial import Dialer, Resolve, Trust, resolve
from samovar.adapters.http1.exchange import Http1Exchange
from samovar.adapters.http1.pool import Pool
from samovar.adapters.http1.request import PORTS, bytes_of, head_of, parts_of
from samovar.adapters.http1.watch import Watchman
from samovar.ports.transport import HttpRequest, NotCalled, Timeouts

IDLE_S: Final = 50.0
"""Shorter than the 60 to 75 s after which servers and load balancers close an idle connection."""
_MAX_PLACES: Final = 1_000


class _Place(msgspec.Struct, frozen=True):
    """Where a URL leads: its pool, and the beginning of every request to it. ``loop`` is kept because asking for the one that
    runs costs a system call (it might be that of another process, before Python 3.12)."""

    pool: Pool
    head: bytes
    loop: asyncio.AbstractEventLoop


class Http1Transport:
    """Connections to providers, a pool for each origin; for one event loop. Answers are asked for uncompressed: a compressor
    would hold a stream's chunks back.

    ``max_connections`` and ``max_idle`` are for each origin. ``ca_pem`` is trusted besides the system's certificates; what is
    no certificate raises ``ValueError``. ``resolve`` turns a name into addresses.
    """

    def __init__(
        self,
        *,
        max_connections: int = 10_000,
        max_idle: int = 1_024,
        idle_s: float = IDLE_S,
        ca_pem: bytes | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        self._max_connections = max_connections
        self._max_idle = max_idle
        self._idle_s = idle_s
        self._resolve = resolve
        self._trust = Trust(ca_pem)
        self._watchman = Watchman()
        self._pools: dict[tuple[str, str, int], Pool] = {}
        self._places: dict[tuple[str, str], _Place] = {}
        self._is_closed = False

    @property
    def open_connections(self) -> int:
        """In use, idle or being made."""
        return sum(pool.open for pool in self._pools.values())

    @property
    def exchanges(self) -> int:
        """Under way."""
        return len(self._watchman)

    def send(self, request: HttpRequest, *, timeouts: Timeouts) -> Http1Exchange:
        """See :meth:`samovar.ports.transport.Transport.send`. Raises :class:`ConnectFailed` for a request that is none."""
        place = self._places.get((request.method, request.url)) or self._find(request.method, request.url)
        return Http1Exchange(place.pool, bytes_of(place.head, request), timeouts, self._watchman, place.loop)

    async def close(self) -> None:
        """Close idle connections and begin no new exchange; those under way end by themselves."""
        self._is_closed = True
        for pool in self._pools.values():
            pool.close()

    def _find(self, method: str, url: str) -> _Place:
        parts = parts_of(url)
        head = head_of(method, parts)
        if self._is_closed:
            raise NotCalled("the transport is closed")
        assert parts.hostname is not None
        key = (parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme])
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = self._make_pool(*key)
        if len(self._places) >= _MAX_PLACES:
            # Endpoints come and go as providers are changed: what is remembered of them is bounded.
            self._places.clear()
            self._pools = {origin: kept for origin, kept in self._pools.items() if kept.open or kept is pool}
        place = self._places[method, url] = _Place(pool, head, asyncio.get_running_loop())
        return place

    def _make_pool(self, scheme: str, host: str, port: int) -> Pool:
        dialer = Dialer(host, port, trust=self._trust if scheme == "https" else None, resolve=self._resolve)
        return Pool(dialer, max_connections=self._max_connections, max_idle=self._max_idle, idle_s=self._idle_s)
