"""How a connection ends whose client does not read, or still sends."""

from array import array
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Final

from samovar.kernel.writes import Outgoing

BODY_BYTES: Final = 256 * 1024 * 1024
"""Of a body that is not wanted any more: clients that send all of it before they look for an answer get theirs."""
HEAD_BYTES: Final = 1024 * 1024
"""Of what never became a whole request."""
_LONGEST_S: Final = 30.0
_SILENT_S: Final = 5.0


class Leaving:
    """A connection that was answered for the last time while its client may still send. Closed at once it would be reset, and the
    answer lost that the client has not read yet. So it is closed in one direction, and what still comes is dropped until the
    client hangs up, or for so long (RFC 9112, 9.6)."""

    __slots__ = ("_ends_at", "_left_bytes", "_silent_at", "_transport")

    def __init__(self, transport: Outgoing, *, now: float, max_bytes: int) -> None:
        self._transport = transport
        self._left_bytes = max_bytes
        self._ends_at = now + _LONGEST_S
        self._silent_at = now + _SILENT_S
        transport.write_eof()

    def heard(self, size_bytes: int, now: float) -> None:
        """So much more came."""
        self._left_bytes -= size_bytes
        self._silent_at = now + _SILENT_S
        if self._left_bytes < 0:
            self._transport.close()

    def is_over(self, now: float) -> bool:
        """Whether it went on for too long, or nothing comes any more."""
        return now > min(self._ends_at, self._silent_at)


class Unread:
    """How long a client has left its answer lying. Any byte taken begins the wait anew: a slow reader is none that has
    stopped, and one who took much may have more lying now than before."""

    __slots__ = ("_since", "_taken_bytes", "size_bytes")

    def __init__(self) -> None:
        self.size_bytes = self._taken_bytes = 0
        self._since = 0.0

    def waits_s(self, transport: Outgoing, now: float, *, is_still: bool) -> float:
        """Since when nothing of a full (or last) buffer was taken off it; ``is_still`` where nothing is written to it. A file
        that the kernel sends lies unread while it waits for the client, not while it is read from its disk."""
        size_bytes = _unread_bytes(transport) if is_still or transport.unsent_bytes else 0
        taken_bytes = transport.written_bytes - size_bytes
        if not size_bytes or not self.size_bytes or taken_bytes > self._taken_bytes:
            self.size_bytes, self._taken_bytes, self._since = size_bytes, taken_bytes, now
        return now - self._since if size_bytes else 0.0


def _unread_bytes(transport: Outgoing) -> int:
    """What the client has not taken: ours, and what the system holds for it."""
    ours = transport.get_write_buffer_size() + transport.unsent_bytes
    if not ours:
        return 0
    held = array("i", [0])
    try:
        ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, held)
    except (OSError, ValueError):
        # Gone in this moment, or a system that does not tell.
        return ours
    return ours + held[0]
