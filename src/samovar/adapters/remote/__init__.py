"""A storage element of another process, over HTTP.

Invariants: a content is never held whole; every wait has a bound; only what may be done twice is tried twice, and only after a
failure of the way there; after a run of failures nothing is sent for a while; who breaks off in mid-content says so, and waits
for a moment, so that what the element drops is dropped before the caller hears of it.
"""

from samovar.adapters.remote.element import RemoteElement
from samovar.adapters.remote.link import Bounds

__all__ = ["Bounds", "RemoteElement"]
