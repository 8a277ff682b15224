"""GET of a stranger's URL with a client of its own, pinned to an address that was checked."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, PyreqwestError, RequestTimeoutError
from pyreqwest.http import Url
from pyreqwest.response import Response

from samovar.adapters.webfetch.addresses import Address, Network, Resolver, is_public, resolve
from samovar.ports.fetch import Fetch, Fetched, FetchesBusy, UrlRefused, UrlTooLarge, UrlUnreachable

_MAX_URL_CHARS: Final = 8_192
_MAX_REDIRECTS: Final = 3
_MAX_ADDRESSES: Final = 4
_CONNECT_S: Final = 5.0
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = (("accept", "*/*"), ("accept-encoding", "identity"))


class GuardedFetch(Fetch):
    """Fetches from public addresses; from ``allowed_networks`` too, which are the operator's own.

    ``ports`` are those that may be asked, ``max_at_once`` bounds the fetches under way, ``ca_pem`` is trusted besides the
    system's certificates. Proxies of the environment are not used: behind one, somebody else would choose the address.
    """

    def __init__(
        self,
        *,
        allowed_networks: Sequence[Network] = (),
        ports: Collection[int] = (80, 443),
        max_at_once: int = 32,
        resolver: Resolver = resolve,
        ca_pem: bytes | None = None,
    ) -> None:
        self._allowed = tuple(allowed_networks)
        self._ports = frozenset(ports)
        self._max_at_once = max_at_once
        self._under_way = 0
        self._resolve = resolver
        self._ca_pem = ca_pem

    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float) -> Fetched:
        """See :meth:`samovar.ports.fetch.Fetch.fetch`."""
        if self._under_way >= self._max_at_once:
            raise FetchesBusy("Too many URLs are being fetched. Try again in a moment.", headers={"retry-after": "1"})
        self._under_way += 1
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(self._parsed(url), max_bytes, timeout_s)
        except (TimeoutError, RequestTimeoutError):
            raise UrlUnreachable(f"The URL was not fetched within {timeout_s:g} s.") from None
        finally:
            self._under_way -= 1

    async def _follow(self, url: Url, max_bytes: int, timeout_s: float) -> Fetched:
        for _ in range(1 + _MAX_REDIRECTS):
            found = await self._get(url, await self._addresses(url), max_bytes, timeout_s)
            if isinstance(found, Fetched):
                return found
            if found.scheme == "http" and url.scheme == "https":
                raise UrlRefused("The URL leads from https to http, where anybody may answer.")
            url = found
        raise UrlUnreachable(f"The URL leads on more than {_MAX_REDIRECTS} times.")

    def _parsed(self, text: str, *, seen_from: Url | None = None) -> Url:
        """A URL that may be looked up. The parser is that of the client which connects, so nobody can slip between the two;
        it writes every notation of an IPv4 address (decimal, octal, hex, short) as four numbers."""
        if len(text) > _MAX_URL_CHARS:
            raise UrlRefused(f"The URL is longer than {_MAX_URL_CHARS} characters.")
        try:
            url = Url(text) if seen_from is None else seen_from.join(text)
        except ValueError:
            raise UrlRefused("That is no URL.") from None
        host, port = url.host_str, url.port_or_known_default
        if url.scheme not in ("http", "https") or not host or port is None:
            raise UrlRefused("Only http and https URLs are fetched.")
        if url.username or url.password is not None:
            raise UrlRefused("A URL with a name or password in it is not fetched.")
        if host.endswith("."):
            raise UrlRefused("The URL's host ends with a dot.")
        if port not in self._ports:
            raise UrlRefused(f"Port {port} is not fetched from; {', '.join(map(str, sorted(self._ports)))} may be.")
        return url

    async def _addresses(self, url: Url) -> Sequence[Address]:
        """Where a connection may go. One address that is not public condemns its name: who mixes them means no good."""
        host, port = url.host_str, url.port_or_known_default
        assert host is not None
        assert port is not None
        try:
            addresses = [ip_address(host.strip("[]"))]
        except ValueError:
            try:
                addresses = list(await self._resolve(host, port))
            except (OSError, UnicodeError):
                addresses = []
        if not addresses:
            raise UrlUnreachable("The URL's host is not known.")
        if not all(self._may_ask(address) for address in addresses):
            raise UrlRefused("The URL's host is not in the public internet.")
        return addresses[:_MAX_ADDRESSES]

    def _may_ask(self, address: Address) -> bool:
        return is_public(address) or any(
            address in network for network in self._allowed if network.version == address.version
        )

    async def _get(self, url: Url, addresses: Sequence[Address], max_bytes: int, timeout_s: float) -> Fetched | Url:
        """What is there, or where it says to look."""
        for address in addresses:
            # To build one reads the system's certificates: too long for the event loop.
            client = await asyncio.to_thread(self._client, url, address)
            try:
                # Without a limit of 0, entering would wait for the body's first bytes.
                asked = client.get(url).headers(_HEADERS).timeout(timedelta(seconds=timeout_s))
                async with asked.streamed_read_buffer_limit(0).build_streamed() as response:
                    return await self._read(url, response, max_bytes)
            except (ConnectError, ConnectTimeoutError):
                continue
            except PyreqwestError as error:
                if isinstance(error, TimeoutError):
                    raise
                raise UrlUnreachable("The URL's server broke off, or does not speak HTTP.") from error
            finally:
                await client.close()
        raise UrlUnreachable("The URL's server cannot be reached, or cannot prove who it is.")

    def _client(self, url: Url, address: Address) -> Client:
        host, port = url.host_str, url.port_or_known_default
        assert host is not None
        assert port is not None
        builder = (
            ClientBuilder()
            .http1_only()
            .user_agent("samovar")
            .resolve(host, str(address), port)
            .connect_timeout(timedelta(seconds=_CONNECT_S))
            .follow_redirects(False)
            .referer(False)
            .no_proxy()
            # Bytes are counted as they come: nothing that unpacks stands between.
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
        )
        if self._ca_pem is not None:
            builder = builder.add_root_certificate_pem(self._ca_pem)
        return builder.build()

    async def _read(self, url: Url, response: Response, max_bytes: int) -> Fetched | Url:
        location = _header(response, "location")
        if response.status in _MOVED and location is not None:
            return self._parsed(location, seen_from=url)
        if response.status != 200:
            raise UrlUnreachable(f"The URL's server answered with status {response.status}.")
        if (_header(response, "content-encoding") or "identity").lower() != "identity":
            raise UrlUnreachable("The URL's server sent something compressed, although asked not to.")
        length = _header(response, "content-length")
        if length is not None and length.isdecimal() and int(length) > max_bytes:
            raise _too_large(max_bytes)
        blocks: list[bytes] = []
        left = max_bytes
        while (block := await response.body_reader.read_chunk()) is not None:
            left -= len(block)
            if left < 0:
                raise _too_large(max_bytes)
            blocks.append(bytes(block))
        return Fetched(b"".join(blocks), _declared_type(response))


def _header(response: Response, name: str) -> str | None:
    """Raises :class:`UrlUnreachable` for one that is not ASCII."""
    try:
        return response.get_header(name)
    except ValueError:
        raise UrlUnreachable(f"The URL's server sent a {name} that cannot be read.") from None


def _declared_type(response: Response) -> str:
    try:
        return response.get_header("content-type") or ""
    except ValueError:  # some put a file's name into it, in any alphabet
        return ""


def _too_large(max_bytes: int) -> UrlTooLarge:
    return UrlTooLarge(f"What the URL names has more than {max_bytes:,} bytes.")
