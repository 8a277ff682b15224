"""Which addresses are the public internet, and which address a name has."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Protocol

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# All of IPv6 that is given out for use (RFC 4291, 2.4; IANA's registry of unicast addresses). What lies outside holds loopback,
# link-local and unique local addresses, and those that carry an IPv4 address: mapped, compatible and NAT64 (RFC 6052).
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
# Written out, from IANA's registries of special-purpose addresses (RFC 6890): what Python's own `is_global` says changes from
# release to release, and in 3.11 it takes 192.0.0.192, where one cloud keeps its metadata, for the internet.
_NOT_PUBLIC: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host and its network
        "100.64.0.0/10",  # between a carrier and its customers
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and there the metadata of clouds
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays of 6to4, RFC 7526
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, and what is reserved above it
        "2001::/23",  # protocols of their own, Teredo first of all, RFC 2928
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise, RFC 3056
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet's, in no disguise at all."""
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    if address.is_private:  # of RFC 1918, and more
        return False
    return not any(address in network for network in _NOT_PUBLIC if network.version == address.version)


class Resolver(Protocol):
    """How a name's addresses are found."""

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """All addresses of a host, in the order of preference. Raises ``OSError`` where there are none."""
        ...


async def resolve(host: str, port: int) -> Sequence[Address]:
    """A :class:`Resolver` that asks the system, with its ``hosts`` file and its search for names."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(entry[4][0]) for entry in found]
