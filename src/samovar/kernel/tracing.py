"""Which request is being served, so that what is asked of other processes on its behalf is known as part of it.

W3C Trace Context: a trace is 32 hexadecimal digits, a span 16.
"""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final, NamedTuple

from samovar.kernel.ids import ULID_CHARS, hex_of_ulid

_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class Trace(NamedTuple):
    """A request and its span."""

    request_id: str
    trace_id: str
    span_id: str

    @property
    def traceparent(self) -> str:
        """The header that names this span as the parent of what is asked."""
        return f"00-{self.trace_id}-{self.span_id}-01"


TRACE: Final[ContextVar[Trace | None]] = ContextVar("samovar.trace", default=None)
"""Of the task that runs; set where a request comes in."""


def traced(request_id: str, headers: Iterable[tuple[bytes, bytes]], *, own: str) -> Trace:
    """From now on the running task serves this request; ``own`` ends in a ULID of its own."""
    given = next((value for name, value in headers if name == b"traceparent"), None)
    trace = trace_of(request_id, traceparent=given, own=hex_of_ulid(own[-ULID_CHARS:]))
    TRACE.set(trace)
    return trace


def trace_of(request_id: str, *, traceparent: bytes | None, own: str) -> Trace:
    """The trace of a request that came with ``traceparent``, or began one. ``own`` is 32 hexadecimal digits of its own."""
    match = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    return Trace(request_id, match[1].decode("ascii") if match else own, own[16:])
