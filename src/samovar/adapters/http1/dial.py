"""From a name to a connection: addresses, TCP, TLS."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

from samovar.adapters.http1.connection import Connection
from samovar.ports.transport import ConnectFailed

STAGGER_S: Final = 0.25
"""How long an address may be silent before the next is tried beside it (RFC 8305, 5: 250 ms)."""

Address: TypeAlias = tuple[int, int, int, str, Any]
"""What ``getaddrinfo`` gives: family, type, protocol, canonical name, socket address."""
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[Address]]]


async def resolve(host: str, port: int) -> Sequence[Address]:
    """The system's answer. Raises ``OSError`` for a name without an address, ``UnicodeError`` for what can be no name."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Trust:
    """Whom we believe: the system's certificates and ``ca_pem``. Raises ``ValueError`` when that is no certificate."""

    def __init__(self, ca_pem: bytes | None) -> None:
        self._ca = None if ca_pem is None else ca_pem.decode("ascii")
        self._context: ssl.SSLContext | None = None
        if self._ca is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=self._ca)
            except ssl.SSLError as error:
                raise ValueError("the additional CA certificates are not PEM") from error

    async def context(self) -> ssl.SSLContext:
        """Made once, beside the event loop: the system's certificates take tens of milliseconds to read."""
        if self._context is None:
            self._context = await asyncio.to_thread(self._make)
        return self._context

    def _make(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        if self._ca is not None:
            context.load_verify_locations(cadata=self._ca)
        return context


class Dialer:
    """Makes connections to one origin; ``trust`` is ``None`` for plain HTTP."""

    def __init__(self, host: str, port: int, *, trust: Trust | None, resolve: Resolve) -> None:
        self._host = host
        self._port = port
        self._trust = trust
        self._resolve = resolve
        self._is_literal = _is_address(host)

    async def dial(self, loop: asyncio.AbstractEventLoop, make: Callable[[], Connection]) -> Connection:
        """A new connection. Raises :class:`ConnectFailed`."""
        try:
            return await self._dial(loop, make)
        except ssl.SSLError as error:
            raise ConnectFailed(f"no secure connection to the provider: {error.reason or 'TLS failed'}") from error
        except (OSError, UnicodeError) as error:
            raise ConnectFailed("no connection to the provider") from error

    async def _dial(self, loop: asyncio.AbstractEventLoop, make: Callable[[], Connection]) -> Connection:
        context = None if self._trust is None else await self._trust.context()
        name = None if context is None else self._host
        if self._is_literal:
            _, connection = await loop.create_connection(
                make, self._host, self._port, ssl=context, server_hostname=name
            )
            return connection
        sock = await _first_to_answer(loop, _in_turns(await self._resolve(self._host, self._port)))
        _, connection = await loop.create_connection(make, sock=sock, ssl=context, server_hostname=name)
        return connection


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _in_turns(found: Sequence[Address]) -> Sequence[Address]:
    """The families take turns, the system's favourite first (RFC 8305, 4)."""
    first = [address for address in found if address[0] == found[0][0]]
    others = [address for address in found if address[0] != found[0][0]]
    return [address for address in chain.from_iterable(zip_longest(first, others)) if address is not None]


async def _first_to_answer(loop: asyncio.AbstractEventLoop, found: Sequence[Address]) -> socket.socket:
    race = _Race(loop)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(race.run(address, after=n)) for n, address in enumerate(found)]
            await race.over(len(tasks))
            for task in tasks:
                task.cancel()
    except BaseException:
        race.close_from(0)
        raise
    race.close_from(1)
    if not race.won:
        raise race.errors[0] if race.errors else OSError("the name has no address")
    return race.won[0]


class _Race:
    """Each address gets a head start over the next, so that one that swallows packets does not eat the whole time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changed = asyncio.Condition()
        self.won: list[socket.socket] = []
        self.errors: list[OSError] = []

    async def run(self, address: Address, *, after: int) -> None:
        """Try an address once ``after`` others have failed, or their head starts are over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STAGGER_S * after):
                await self._until(lambda: len(self.errors) >= after)
        try:
            self.won.append(await _connected(self._loop, address))
        except OSError as error:
            self.errors.append(error)
        async with self._changed:
            self._changed.notify_all()

    async def over(self, runners: int) -> None:
        """Until one has won or all have lost."""
        await self._until(lambda: bool(self.won) or len(self.errors) == runners)

    def close_from(self, rank: int) -> None:
        """Close those that came in at ``rank`` or later."""
        for sock in self.won[rank:]:
            sock.close()

    async def _until(self, true: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(true)


async def _connected(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock
