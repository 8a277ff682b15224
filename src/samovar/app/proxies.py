"""Who called, where trusted proxies stand between us and the caller."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from samovar.ports.asgi import Scope

Network = IPv4Network | IPv6Network


def believe(scope: Scope, trusted: Sequence[Network]) -> None:
    """Take the client's address from ``X-Forwarded-For``: the last that no trusted proxy wrote for another one.

    What stands left of it, the caller may have written. A word that is no address ends the walk.
    """
    client = scope.get("client")
    peer = None if client is None else _address(client[0])
    if peer is None or not _is_in(peer, trusted):
        return
    chain = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
    for word in reversed(chain.split(",")):
        address = _address(word.strip())
        if address is None:
            return
        scope["client"] = (str(address), 0)
        if not _is_in(address, trusted):
            return


def _address(word: str) -> IPv4Address | IPv6Address | None:
    """``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``."""
    if word.startswith("["):
        word = word[1:].partition("]")[0]
    elif word.count(":") == 1:
        word = word.partition(":")[0]
    try:
        address = ip_address(word)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
