"""Outbound HTTP/1.1 over pyreqwest (Rust's reqwest). One client is one connection pool; it lives as long as the process.

HTTP/2 is off on purpose: all streams to a provider would share one TCP connection, and its window.
"""

from samovar.adapters.reqwest.transport import ReqwestTransport

__all__ = ["ReqwestTransport"]
