"""The bounds of the server: every list, body and wait has one."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds."""

    connections: int = 20_000
    head_bytes: int = 64 * 1024
    body_bytes: int = 64 * 1024 * 1024
    buffered_bytes: int = 1024 * 1024 * 1024
    """Of all bodies being received, together."""
    pipelined: int = 64
    pipelined_bytes: int = 1024 * 1024
    head_s: float = 10.0
    body_s: float = 60.0
    idle_s: float = 75.0
    stalled_s: float = 60.0
    """How long a client may leave a stream unread."""
    hang_s: float = 900.0
    """How long a ``hang`` lasts when the client does not give up first."""
    linger_s: float = 2.0
    """How long a refused client's bytes are still read and dropped, so that it gets to read why."""
