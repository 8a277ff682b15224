"""Outbound HTTP/1.1 on the event loop itself: httptools parses, one pool of connections for each provider (ADR 0002).

Invariants: a connection serves one exchange at a time and goes back to the pool only after a whole answer; every wait has a
bound; what the caller does not take stops the reading; an exchange left early closes its connection, so the provider stops.
HTTP/2 is left out on purpose: all streams to a provider would share one TCP connection, and its window.
"""

from samovar.adapters.http1.transport import Http1Transport

__all__ = ["Http1Transport"]
