"""The :class:`~samovar.ports.fetch.Fetch` port: the guard against requests forged in our name (SSRF), and the GET behind it.

A host's addresses are looked up once, all must be public, and the connection goes to one of those that were checked: a name
that answers differently a moment later changes nothing. Each redirect is a new URL that passes the same guard.
"""

from samovar.adapters.webfetch.addresses import Network, Resolver, is_public, resolve
from samovar.adapters.webfetch.fetch import GuardedFetch

__all__ = ["GuardedFetch", "Network", "Resolver", "is_public", "resolve"]
